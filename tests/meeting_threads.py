"""Threads that meet what is built lazily, all at once: run in a process of its own, as a fault ends it.

```
python meeting_threads.py plans|catalogs
```
Types given to msgspec are prepared on their first use, and without a lock: two threads that use a new one at
once end the process. Barriers make the threads meet, a tiny switch interval makes them take turns meanwhile.
"""

from __future__ import annotations

import datetime as dt
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from lakeload.lake_catalogs import LakeCatalogs
from lakeload.sources.decode.infer import Observed
from lakeload.sources.decode.plan import Plan
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

THREADS = 4
ROW: dict[str, Any] = {f"c{i}": {f"d{j}": j + 0.5 for j in range(8)} for i in range(40)}


def meet(action: Callable[[], object]) -> list[object]:
    """What the action gives in each of the threads that begin it at once."""
    barrier = threading.Barrier(THREADS)
    found: list[object] = []

    def work() -> None:
        barrier.wait()
        found.append(action())

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def plans() -> None:
    """Plans for rows, compiled by one thread and used by others."""
    for _ in range(20):
        seen = Observed()
        seen.observe([ROW])
        plan = Plan.of(seen.fields, lambda _name, _seen: None)
        assert meet(lambda plan=plan: plan.decode([ROW]).to_pylist()) == [[ROW]] * THREADS


def catalogs() -> None:
    """The catalog of a lake several threads share, opened when the first of them needs it."""
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeCatalogs(Store(folder), {}, StorageOptions(), lambda: dt.datetime.now(dt.UTC))
        assert len({id(catalog) for catalog in meet(lambda: lake.iceberg)}) == 1


if __name__ == "__main__":
    sys.setswitchinterval(1e-6)
    {"plans": plans, "catalogs": catalogs}[sys.argv[1]]()
