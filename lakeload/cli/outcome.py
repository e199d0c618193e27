"""How a command ends: exit codes, one line per error, and what Ctrl-C left behind."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakeload.errors import (
    CatalogError,
    ConfigError,
    ConflictError,
    LakeloadError,
    SchemaError,
    SourceError,
    StorageError,
    TableError,
)

if TYPE_CHECKING:
    from lakeload.cli.progress import Watch
    from lakeload.report import RunReport

EXIT_CODES: dict[type[LakeloadError], int] = {
    ConfigError: 2,
    SourceError: 3,
    SchemaError: 4,
    StorageError: 5,
    CatalogError: 5,
    ConflictError: 6,
    TableError: 7,
}
"""Exit code by kind of error; 0 is success, 1 an unexpected error, 130 Ctrl-C."""

EXIT_QUARANTINED = 8
"""Exit code when more rows were put aside than `--max-quarantined` allows."""

EXIT_HELP = (
    "Exit codes: 0 done, 1 unexpected error, 2 usage or configuration, 3 source, 4 schema, "
    "5 storage or catalog, 6 conflict, 7 table, 8 too many rows put aside, 130 interrupted."
)


@contextmanager
def reported(*, debug: bool, watch: Watch | None = None, json: bool = False) -> Iterator[None]:
    """Turn whatever goes wrong inside into one line on stderr and an exit code.

    Args:
        debug: Let errors through with their traceback.
        watch: Knows how far the load had come, for the message after Ctrl-C.
        json: Print the error as a JSON document on stdout, too.

    Raises:
        typer.Exit: With the exit code.
    """
    from typer import Exit

    try:
        yield
    except Exit:
        raise
    except KeyboardInterrupt:
        say(_interrupted(watch))
        raise Exit(130) from None
    except BrokenPipeError:
        raise Exit(nobody_reads()) from None
    except LakeloadError as error:
        if debug:
            raise
        say(str(error))
        if json:
            _print_error(error, exit_code(error))
        raise Exit(exit_code(error)) from None
    except Exception as error:
        if debug:
            raise
        where = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        if json:
            _print_error(error, 1)
        say(f"unexpected {type(error).__name__}: {_one_line(error)}{where}. --debug shows the traceback.")
        raise Exit(1) from None


def within(reports: Sequence[RunReport], most: int | None) -> None:
    """End with an exit code of its own when more rows were put aside than allowed.

    Raises:
        typer.Exit: More were.
    """
    found = sum(report.quarantined for report in reports)
    if most is None or found <= most:
        return
    from typer import Exit

    say(
        f"{found:,} rows were put aside, more than {most:,}; the others are loaded. "
        "lakeload replay loads them again"
    )
    raise Exit(EXIT_QUARANTINED)


def _print_error(error: Exception, code: int) -> None:
    import json

    facts = {name: getattr(error, name, None) for name in ("table", "column", "row", "place", "hint")}
    what = getattr(error, "what", None) or _one_line(error)
    document = {"error": {"kind": type(error).__name__, "what": what, **facts, "exit_code": code}}
    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def exit_code(error: LakeloadError) -> int:
    """The exit code of an error, by its nearest listed class."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)


def say(text: str) -> None:
    """One line on stderr."""
    print(f"lakeload: {text}", file=sys.stderr)


def usage_error(error: Exception) -> int:
    """One line for an error of the command line itself; others go on as they are.

    typer keeps its exception classes in a private module; they are known by what they can do.
    """
    message = getattr(error, "format_message", None)
    code = getattr(error, "exit_code", None)
    if message is None or not isinstance(code, int):
        raise error
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "lakeload")
    text = " ".join(message().replace("Value error, ", "").split()).rstrip(".")
    stop = "" if text.endswith("?") else "."
    say(f"{text[:1].lower()}{text[1:]}{stop} See: {command} --help")
    return code


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".") or "no message"


def _interrupted(watch: Watch | None) -> str:
    if watch is None:
        return "interrupted"
    if watch.publishing:
        return (
            "interrupted while publishing. Run the same again: it completes what is missing, "
            "and loads no row twice"
        )
    return "interrupted; nothing was published, every table is as it was"


def nobody_reads() -> int:
    """The exit code when the reader of a pipe, such as `head`, has gone: it saw what it wanted."""
    import os

    # Without this Python complains once more when it closes stdout at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
