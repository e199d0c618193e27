"""Work in processes of their own that are to die in the middle.

They are forked from one that has imported everything, so that a death costs what the work does and no imports.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "deltalake", "polars", "pyarrow.compute", "pyarrow.dataset", "pyarrow.json", "pyarrow.parquet",
        "lakeload.catalogs.sqlite", "lakeload.cli", "lakeload.formats.delta", "lakeload.formats.iceberg", "lakeload.run",
    ]
)  # fmt: skip
_SECONDS = 120


def dies(work: Callable[..., object], *arguments: Any, **named: Any) -> None:
    """Do the work in a process of its own; fail unless `kill -9` ends it."""
    said, saying = _FORKS.Pipe(duplex=False)
    with said:
        process = _FORKS.Process(target=_told, args=(saying, work, arguments, named))
        process.start()
        saying.close()
        process.join(_SECONDS)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"it did not die in {_SECONDS} seconds")
        text = "" if process.exitcode == -signal.SIGKILL else said.recv()
    assert process.exitcode == -signal.SIGKILL, f"it did not die: {text}"
    process.close()


def _told(saying: Connection, work: Callable[..., object], arguments: Any, named: Any) -> None:
    try:
        work(*arguments, **named)
    except BaseException:  # noqa: BLE001 - told to the test
        saying.send(traceback.format_exc())
    else:
        saying.send("the work ended alive")
    sys.exit(3)
