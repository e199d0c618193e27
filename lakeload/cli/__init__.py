"""The command line: `lakeload load`, `run`, `inspect`, `demo`.

Nothing heavy is imported here; each command imports what it needs, so that `--help` answers at once.
"""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: Words after `lakeload`; `None` takes those of the process.

    Returns:
        The exit code, see `lakeload.cli.outcome.EXIT_CODES`.
    """
    from lakeload.cli.app import app
    from lakeload.cli.outcome import nobody_reads, usage_error

    words = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(args=words or ["--help"], prog_name="lakeload", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return nobody_reads()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - raised again unless it is a usage error
        return usage_error(error)
    return code if isinstance(code, int) else 0
