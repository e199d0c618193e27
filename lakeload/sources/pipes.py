"""What comes through a pipe, kept in a file for as long as it may be read again.

Part of extract. A pipe gives its bytes once, but types of text may show only at its end, and formats such as
Parquet begin there. So what comes from standard input or a named pipe goes to a temporary file first.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from lakeload.sources.files import reading

STDIN = "-"


class Spool:
    """Files in place of pipes.

    Example:
        >>> with_files = Spool()
        >>> with_files.files(["events.jsonl", b"x"])
        ['events.jsonl', b'x']
        >>> with_files.close()
    """

    def __init__(self) -> None:
        self._folder: TemporaryDirectory[str] | None = None
        self._count = 0

    def files(self, data: object) -> object:
        """The data, with a file for each location that is a pipe: read to its end here."""
        if isinstance(data, list | tuple) and any(map(_is_pipe, data)):
            return [self._file(one) if _is_pipe(one) else one for one in data]
        return self._file(data) if _is_pipe(data) else data

    def close(self) -> None:
        """Delete the files."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _file(self, location: object) -> str:
        name = os.fspath(location)  # type: ignore[call-overload]  # a location
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="lakeload-")
        self._count += 1
        target = Path(self._folder.name) / str(self._count) / ("stdin" if name == STDIN else Path(name).name)
        target.parent.mkdir()
        with reading(name), target.open("wb") as sink:
            if name == STDIN:
                shutil.copyfileobj(sys.stdin.buffer, sink)
            else:
                with Path(name).open("rb") as source:
                    shutil.copyfileobj(source, sink)
        return str(target)


def _is_pipe(location: object) -> bool:
    if not isinstance(location, str | os.PathLike):
        return False
    if location == STDIN:
        return True
    try:
        mode = os.stat(location).st_mode  # noqa: PTH116 - an empty text is no path
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)
