"""What tables publish about their files is true: a bound may be wider than the values, never narrower."""

from __future__ import annotations

import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from arrow_data import FAR, HARD, Sample, samples
from footers import check_footer
from hypothesis import given
from hypothesis import strategies as st
from lakes import Place
from published import check

from lakeload.write.assemble import Assembly
from lakeload.write.encode import Encoder


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder in which every example takes a lake of its own."""
    return str(tmp_path_factory.mktemp("statistics"))


FORMATS = [("delta",), ("iceberg",), ("delta", "iceberg")]
HALVES = st.sampled_from([None, "a", "b"])


@st.composite
def cases(draw: Any) -> tuple[tuple[str, ...], Sample, str | None, list[int]]:
    """Formats, rows, what to partition by, and where to cut the rows into loads."""
    formats = draw(st.sampled_from(FORMATS))
    sample = draw(samples(time="delta" not in formats, most_rows=12, more=HARD))
    rows = sample.given.num_rows
    halves = draw(st.lists(HALVES, min_size=rows, max_size=rows))
    given_ = sample.given.append_column("p", pa.array(halves, pa.string()))
    cuts = draw(st.lists(st.integers(1, rows), max_size=2))
    by = draw(st.sampled_from([None, "p", "bucket(2, p)", "truncate(1, p)"]))
    return formats, Sample(given_, sample.stored), by, sorted({0, rows, *cuts})


@given(case=cases())
def test_everything_published_about_files_of_any_rows_is_true(
    lakes: str, case: tuple[tuple[str, ...], Sample, str | None, list[int]]
) -> None:
    formats, sample, by, cuts = case
    place = Place(formats, f"{lakes}/{uuid.uuid4().hex}")
    for first, last in pairwise(cuts):
        part = sample.given.slice(first, last - first)
        encoding: Any = ("compat", "modern")[first % 2]
        place.load(part, load_columns=False, fold=False, partition_by=by or (), encoding=encoding)
    assert check(place) >= len(cuts) - 1


@given(
    sample=samples(time=True, most_rows=16, more=[*HARD, *FAR]),
    cuts=st.lists(st.integers(1, 15), max_size=3),
    encoding=st.sampled_from(["compat", "modern"]),
)
def test_footers_of_joined_row_groups_are_true(
    lakes: str, sample: Sample, cuts: list[int], encoding: Any
) -> None:
    table, path = sample.stored, Path(lakes) / f"{uuid.uuid4().hex}.parquet"
    bounds = sorted({0, table.num_rows, *(cut for cut in cuts if cut < table.num_rows)})
    encode, file = Encoder(encoding), Assembly()
    parts = [table.slice(a, b - a) for a, b in pairwise(bounds)]
    body = [bytes(piece) for part in parts for piece in file.add(encode(part))]
    path.write_bytes(b"".join([*body, file.finish()]))
    assert check_footer(path) >= len(parts) * len(file.stats())
    path.unlink()
