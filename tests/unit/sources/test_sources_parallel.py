import threading
import time

import pytest

from lakeload.sources.parallel import ordered_map, prefetch


def test_results_come_in_the_order_of_the_items_however_long_each_takes():
    def work(item):
        time.sleep(0.02 if item % 2 == 0 else 0)
        return item

    assert list(ordered_map(work, range(10), workers=4)) == list(range(10))


def test_no_more_items_are_drawn_than_are_allowed_ahead():
    drawn = []

    def items():
        for item in range(100):
            drawn.append(item)
            yield item

    results = ordered_map(lambda item: item, items(), workers=2, ahead=3)
    for _ in range(5):
        next(results)
    results.close()

    assert len(drawn) <= 5 + 3


def test_what_the_work_raises_comes_in_its_turn():
    def work(item):
        if item == 2:
            raise ValueError("two")
        return item

    results = ordered_map(work, range(5), workers=2)

    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(results)


@pytest.mark.parametrize("stage", ["ordered_map", "prefetch"])
def test_closing_stops_threads_and_closes_the_items(stage):
    closed = threading.Event()
    before = threading.active_count()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    results = prefetch(items()) if stage == "prefetch" else ordered_map(abs, items(), workers=2)
    next(results)
    results.close()

    assert closed.is_set()
    assert threading.active_count() == before


def test_prefetched_items_keep_their_order_and_their_exception():
    def items():
        yield from range(20)
        raise OSError("gone")

    results = prefetch(items(), depth=3)

    assert [next(results) for _ in range(20)] == list(range(20))
    with pytest.raises(OSError, match="gone"):
        next(results)


def test_prefetch_draws_at_most_its_depth_ahead():
    drawn = []

    def items():
        for item in range(100):
            drawn.append(item)
            yield item

    results = prefetch(items(), depth=2)
    next(results)
    time.sleep(0.3)

    assert len(drawn) <= 1 + 2 + 1
    results.close()
