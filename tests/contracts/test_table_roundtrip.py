"""Any Arrow table of supported types comes back equal, from every reader of the format."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest
from arrow_data import LEAVES, TIME, Kind, Sample, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lakes import Place

import lakeload as ll


@pytest.fixture(scope="session")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder in which every example takes a lake of its own."""
    return str(tmp_path_factory.mktemp("roundtrip"))


def check(lakes: str, formats: tuple[str, ...], sample: Sample, **options: object) -> None:
    place = Place(formats, f"{lakes}/{uuid.uuid4().hex}")
    place.load(sample.given, load_columns=False, **options)
    place.holds(sample.stored)


@given(sample=samples())
def test_delta_returns_what_was_loaded(lakes: str, sample: Sample) -> None:
    check(lakes, ("delta",), sample)


@given(sample=samples(time=True))
def test_iceberg_returns_what_was_loaded(lakes: str, sample: Sample) -> None:
    check(lakes, ("iceberg",), sample)


@given(sample=samples())
def test_both_formats_return_what_was_loaded(lakes: str, sample: Sample) -> None:
    check(lakes, ("delta", "iceberg"), sample)


@given(first=samples(most_rows=3), again=st.integers(2, 4))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_loads_of_the_same_table_add_up(lakes: str, first: Sample, again: int) -> None:
    place = Place(("delta", "iceberg"), f"{lakes}/{uuid.uuid4().hex}")
    lake = place.lake()
    for _ in range(again):
        ll.load(first.given, lake, table="t", load_columns=False)
    place.holds(pa.concat_tables([first.stored] * again))


def _partitionable(kind: Kind) -> bool:
    # The specifications do not let floats be partition keys safely (NaN), and Delta has no binary ones.
    return not pa.types.is_floating(kind.given)


def _not_empty(value: object) -> bool:
    # In Delta's log an empty text is a null; that it is refused is shown with the layout tests.
    return value != ""


@pytest.mark.parametrize("formats", [("delta",), ("iceberg",)], ids=["delta", "iceberg"])
@given(data=st.data())
def test_partition_values_return_as_they_were(
    lakes: str, formats: tuple[str, ...], data: st.DataObject
) -> None:
    leaves = [kind for kind in LEAVES if _partitionable(kind) and not pa.types.is_binary(kind.stored)]
    kind = data.draw(st.sampled_from(leaves if formats == ("delta",) else [*leaves, TIME]))
    values = data.draw(st.lists(st.none() | kind.values.filter(_not_empty), min_size=1, max_size=5))
    ids = pa.array(range(len(values)), pa.int64())
    given_ = pa.table({"id": ids, "p": pa.array(values, kind.given)})
    stored = pa.table({"id": ids, "p": pa.array(values, kind.stored)})
    check(lakes, formats, Sample(given_, stored), partition_by="p")
