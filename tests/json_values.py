"""Hypothesis strategies for rows as JSON has them, and for rows of one type as Arrow has them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = st.one_of(
    st.sampled_from(
        ["a", "b", "A", "user Id", "userId", "user_id", "", "ü", "🎉", "a.b", "a__b", "_id", "1"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
).filter(lambda name: not name.strip().startswith("_lakeload"))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.sampled_from(["true", "1", "{}", "null", "\u0000", '"', "\\"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
ROWS = st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=8)
"""Rows of anything, of which hypothesis makes many that have columns in common."""

DATES = st.dates().map(dt.date.isoformat)
_MOMENTS = st.datetimes()
_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
NAIVE = st.builds(lambda moment, between: moment.isoformat(between), _MOMENTS, st.sampled_from("T "))
ZONED = st.builds(
    lambda moment, zone: moment.replace(tzinfo=zone).isoformat(),
    st.datetimes(dt.datetime(2, 1, 1), dt.datetime(9998, 1, 1)),
    _OFFSETS,
) | NAIVE.map(lambda text: f"{text}Z")
NEAR_DATES = st.sampled_from(
    [
        "2024-02-30",
        "2024-5-1",
        "20240501",
        "2024-05",
        "2024-05-01T10:30",
        "2024-05-01T10:30:00+02",
        "0000-01-01",
        "10:30:00",
        "2024-05-01T24:00:00",
        "2024-05-01T23:59:60",
        "2024-05-01T10:30:00.1234567",
        "2024-05-01t10:30:00",
        "2024-05-01T10:30:00z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "2024-W18-3",
        "+2024-05-01",
        "２０２４-05-01",
    ]
) | st.sampled_from(["", "2024-05-01 ", " 2024-05-01", "2024-05-01T10:30:00 +02:00", "2024-05-01\n"])


def dated(name: str) -> st.SearchStrategy[Any]:
    """Values of a column that may be one of dates: one sort by name, or with others among it."""
    sort = {"d": DATES, "t": NAIVE, "z": ZONED}[name[0]]
    found = st.none() | sort | sort | (NEAR_DATES if name.endswith("?") else sort)
    return found if len(name) < 3 else st.one_of(found, DATES, NAIVE, ZONED, NEAR_DATES)


_COLUMNS = st.sampled_from(["d", "d?", "t", "t?", "z", "z?", "any"])
DATED_ROWS = st.lists(_COLUMNS.map(lambda name: name if name != "any" else "d??"), min_size=1, max_size=3).flatmap(
    lambda names: st.lists(
        st.fixed_dictionaries({}, optional={name: dated(name) for name in names}
        | {f"{name} in": st.lists(dated(name), max_size=3) for name in names}
        | {f"{name} of": st.fixed_dictionaries({}, optional={"x": dated(name)}) for name in names}),
        min_size=1,
        max_size=5,
    )
)  # fmt: skip
"""Rows in which texts are dates and timestamps: alone, in lists and in objects."""

_KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
    pa.string(): TEXTS,
    pa.binary(): st.binary(max_size=4),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("us", "UTC"): st.datetimes(timezones=st.just(dt.UTC)),
    pa.decimal128(20, 2): st.integers(-(10**20) + 1, 10**20 - 1).map(lambda n: Decimal(n).scaleb(-2)),
    pa.null(): st.none(),
}


def _structs(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    return st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(
        lambda members: pa.struct(list(members.items()))
    )


_TYPES = st.recursive(
    st.sampled_from(list(_KINDS)),
    lambda inner: st.one_of(inner.map(pa.list_), _structs(inner), _structs(inner).map(pa.list_)),
    max_leaves=6,
)


def values_of(kind: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of an Arrow type, as Python has them, with nulls everywhere."""
    if pa.types.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return st.none() | st.fixed_dictionaries({field.name: values_of(field.type) for field in fields})
    if pa.types.is_list(kind):
        return st.none() | st.lists(values_of(kind.value_type), max_size=3)
    return st.none() | _KINDS[kind]


TABLES: st.SearchStrategy[pa.Table] = st.dictionaries(NAMES, _TYPES, min_size=1, max_size=4).flatmap(
    lambda columns: st.lists(
        st.fixed_dictionaries({name: values_of(kind) for name, kind in columns.items()}),
        min_size=1,
        max_size=5,
    ).map(lambda rows: pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items()))))
)
"""Tables of any types, nested as well."""
