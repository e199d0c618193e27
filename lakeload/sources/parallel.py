"""Work ahead in threads, in order and within bounds.

Extract decodes blocks of files while later stages write earlier ones. Rows must keep the order of the
input and memory must not follow the input's size, so at most a few blocks are under way and results come
out in the order the blocks went in. Closing the generators stops their threads.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int | None = None
) -> Generator[Result, None, None]:
    """Results of `work` over `items`, computed in threads, in the order of the items.

    Args:
        work: Called in a worker thread; what it raises is raised here in its turn.
        items: Drawn in the caller's thread, `ahead` items before their result is asked for.
        workers: Threads.
        ahead: Items under way or finished and not yet taken; default `workers + 1`.

    Example:
        >>> list(ordered_map(abs, [-1, -2], workers=2))
        [1, 2]
    """
    waiting: deque[Future[Result]] = deque()
    depth = ahead or workers + 1
    pool = ThreadPoolExecutor(workers, thread_name_prefix="lakeload-decode")
    source = iter(items)
    try:
        for item in source:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        close(source)


def in_turn(work: Callable[[Item], object], items: Iterable[Item], *, ahead: int) -> None:
    """Call `work` on every item, in order, in one thread of its own, while the next items are drawn here.

    Args:
        work: What it raises is raised here, and nothing more is drawn.
        items: Drawn in the caller's thread, because what a user's generator opens may belong to it.
        ahead: Items drawn and not yet worked on; 0 draws the next one when the one before is done.

    Example:
        >>> seen = []
        >>> in_turn(seen.append, [1, 2], ahead=1)
        >>> seen
        [1, 2]
    """
    waiting: deque[Future[object]] = deque()
    thread = ThreadPoolExecutor(1, thread_name_prefix="lakeload-shape")
    source = iter(items)
    try:
        while True:
            try:
                item = next(source, _NOTHING)
            except Exception:
                _finish(waiting)  # an error of an earlier item comes first
                raise
            if item is _NOTHING:
                _finish(waiting)
                return
            waiting.append(thread.submit(work, item))  # type: ignore[arg-type]  # not _NOTHING
            if len(waiting) > ahead:
                waiting.popleft().result()
    finally:
        thread.shutdown(wait=True, cancel_futures=True)


def _finish(waiting: deque[Future[object]]) -> None:
    while waiting:
        waiting.popleft().result()


_NOTHING = object()


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def prefetch(items: Iterable[Item], *, depth: int = 2) -> Generator[Item, None, None]:
    """The items, drawn in a thread of their own, at most `depth` ahead.

    What the items raise is raised here unchanged, after the items before it.
    """
    ready: queue.Queue[Item | _End] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: Item | _End) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def draw() -> None:
        source = iter(items)
        try:
            for item in source:
                if not put(item):
                    return
            put(_End(None))
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            put(_End(error))
        finally:
            close(source)

    thread = threading.Thread(target=draw, name="lakeload-read", daemon=True)
    thread.start()
    try:
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        thread.join()


def close(source: object) -> None:
    """Close a generator (or anything with `close`) so that it releases files and threads now."""
    release = getattr(source, "close", None)
    if callable(release):
        release()
