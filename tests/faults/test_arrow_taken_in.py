"""Arrow data, Parquet and Arrow files that hold what no table can, or that are broken."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lakeload as ll

BAD = pa.array([b"ok", b"caf\xe9", None], pa.binary())
TEXT = BAD.view(pa.string())
TWICE = pa.array([[("a", 1)], [("a", 1), ("b", 2), ("a", 3)], None], pa.map_(pa.string(), pa.int64()))
COUNTS = pa.array([0, 1, 2, 3], pa.int32())
FLAWED = {
    "text": TEXT,
    "large text": BAD.cast(pa.large_binary()).view(pa.large_string()),
    "text coded": pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), TEXT),
    "text in a struct": pa.StructArray.from_arrays([TEXT, pa.array([1, 2, 3])], ["t", "n"]),
    "text in a list": pa.ListArray.from_arrays(COUNTS, TEXT),
    "text in a map": pa.MapArray.from_arrays(COUNTS, pa.array(["k", "k", "k"]), TEXT),
    "text as a key": pa.MapArray.from_arrays(COUNTS, TEXT.fill_null("x"), pa.array([1, 2, 3])),
    "a key twice": TWICE,
    "a key twice in a list": pa.ListArray.from_arrays(COUNTS, TWICE),
    "a key twice, a number": pa.array([[], [(1, 1), (1, 1)], [(1, 1)]], pa.map_(pa.int64(), pa.int64())),
}


def table(name: str) -> pa.Table:
    return pa.table({"id": [1, 2, 3], "v": FLAWED[name]})


def ids(lake: Path, name: str = "t") -> list[int]:
    return sorted(ll.Lakehouse(lake).table(name).to_arrow().column("id").to_pylist())


@pytest.mark.parametrize("name", FLAWED)
def test_a_value_no_table_can_hold_is_refused_with_its_place(tmp_path, name):
    with pytest.raises(ll.SourceError, match=r"(no UTF-8|key twice).*column v.*row 2"):
        ll.load(table(name), tmp_path / "lake", table="t")


@pytest.mark.parametrize("name", FLAWED)
def test_a_contract_puts_its_row_aside_as_the_source_gave_it(tmp_path, name):
    for _ in range(2):
        report = ll.load(table(name), tmp_path, table="t", contract={"types": "quarantine"})
        assert report.tables["t"].quarantined_rows == 1
    assert ids(tmp_path) == [1, 1, 3, 3]
    aside = ll.Lakehouse(tmp_path).table("t__quarantine").to_arrow().to_pylist()
    assert [row["row"] for row in aside] == [2, 2]
    assert "Y2Fm6Q==" in aside[0]["payload"] or aside[0]["payload"].count('"key"') > 1


@pytest.mark.parametrize("name", FLAWED)
def test_a_contract_drops_the_value_alone(tmp_path, name):
    report = ll.load(table(name), tmp_path, table="t", contract={"types": "discard_value"})
    assert report.tables["t"].discarded_values == 1
    assert ids(tmp_path) == [1, 2, 3]


def test_a_parquet_file_is_no_exception(tmp_path):
    pq.write_table(table("text"), tmp_path / "a.parquet")
    with pytest.raises(ll.SourceError, match=r"no UTF-8.*row 2, in .*a\.parquet"):
        ll.load(tmp_path / "a.parquet", tmp_path / "lake", table="t")


UNION = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["x", "y"])])


@pytest.mark.parametrize(
    "data",
    [
        pa.table({"u": UNION}).slice(0, 0),
        pa.table({"s": pa.StructArray.from_arrays([UNION], ["u"])}).slice(0, 0),
        pa.table({"d": pa.DictionaryArray.from_arrays(pa.array([5], pa.int8()), pa.array(["a"]), safe=False)}),
        pa.table({"t": pa.array([86400], pa.int32()).view(pa.time32("s"))}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"v": pd.Series(["\ud800", 1], dtype=object)}),
        pa.table({"p": [648]}, pa.schema([pa.field("p", pa.int64(), metadata={"ARROW:extension:name": "pandas.period"})])),
    ],
    ids=["union", "union inside", "index", "time", "name twice", "surrogate", "period"],
)  # fmt: skip
def test_what_means_nothing_is_refused(tmp_path, data):
    with pytest.raises(ll.LakeloadError):
        ll.load(data, tmp_path, table="t", format="iceberg")


def test_unions_in_a_file_are_refused_before_they_are_touched(tmp_path):
    schema = pa.schema([("id", pa.int64()), ("u", pa.list_(UNION.type))])
    nothing = pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), schema) as sink:
        sink.write_batch(nothing)
    with pytest.raises(ll.SchemaError, match=r"unions.*column u, in .*a\.arrow"):
        ll.load(tmp_path / "a.arrow", tmp_path / "lake", table="t")


@pytest.mark.parametrize("rows", [b"\x80\x00", b"\xd2\x0f"], ids=["none", "one more"])
def test_a_footer_that_counts_other_rows_than_its_row_groups_is_refused(tmp_path, rows):
    data = parquet(tmp_path)
    count = data.index(b"\x16\xd0\x0f", len(data) - int.from_bytes(data[-8:-4], "little") - 8)
    (tmp_path / "a.parquet").write_bytes(data[: count + 1] + rows + data[count + 3 :])
    with pytest.raises(ll.SourceError, match=r"other rows than the footer says.*a\.parquet"):
        ll.load(tmp_path / "a.parquet", tmp_path / "lake", table="t")


def test_periods_become_the_text_pandas_shows(tmp_path):
    frame = pd.DataFrame({"m": pd.PeriodIndex(["2024-01", None, "2024-03"], freq="M")})
    ll.load(frame, tmp_path, table="t")
    assert ll.Lakehouse(tmp_path).table("t").to_arrow().column("m").to_pylist() == [
        "2024-01",
        None,
        "2024-03",
    ]


def parquet(tmp_path: Path) -> bytes:
    pq.write_table(pa.table({"id": range(1000)}), tmp_path / "whole.parquet")
    return (tmp_path / "whole.parquet").read_bytes()


def arrow(tmp_path: Path) -> bytes:
    with pa.ipc.new_file(str(tmp_path / "whole.arrow"), pa.schema([("id", pa.int64())])) as sink:
        sink.write_table(pa.table({"id": range(1000)}))
    return (tmp_path / "whole.arrow").read_bytes()


@pytest.mark.parametrize("make", [parquet, arrow])
@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-20],
        lambda data: data[:4],
        lambda data: data[: len(data) // 2] + data[-200:],
        lambda data: data[:-60] + bytes(52) + data[-8:],
        lambda data: b"PARE" + data[4:-4] + b"PARE",
        lambda data: data[:100] + b"\xff" * 60 + data[160:-160] + b"\xff" * 40 + data[-120:],
    ],
    ids=["end", "start", "middle", "footer", "encrypted", "bits"],
)
def test_a_damaged_file_is_the_sources_fault(tmp_path, make, harm):
    data = make(tmp_path)
    path = tmp_path / f"a.{make.__name__}"
    path.write_bytes(harm(data))
    with pytest.raises(ll.SourceError, match=rf"a\.{make.__name__}"):
        ll.load(path, tmp_path / "lake", table="t")
