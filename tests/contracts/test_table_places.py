"""Lakes in folders with odd names: what is loaded there is read back, by lakeload and by others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from lakes import Place

import lakeload as ll

ROWS = pa.table({"id": pa.array([1, 2], pa.int64()), "land": ["IS", "Å b/c%"]})
FORMATS = (("delta",), ("iceberg",), ("delta", "iceberg"))
TWICE = pa.concat_tables([ROWS, ROWS])


@pytest.mark.parametrize("partition_by", [None, "land"])
@pytest.mark.parametrize(
    "folder",
    [
        "a b",
        "Grüße",
        "100%",
        "pct%41",
        "what?",
        "a?b=c&d",
        "no#1",
        "env=prod",
        "env=prod/land=XX",
        "q\"'`",
        "[x]{y}",
        "a+b;c@d:e,f~!$*",
    ],
)
def test_what_is_loaded_below_an_odd_folder_is_read_back(
    tmp_path: Path, folder: str, partition_by: str | None
) -> None:
    for formats in FORMATS:
        place = Place(formats, str(tmp_path / folder / "+".join(formats)))
        for _ in range(2):
            place.load(ROWS, partition_by=partition_by, load_columns=False)
        found = [place.table().to_arrow(), place.table().to_polars().collect().to_arrow()]
        assert [sorted(table["land"].to_pylist()) for table in found] == [
            ["IS", "IS", "Å b/c%", "Å b/c%"]
        ] * 2


def test_other_engines_read_what_lies_below_odd_folders(place: Place) -> None:
    odd = replace(place, root=f"{place.root}/a b/Grüße/env=prod/no 1+x")
    for _ in range(2):
        odd.load(ROWS, partition_by="land", load_columns=False)
    odd.holds(TWICE)


@pytest.mark.parametrize("prefix", ["s3://lake/what?", "s3://lake/a#b/c", "gs://lake/?", "az://lake/a?b"])
def test_a_prefix_no_reader_would_find_is_refused(prefix: str) -> None:
    with pytest.raises(ll.ConfigError, match=r"\? or #"):
        ll.Lakehouse(prefix, storage_options={"azure_storage_account_name": "acme"} if prefix < "b" else None)
