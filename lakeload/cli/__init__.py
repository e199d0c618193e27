"""The command line: `lakeload load`, `run`, `inspect`, `demo`.

Nothing heavy is imported here; each command imports what it needs, so that `--help` answers at once.
"""

from __future__ import annotations

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
    """The program with only the command that is asked for: making them all takes a while."""
    asked = words[0] if words else ""
    found = [command for command in app.registered_commands if _name(command) == asked]
    if not found:
        return app
    one = copy(app)
    one.registered_commands, one.registered_groups = found, []
    return one


def _name(command: Any) -> str:
    return str(command.name or command.callback.__name__)
