from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.model.carry import carry
from lakeload.model.naming import TEXT_ONLY
from lakeload.model.rejection import SOURCE_ROW
from lakeload.model.types import widen
from lakeload.normalize.text_types import FIRST_ROWS, Learned, ReadAgain, Target, TextTypes

GROWS = Target(grows=True)


def batches(*texts: Sequence[str | None]) -> list[pa.RecordBatch]:
    return [
        pa.record_batch({"v": pa.array(part, pa.string())}, metadata={TEXT_ONLY: b"csv"}) for part in texts
    ]


def typed(parts: list[pa.RecordBatch], target: Target = GROWS, *, dates: bool = True) -> list[pa.RecordBatch]:
    """What is given out in the end, reading again where that is asked for."""
    learned = Learned()
    for _ in range(2):
        try:
            return list(TextTypes(lambda _: target, dates=dates, learned=learned).typed(parts))
        except ReadAgain:
            learning = Learned(learning=True, seen=learned.seen)
            assert not list(TextTypes(lambda _: target, dates=dates, learned=learning).typed(parts))
    raise AssertionError("asked to read again for ever")


def column(parts: list[pa.RecordBatch]) -> pa.Array:
    """The values as a table has them that widened as the batches came."""
    arrays = [part.column("v") for part in parts if not pa.types.is_null(part.column("v").type)]
    if not arrays:
        return pa.nulls(sum(map(len, parts)))
    kind = arrays[0].type
    for array in arrays:
        kind = widen(kind, array.type, text=True)
    return pa.concat_arrays(
        [
            carry(p.column("v") if p.column("v").type != pa.null() else pa.nulls(len(p), kind), kind, "v")
            for p in parts
        ]
    )


DATE = dt.date(2024, 5, 1)


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (["1", "-20", None], pa.int64(), [1, -20, None]),
        (["12345678901234567890"], pa.decimal128(38, 0), [Decimal(12345678901234567890)]),
        (["1.5", "2", "1e-05"], pa.string(), ["1.5", "2", "1e-05"]),
        (["0.00001", "2", "-0", "43.420273000000009"], pa.float64(), [0.00001, 2.0, -0.0, 43.42027300000001]),
        (["1.10", "2.5", "3"], pa.decimal128(18, 2), [Decimal("1.10"), Decimal("2.50"), Decimal(3)]),
        (["9007199254740993", "0.5"], pa.decimal128(18, 1), [Decimal(9007199254740993), Decimal("0.5")]),
        (["1" * 30 + ".5", "0.25"], pa.decimal128(38, 2), [Decimal("1" * 30 + ".50"), Decimal("0.25")]),
        (["1" * 30 + ".5", "0." + "1" * 9], pa.string(), None),
        (["9" * 39], pa.string(), None),
        (["true", "false"], pa.bool_(), [True, False]),
        (["2024-05-01", None], pa.date32(), [DATE, None]),
        (["2024-05-01 10:00:00.25"], pa.timestamp("us"), [dt.datetime(2024, 5, 1, 10, 0, 0, 250_000)]),
        (["2024-05-01T10:00:00+02:00"], pa.timestamp("us", "UTC"), [dt.datetime(2024, 5, 1, 8, tzinfo=dt.UTC)]),
        *(
            (["1", text], pa.string(), None)
            for text in ("007", "+1", "1.", ".5", "1e5", "32E0134", " 1", "", "-0.00", "NaN", "true", "1,5", "0x1f", "1_0")
        ),
        *(
            (["2024-05-01", text], pa.string(), None)
            for text in ("0000-01-01", "2024-02-30", "2024-05-01T10:00:00", "2024-5-1", "1")
        ),
        (["True", "false"], pa.string(), None),
        (["2024-05-01T10:00:00", "2024-05-01T10:00:00Z"], pa.string(), None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [None, 1])
def test_a_text_has_a_type_if_it_can_be_got_back(
    texts: list[str | None], kind: pa.DataType, values: list[object] | None, cut: int | None
) -> None:
    parts = batches(texts) if cut is None else batches(texts[:cut], texts[cut:], [])
    found = column(typed(parts))
    assert found.type == kind
    assert found.to_pylist() == (texts if values is None else values)


TOKENS = ["1", "-7", "9007199254740993", "12345678901234567890", "1.5", "2.50", "0.125", "0.12345678901234567", "true",
          "2024-05-01", "2024-05-01T10:00:00", "2024-05-01 10:00:00", "2024-05-01T10:00:00+02:00", "n/a", "007", "1e5", None]  # fmt: skip


@given(st.data())
def test_types_do_not_depend_on_where_batches_end(data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4, unique=True))
    texts = data.draw(st.lists(st.sampled_from(some), max_size=12))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(texts)), max_size=4)))
    parts = [texts[a:b] for a, b in zip([0, *cuts], [*cuts, len(texts)], strict=True)]
    whole, cut = column(typed(batches(texts))), column(typed(batches(*parts)))
    assert whole.type == cut.type
    assert whole.to_pylist() == cut.to_pylist()
    if pa.types.is_string(whole.type):
        assert whole.to_pylist() == texts


@pytest.mark.parametrize(
    ("stored", "texts", "groups"),
    [
        (pa.int32(), ["1", "n/a", "2", "1.5"], [[1, 2], ["n/a"], [1.5]]),
        (pa.float64(), ["1.10", "2", "0.12345678901234567"], [[1.1, 2.0], [Decimal("0.12345678901234567")]]),
        (pa.float64(), ["1.5", "7E01"], [[1.5], ["7E01"]]),
        (pa.decimal128(5, 2), ["1.1", "1.100", "1000"], [[Decimal("1.10"), Decimal("1.10")], [1000]]),
        (pa.bool_(), ["true", "1"], [[True], [1]]),
        (pa.date32(), ["n/a", "2024-05-01"], [[DATE], ["n/a"]]),
        (pa.timestamp("us"), ["2024-05-01 00:00:00", "2024-05-01"], [[dt.datetime(2024, 5, 1)], [DATE]]),
        (pa.binary(), ["a"], [[b"a"]]),
        (pa.time64("us"), ["10:00:00", "10"], [[dt.time(10)], [10]]),
        (pa.string(), ["1", "n/a"], [["1", "n/a"]]),
        (pa.list_(pa.int64()), ["1"], [[1]]),
    ],
)
def test_rows_that_are_none_of_a_tables_type_come_apart(
    stored: pa.DataType, texts: list[str], groups: list[list[object]]
) -> None:
    found = typed(batches(texts), Target(stored))
    assert [part.column("v").to_pylist() for part in found] == groups
    if len(groups) > 1:
        numbers = [number for part in found for number in part.column(SOURCE_ROW).to_pylist()]
        assert sorted(numbers) == list(range(1, len(texts) + 1))


@pytest.mark.parametrize("size", [1, 7, FIRST_ROWS, 5000])
def test_where_types_are_fixed_the_first_rows_decide_however_they_are_cut(size: int) -> None:
    texts: list[str | None] = [None] * (FIRST_ROWS - 2) + ["1", "2.5", "x", "3"]
    parts = batches(*(texts[i : i + size] for i in range(0, len(texts), size)))
    found = [part.column("v").drop_null() for part in typed(parts, Target())]
    kept = pa.concat_arrays([array for array in found if pa.types.is_float64(array.type)])
    assert kept.to_pylist() == [1.0, 2.5, 3.0]
    assert [array.to_pylist() for array in found if pa.types.is_string(array.type)] == [["x"]]


def test_without_dates_they_stay_text() -> None:
    assert column(typed(batches(["2024-05-01"]), dates=False)).to_pylist() == ["2024-05-01"]


@pytest.mark.parametrize("make", [lambda: Target(hinted=True), lambda: Target(pa.string())])
def test_hinted_and_stored_text_pass_untouched(make: Callable[[], Target]) -> None:
    [part] = typed(batches(["1", "007"]), make())
    assert part.column("v").to_pylist() == ["1", "007"]
