"""Every type lakeload stores, with its extremes, read by every engine in both formats."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake, deviation, readers_of
from engines.matrix import Matrix
from readers import assert_same_rows

import lakeload as ll

BOTH = [(engine, form) for form in ("delta", "iceberg") for engine in readers_of(form)]
ROWS = 8
NONE = None
NAN, INF = math.nan, math.inf


@dataclass(frozen=True)
class Kind:
    """A column: the type as it is given, the type as it is stored, and its values; the rest is null."""

    given: pa.DataType
    stored: pa.DataType
    values: list[Any]

    def array(self, kind: pa.DataType) -> pa.Array:
        padded = [*self.values, *[NONE] * (ROWS - len(self.values))]
        if kind == pa.uuid():
            padded = [None if value is None else uuid.UUID(value).bytes for value in padded]
        return pa.array(padded, kind)


def _integer(kind: pa.DataType, stored: pa.DataType) -> Kind:
    bits = kind.bit_width
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if pa.types.is_signed_integer(kind) else (0, 2**bits)
    return Kind(kind, stored, [low, high - 1, 0, 1])


def _decimal(precision: int, scale: int) -> Kind:
    kind = pa.decimal128(precision, scale)
    digits = [(0, (9,) * precision), (1, (9,) * precision), (0, (0,)), (0, (1,)), (1, (1,))]
    return Kind(kind, kind, [Decimal((sign, number, -scale)) for sign, number in digits])


def _moments(unit: str, zone: str | None, more: dt.timedelta) -> Kind:
    found = [dt.datetime(1970, 1, 1), dt.datetime(1969, 12, 31, 23, 59, 59), dt.datetime(2024, 2, 29, 12, 0, 1),
             dt.datetime(1900, 1, 1), dt.datetime(2261, 12, 31)]  # fmt: skip
    values = [at + more for at in found]
    return Kind(
        pa.timestamp(unit, zone),
        pa.timestamp("us", "UTC" if zone else None),
        [at.replace(tzinfo=dt.UTC) for at in values] if zone else values,
    )


TEXTS = ["", "é", "日本 🦆", "p" * 70, "a\x00b", "\U0010ffff" * 40, " \"'\\,\n\t%/"]
BYTES = [b"", b"\x00", b"\xff" * 40, b"abc"]
DATES = [dt.date(1970, 1, 1), dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(1900, 1, 1)]
FAR_DATES = [
    dt.date(1, 1, 1),
    dt.date(1582, 10, 4),
    dt.date(1582, 10, 10),
    dt.date(1582, 10, 15),
    dt.date(9999, 12, 31),
]
FAR = [dt.datetime(1, 1, 1), dt.datetime(1582, 10, 4, 12), dt.datetime(1582, 10, 10), dt.datetime(1582, 10, 15),
       dt.datetime(9999, 12, 31, 23, 59, 59, 999000)]  # fmt: skip
HUNDREDTHS, MICROS = dt.timedelta(milliseconds=120), dt.timedelta(microseconds=123456)
ZONE = "Europe/Berlin"

TYPES: dict[str, Kind] = {
    "bool": Kind(pa.bool_(), pa.bool_(), [True, False]),
    **{str(kind): _integer(kind, pa.int32()) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16())},
    **{str(kind): _integer(kind, pa.int64()) for kind in (pa.int64(), pa.uint32())},
    "uint64": _integer(pa.uint64(), pa.decimal128(20, 0)),
    "float16": Kind(pa.float16(), pa.float32(), [1.5, NAN, INF, -INF, -0.0, 0.0, 65504.0]),
    "float32": Kind(pa.float32(), pa.float32(), [1.5, NAN, INF, -INF, -0.0, 0.0, 3.4028234663852886e38]),
    "float64": Kind(pa.float64(), pa.float64(), [0.1, NAN, INF, -INF, -0.0, 5e-324, 1.7976931348623157e308]),
    **{f"decimal({p}, {s})": _decimal(p, s) for p, s in ((9, 2), (18, 6), (38, 0), (38, 10), (38, 38))},
    "string": Kind(pa.string(), pa.string(), TEXTS),
    "large_string": Kind(pa.large_string(), pa.string(), TEXTS),
    "string_view": Kind(pa.string_view(), pa.string(), TEXTS),
    "dictionary of strings": Kind(pa.dictionary(pa.int32(), pa.string()), pa.string(), TEXTS),
    "binary": Kind(pa.binary(), pa.binary(), BYTES),
    "large_binary": Kind(pa.large_binary(), pa.binary(), BYTES),
    "binary_view": Kind(pa.binary_view(), pa.binary(), BYTES),
    "fixed_size_binary": Kind(pa.binary(3), pa.binary(), [b"\x00\xff\x80", b"abc"]),
    "date32": Kind(pa.date32(), pa.date32(), DATES),
    "date64": Kind(pa.date64(), pa.date32(), DATES),
    "date32 from 0001-01-01 to 9999-12-31": Kind(pa.date32(), pa.date32(), FAR_DATES),
    "timestamp[s]": _moments("s", None, dt.timedelta()),
    "timestamp[ms]": _moments("ms", None, HUNDREDTHS),
    "timestamp[us]": _moments("us", None, MICROS),
    "timestamp[ns]": _moments("ns", None, MICROS),
    "timestamp[us] from 0001 to 9999": Kind(pa.timestamp("us"), pa.timestamp("us"), FAR),
    "timestamp[s, zone]": _moments("s", ZONE, dt.timedelta()),
    "timestamp[ms, zone]": _moments("ms", ZONE, HUNDREDTHS),
    "timestamp[us, zone]": _moments("us", ZONE, MICROS),
    "timestamp[ns, zone]": _moments("ns", ZONE, MICROS),
    "timestamp[us, zone] from 0001 to 9999": Kind(
        pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC"), [at.replace(tzinfo=dt.UTC) for at in FAR]
    ),
    "uuid": Kind(pa.uuid(), pa.string(), [str(uuid.UUID(int=n)) for n in (0, 1, 2**128 - 1)]),
    "int64, nothing but nulls": Kind(pa.int64(), pa.int64(), []),
}  # fmt: skip
TIME = Kind(pa.time64("us"), pa.time64("us"), [dt.time(), dt.time(23, 59, 59, 999999), dt.time(12, 30)])


def _list(kind: pa.DataType) -> pa.DataType:
    return pa.list_(pa.field("element", kind))


def _same(kind: pa.DataType, values: list[Any]) -> Kind:
    return Kind(kind, kind, values)


_POINT = pa.struct([("x", pa.int32()), ("name", pa.string())])
_DEEP = pa.struct(
    [("a", pa.struct([("b", pa.struct([("c", pa.int64()), ("at", pa.timestamp("us", "UTC"))]))]))]
)
_NOW = dt.datetime(2024, 2, 29, 12, 0, 0, 123000, dt.UTC)
NESTED: dict[str, Kind] = {
    "list of int": _same(_list(pa.int32()), [[1, None, 3], [], [None], NONE]),
    "list of text": _same(_list(pa.string()), [["", None, "é🦆"], [], NONE]),
    "list of binary": _same(_list(pa.binary()), [[b"", None, b"\xff\x00"], [], NONE]),
    "list of decimal": _same(_list(pa.decimal128(38, 10)), [[Decimal("1.0000000001"), None], [], NONE]),
    "list of lists of lists": _same(_list(_list(_list(pa.int64()))), [[[[1, None], []], [], None], [], [None], NONE]),
    "struct": _same(_POINT, [{"x": 1, "name": ""}, {"x": None, "name": None}, {"x": 2, "name": None}]),
    "struct, nullable": _same(_POINT, [{"x": 1, "name": "a"}, NONE, {"x": None, "name": "b"}]),
    "structs three deep": _same(
        _DEEP, [{"a": {"b": {"c": 1, "at": _NOW}}}, {"a": {"b": {"c": None, "at": None}}}, {"a": {"b": None}}, {"a": None}, NONE],
    ),
    "list of structs": _same(_list(_POINT), [[{"x": 1, "name": "é"}, {"x": None, "name": None}], [], NONE]),
    "list of structs, some null": _same(_list(_POINT), [[{"x": 1, "name": "é"}, None], [None], NONE]),
    "map of text to int": _same(pa.map_(pa.string(), pa.int32()), [[("a", 1), ("é", None), ("", 3)], [], NONE]),
    "map of int to text": _same(pa.map_(pa.int64(), pa.string()), [[(1, "a"), (-(2**63), None)], [], NONE]),
    "map of date to decimal": _same(
        pa.map_(pa.date32(), pa.decimal128(9, 2)), [[(dt.date(2024, 2, 29), Decimal("1.10"))], [], NONE]
    ),
    "map of text to list of structs": _same(
        pa.map_(pa.string(), _list(_POINT)), [[("a", [{"x": 1, "name": "z"}]), ("b", []), ("c", None)], [], NONE]
    ),
    "struct of list of map of struct": _same(
        pa.struct([("l", _list(pa.map_(pa.string(), _POINT)))]),
        [{"l": [[("k", {"x": 1, "name": None})], [("k", None)], [], None]}, {"l": []}, {"l": None}, NONE],
    ),
}  # fmt: skip


@dataclass
class Columns:
    """One table with a column of each kind; an engine reads it once for all of them."""

    lake: EngineLake
    kinds: Mapping[str, Kind]

    def __post_init__(self) -> None:
        arrays = {"id": pa.array(range(ROWS), pa.int64())}
        self.lake.load(
            pa.table(arrays | {name: kind.array(kind.given) for name, kind in self.kinds.items()}),
            load_columns=False,
        )
        names = self.lake.table().schema().names[1:]
        self._names = dict(zip(self.kinds, names, strict=True))
        self._read: dict[tuple[str, str], pa.Table] = {}

    def assert_read_by(self, engine: str, form: str, feature: str) -> str:
        if (engine, form) not in self._read:
            self._read[engine, form] = self.lake.read_by(engine, form)
        name, kind = self._names[feature], self.kinds[feature]
        expected = pa.table({"id": pa.array(range(ROWS), pa.int64()), name: kind.array(kind.stored)})
        adjust, note = deviation(engine, form, expected)
        found = self._read[engine, form].select(["id", name])
        assert_same_rows(adjust(found), adjust(expected), types=False)
        return note


@pytest.fixture(scope="module")
def types(engines: Any) -> Columns:
    return Columns(EngineLake.new(engines, ("delta", "iceberg")), TYPES)


@pytest.fixture(scope="module")
def nested(engines: Any) -> Columns:
    return Columns(EngineLake.new(engines, ("delta", "iceberg")), NESTED)


@pytest.mark.parametrize(("engine", "form"), BOTH)
@pytest.mark.parametrize("feature", TYPES)
def test_engine_reads_type(types: Columns, matrix: Matrix, feature: str, engine: str, form: str) -> None:
    note = types.assert_read_by(engine, form, feature)
    with matrix.reads("Types", feature, engine, form, note):
        pass


@pytest.mark.parametrize(("engine", "form"), BOTH)
@pytest.mark.parametrize("feature", NESTED)
def test_engine_reads_nested_type(
    nested: Columns, matrix: Matrix, feature: str, engine: str, form: str
) -> None:
    note = nested.assert_read_by(engine, form, feature)
    with matrix.reads("Types, nested", feature, engine, form, note):
        pass


TIMELESS = {
    "spark": (
        "does not support time",
        "Iceberg's reader for Spark refuses the type: `Spark does not support time fields`.",
    ),
    "chdb": ("86399|23, 59, 59, 999999", "ClickHouse gives Iceberg's time as a number of whole seconds."),
}


@pytest.fixture(scope="module")
def timed(engines: Any) -> Columns:
    return Columns(EngineLake.new(engines, ("iceberg",)), {"time64": TIME})


@pytest.mark.parametrize("engine", readers_of("iceberg"))
def test_engine_reads_time_of_day_which_only_iceberg_has(timed: Columns, matrix: Matrix, engine: str) -> None:
    if engine in TIMELESS:
        message, why = TIMELESS[engine]
        with pytest.raises(Exception, match=message):
            timed.assert_read_by(engine, "iceberg", "time64")
        matrix.cannot("Types", "time64", engine, "iceberg", why)
        return
    with matrix.reads("Types", "time64", engine, "iceberg"):
        timed.assert_read_by(engine, "iceberg", "time64")


REFUSED = {
    "duration": (pa.array([1], pa.duration("s")), ("delta", "iceberg")),
    "month_day_nano_interval": (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), ("delta", "iceberg")),
    "union": (pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]), ("delta", "iceberg")),
    "decimal of more than 38 digits": (pa.array([Decimal(1)], pa.decimal256(39, 0)), ("delta", "iceberg")),
    "time64": (pa.array([dt.time(1)], pa.time64("us")), ("delta",)),
}


@pytest.mark.parametrize("feature", REFUSED)
def test_type_that_no_format_holds_is_refused_before_anything_is_written(
    engines: Any, matrix: Matrix, feature: str
) -> None:
    values, formats = REFUSED[feature]
    for form in formats:
        lake = EngineLake.new(engines, (form,))
        with pytest.raises(ll.SchemaError) as refused:
            lake.load(pa.table({"id": [1], "bad": values}))
        assert "bad" in str(refused.value)
        assert not lake.exists()
        assert not lake.filesystem.find(lake.root)
        matrix.refused("Types", feature, form)


WORDS = [
    "größe",
    "日本語",
    "Ελλάδα",
    "2nd",
    "select",
    "order",
    "from",
    "group",
    "a b.c",
    "_x",
    "%",
    "🎉",
    "n" * 120,
]
SIZES: dict[str, Kind] = {
    "a text of 1 MB": _same(pa.string(), ["é🦆" * 166_667, "", "x" * 2**20]),
    "binary of 1 MB": _same(pa.binary(), [bytes(range(256)) * 4096, b""]),
    "a list of 100 000": _same(_list(pa.int32()), [[*range(100_000)], []]),
}
WIDE = {f"column {n}": _same(pa.int32(), [n, -n]) for n in range(500)}
NAMED = {word: _same(pa.string(), [word]) for word in WORDS}


@pytest.fixture(scope="module")
def sizes(engines: Any) -> Columns:
    return Columns(EngineLake.new(engines, ("delta", "iceberg")), SIZES)


@pytest.fixture(scope="module")
def wide(engines: Any) -> Columns:
    return Columns(EngineLake.new(engines, ("delta", "iceberg")), WIDE | NAMED)


@pytest.mark.parametrize(("engine", "form"), BOTH)
@pytest.mark.parametrize("feature", SIZES)
def test_engine_reads_large_value(
    sizes: Columns, matrix: Matrix, feature: str, engine: str, form: str
) -> None:
    note = sizes.assert_read_by(engine, form, feature)
    with matrix.reads("Sizes and names", feature, engine, form, note):
        pass


@pytest.mark.parametrize(("engine", "form"), BOTH)
def test_engine_reads_many_columns_with_names_of_every_script(
    wide: Columns, matrix: Matrix, engine: str, form: str
) -> None:
    with matrix.reads("Sizes and names", "500 columns", engine, form):
        for feature in WIDE:
            wide.assert_read_by(engine, form, feature)
    with matrix.reads("Sizes and names", "names of every script, and reserved words", engine, form):
        for feature in NAMED:
            wide.assert_read_by(engine, form, feature)
