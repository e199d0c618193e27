"""Rows and statistics as readers get them: our own scan, Polars, pyiceberg, DuckDB."""

from __future__ import annotations

import datetime as dt
import math
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from handmade import columns, data_file
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.expressions import EqualTo, GreaterThan, IsNaN, IsNull, LessThanOrEqual, NotNaN, NotNull
from readers import assert_same_rows, iceberg_readers, read_iceberg

from lakeload.catalogs.sql import SqlCatalog
from lakeload.errors import StorageError, TableError
from lakeload.formats.iceberg import IcebergTable
from lakeload.model.changes import Changeset, Committed, Creation, SchemaChange
from lakeload.model.layout import Layout
from lakeload.model.schema import apply_changes, without_ids
from lakeload.model.table import TableState
from lakeload.storage_options import StorageOptions
from lakeload.write.store import Store

EVERY = columns(
    flag=pa.bool_(),
    small=pa.int32(),
    big=pa.int64(),
    single=pa.float32(),
    double=pa.float64(),
    money=pa.decimal128(20, 4),
    day=pa.date32(),
    local=pa.timestamp("us"),
    at=pa.timestamp("us", "UTC"),
    text=pa.string(),
    data=pa.binary(),
    sub=pa.struct([("x", pa.int64()), ("y", pa.list_(pa.string()))]),
    tags=pa.map_(pa.string(), pa.int32()),
)
ROW: dict[str, Any] = {
    "flag": True,
    "small": -1,
    "big": 2**40,
    "single": 0.5,
    "double": -0.0,
    "money": Decimal("12.3400"),
    "day": dt.date(1969, 12, 31),
    "local": dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
    "at": dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
    "text": "naïve 🦆 and longer than sixteen",
    "data": b"\xff" * 20,
    "sub": {"x": 1, "y": ["a", None]},
    "tags": [("k", 1)],
}
NULLS: dict[str, Any] = dict.fromkeys(EVERY.names)


def lab(root: str) -> tuple[IcebergTable, Store]:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    catalog = SqlCatalog(f"sqlite:///{root}/catalog.db", root, StorageOptions(), now=lambda: now)
    return catalog.open("ns", "t", f"{root}/ns/t"), Store(f"{root}/ns/t")


def filled(
    root: str, schema: pa.Schema, *files: list[dict[str, Any]], properties: dict[str, str] | None = None
) -> tuple[IcebergTable, TableState]:
    table, store = lab(root)
    added = tuple(data_file(store, schema, rows) for rows in files)
    creation = Creation(Layout(), properties or {})
    assert isinstance(table.commit(Changeset("L", "append", schema, added, create=creation), None), Committed)
    state = table.load()
    assert state is not None
    return table, state


@pytest.mark.parametrize("engine", sorted(iceberg_readers))
def test_every_type_is_read_back_by_engines_that_did_not_write_it(tmp_path: Path, engine: str) -> None:
    _, state = filled(str(tmp_path), EVERY, [ROW], [NULLS])
    expected = pa.Table.from_pylist([ROW, NULLS], schema=without_ids(EVERY))
    assert_same_rows(read_iceberg(state.handle.location, engine=engine), expected)


def test_a_scan_has_the_types_and_the_order_of_the_table(tmp_path: Path) -> None:
    table, state = filled(str(tmp_path), EVERY, [ROW, NULLS])
    assert table.scan(state, None).schema == without_ids(EVERY)
    assert_same_rows(
        table.scan(state, None).read_all(), pa.Table.from_pylist([ROW, NULLS], schema=without_ids(EVERY))
    )
    assert table.scan(state, ["text", "small"]).schema.names == ["text", "small"]
    assert table.scan(state, ["text", "small"]).read_all()["text"].to_pylist() == [ROW["text"], None]
    with pytest.raises(TableError, match=r"no such column \(table t, column nope\)"):
        table.scan(state, ["nope"])


def test_missing_lists_maps_and_structs_stay_missing_at_every_depth_and_across_batches(
    tmp_path: Path,
) -> None:
    item = pa.struct([("x", pa.int32()), ("y", pa.struct([("z", pa.string())]))])
    schema = columns(id=pa.int64(), things=pa.list_(item), named=pa.map_(pa.string(), item))
    shapes: list[dict[str, Any]] = [
        {"things": None, "named": None},
        {"things": [], "named": []},
        {"things": [None, {"x": None, "y": None}], "named": [("a", None)]},
        {"things": [{"x": 1, "y": {"z": "q"}}], "named": [("a", {"x": 2, "y": {"z": None}})]},
    ]
    rows = [{"id": number} | shapes[number % 4] for number in range(70_000)]
    table, before = filled(str(tmp_path), schema, rows)
    changes = (
        SchemaChange("add", ("things", "element", "new"), None, pa.int32()),
        SchemaChange("widen", ("named", "value", "x"), pa.int32(), pa.int64()),
    )
    wide, _ = apply_changes(before.schema, before.last_column_id, changes)
    assert isinstance(table.commit(Changeset("L", "append", wide, schema_changes=changes), before), Committed)
    state = table.load()
    assert state is not None
    expected = [
        row
        | {
            "things": None
            if row["things"] is None
            else [thing and thing | {"new": None} for thing in row["things"]]
        }
        for row in rows
    ]
    found = table.scan(state, None).read_all()
    assert found.schema == without_ids(wide)
    assert found.sort_by("id").to_pylist() == expected


def test_a_column_that_only_the_table_has_is_null_in_older_files(tmp_path: Path) -> None:
    schema = columns(id=pa.int64())
    table, before = filled(str(tmp_path), schema, [{"id": 1}, {"id": 2}])
    change = SchemaChange("add", ("later",), None, pa.string())
    wide, _ = apply_changes(before.schema, before.last_column_id, [change])
    table.commit(Changeset("L", "append", wide, schema_changes=(change,)), before)
    state = table.load()
    assert state is not None
    assert table.scan(state, ["later"]).read_all()["later"].to_pylist() == [None, None]


def test_files_without_field_ids_are_read_by_the_tables_name_mapping(tmp_path: Path) -> None:
    schema = columns(id=pa.int64(), text=pa.string())
    table, before = filled(str(tmp_path), schema, [{"id": 1, "text": "a"}])
    path = f"{tmp_path}/migrated.parquet"
    pq.write_table(pa.table({"text": ["b"], "id": [2]}), path)
    library = SqlCatalog(
        f"sqlite:///{tmp_path}/catalog.db", "", StorageOptions(), now=dt.datetime.now
    ).library
    library.load_table("ns.t").add_files([path])
    state = table.load()
    assert state is not None
    assert state != before
    assert {file.path for file in table.files(state) if not file.path.startswith("data/")} == {path}
    assert table.scan(state, None).read_all().sort_by("id").to_pylist() == [
        {"id": 1, "text": "a"},
        {"id": 2, "text": "b"},
    ]


@pytest.mark.parametrize("what", ["data", "metadata/m-", "metadata/snap-"])
def test_a_file_that_is_gone_is_named_with_a_way_out(tmp_path: Path, what: str) -> None:
    table, _ = filled(str(tmp_path), columns(id=pa.int64()), [{"id": 1}])
    (gone,) = Path(table.location).glob(f"{what}*" if "/" in what else f"{what}/*")
    gone.unlink()
    fresh = lab(str(tmp_path))[0]
    state = fresh.load()
    assert state is not None
    with pytest.raises(StorageError, match=rf"is gone: .*{gone.name}.*roll the table back"):
        fresh.scan(state, None).read_all()


def test_an_older_state_still_reads_its_own_rows(tmp_path: Path) -> None:
    schema = columns(id=pa.int64())
    table, before = filled(str(tmp_path), schema, [{"id": 1}])
    change = Changeset("L", "append", schema, (data_file(Store(table.location), schema, [{"id": 2}]),))
    assert isinstance(table.commit(change, before), Committed)
    after = table.load()
    assert after is not None
    assert (len(table.files(before)), len(table.files(after))) == (1, 2)
    assert table.scan(before, None).read_all()["id"].to_pylist() == [1]
    assert table.lazy(before).collect()["id"].to_list() == [1]
    assert sorted(table.lazy(after).collect()["id"].to_list()) == [1, 2]


@pytest.mark.parametrize(
    ("mode", "bounds", "counts"),
    [
        ("truncate(16)", (b"naive and longer", b"naive and longes"), True),
        ("truncate(5)", (b"naive", b"naivf"), True),
        ("full", (b"naive and longer than sixteen",) * 2, True),
        ("counts", (None, None), True),
        ("none", (None, None), False),
    ],
)
def test_the_tables_metrics_mode_is_honoured(
    tmp_path: Path, mode: str, bounds: tuple[Any, Any], counts: bool
) -> None:
    schema = columns(text=pa.string())
    properties = {"write.metadata.metrics.default": mode}
    table, state = filled(
        str(tmp_path), schema, [{"text": "naive and longer than sixteen"}], properties=properties
    )
    (manifest,) = table._manifests.manifests(state.handle)
    file = table._manifests.entries(manifest)[0].data_file
    assert ((file.lower_bounds or {}).get(1), (file.upper_bounds or {}).get(1)) == bounds
    assert bool(file.value_counts) is counts
    assert file.column_sizes == {1: 40}
    assert file.split_offsets == [4]


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20) | st.text(
    "ab\U0010ffff", min_size=14, max_size=20
)
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "i": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "l": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "f": (pa.float32(), st.floats(width=32)),
    "d": (pa.float64(), st.floats() | st.sampled_from([0.0, -0.0])),
    "m": (pa.decimal128(9, 2), st.decimals(Decimal(-9999999), Decimal(9999999), places=2)),
    "day": (pa.date32(), st.dates()),
    "at": (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(dt.UTC))),
    "s": (pa.string(), TEXT),
}


@given(st.data())
def test_pruning_by_bounds_never_hides_a_row(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(KINDS)))
    kind, values = KINDS[name]
    schema = columns(row=pa.int64(), v=kind)
    drawn = data.draw(st.lists(st.lists(st.none() | values, min_size=1, max_size=4), min_size=1, max_size=3))
    files = [
        [{"row": f * 10 + r, "v": value} for r, value in enumerate(rows)] for f, rows in enumerate(drawn)
    ]
    everything = [row for rows in files for row in rows]
    present = [row["v"] for row in everything if row["v"] is not None and row["v"] == row["v"]]
    with tempfile.TemporaryDirectory() as root:
        table, state = filled(root, schema, *files)
        checks: list[tuple[Any, Any]] = [
            (IsNull("v"), lambda v: v is None),
            (NotNull("v"), lambda v: v is not None),
        ]
        if pa.types.is_floating(kind):
            checks += [
                (IsNaN("v"), lambda v: v is not None and math.isnan(v)),
                (NotNaN("v"), lambda v: v is None or not math.isnan(v)),
            ]
        if present:
            pivot = data.draw(st.sampled_from(present))
            literal = pivot.isoformat() if isinstance(pivot, dt.date) else pivot
            checks += [
                (EqualTo("v", literal), lambda v: v is not None and v == pivot),
                (GreaterThan("v", literal), lambda v: v is not None and v > pivot),
                (LessThanOrEqual("v", literal), lambda v: v is not None and v <= pivot),
            ]
        scan = table._library_table(state).scan
        for predicate, holds in checks:
            # The files planning keeps must hold every row the predicate is true of; rows are then filtered exactly.
            kept = {task.file.file_path for task in scan(row_filter=predicate).plan_files()}
            found = {
                row["row"] for path in kept for row in pq.read_table(path).to_pylist() if holds(row["v"])
            }
            assert found == {row["row"] for row in everything if holds(row["v"])}, predicate
