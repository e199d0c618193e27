"""The command line: `lakeload load`, `run`, `inspect`, `demo`.

Nothing heavy is imported here; each command imports what it needs, so that `--help` answers at once.
"""

from __future__ import annotations

import gc
import sys
from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typer import Typer


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after `lakeload`; `None` takes those of the process.

    Returns:
        The exit code, see `lakeload.cli.outcome.EXIT_CODES`.
    """
    from typer.main import get_command

    from lakeload.cli.app import app
    from lakeload.cli.outcome import nobody_reads, usage_error
    from lakeload.cli.words import read_lightly

    gc.set_threshold(300_000, 50, 100)  # most of what a start allocates are modules, which stay
    words = sys.argv[1:] if arguments is None else arguments
    try:
        command = read_lightly(get_command(_only(app, words)))
        code = command.main(args=words or ["--help"], prog_name="lakeload", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return nobody_reads()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - raised again unless it is a usage error
        return usage_error(error)
    return code if isinstance(code, int) else 0


def _only(app: Typer, words: list[str]) -> Typer:
    """The program with only what is asked for: making every command with its options takes a while."""
    asked = words[0] if words else "--help"
    one = copy(app)
    found = [command for command in app.registered_commands if _name(command) == asked]
    if found:
        one.registered_commands, one.registered_groups = found, []
    elif asked in ("--help", "-h"):
        one.registered_commands = [_heading(command) for command in app.registered_commands]
    return one


def _heading(command: Any) -> Any:
    """The command as the list of all of them shows it, without its options."""
    shown = copy(command)
    shown.name, shown.help, shown.callback = _name(command), command.callback.__doc__, _nothing
    return shown


def _nothing() -> None:
    """Is never called."""


def _name(command: Any) -> str:
    return str(command.name or command.callback.__name__.replace("_", "-"))
