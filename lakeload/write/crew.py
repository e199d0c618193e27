"""Threads that encode, and the rule that their results are taken in the order the work was given out.

Order is what keeps rows as they came; taking results in the caller's thread is what keeps files, plans and
accounts free of locks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Job:
    future: Future[Any]
    size: int
    land: Callable[[Any], None]


class Crew:
    """A few worker threads with a short queue.

    Args:
        workers: Threads.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.held = 0
        """Bytes of the jobs not yet landed."""
        self._most = workers + 1
        self._pool = ThreadPoolExecutor(workers, "lakeload-encode")
        self._jobs: deque[_Job] = deque()

    def submit(self, size: int, work: Callable[[], T], land: Callable[[T], None]) -> None:
        """Give out work; blocks while the queue is full, landing results meanwhile.

        Args:
            size: Bytes held until the result has landed.
            work: Runs in a thread.
            land: Takes the result, in the thread of the caller of this or a later call.
        """
        while len(self._jobs) >= self._most:
            self._land()
        self.held += size
        self._jobs.append(_Job(self._pool.submit(work), size, land))

    def settle(self) -> None:
        """Land what is ready, in order."""
        while self._jobs and self._jobs[0].future.done():
            self._land()

    def drain(self) -> None:
        """Land everything."""
        while self._jobs:
            self._land()

    def stop(self) -> None:
        """Drop what waits, wait for what runs."""
        self._jobs.clear()
        self.held = 0
        self._pool.shutdown(cancel_futures=True)

    def _land(self) -> None:
        job = self._jobs.popleft()
        self.held -= job.size
        job.land(job.future.result())
