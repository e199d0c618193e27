import pytest

import lakeload as ll


@ll.resource(cursor="id")
def numbers():
    yield {"id": 1}


@pytest.mark.parametrize(
    "option", [{"cursor": "id"}, {"partition_by": "id"}, {"fold": False}, {"load_columns": False}]
)
def test_options_a_resource_would_not_follow_are_refused(tmp_path, option):
    (name,) = option
    with pytest.raises(ll.ConfigError, match=f"{name} cannot be given with a resource"):
        ll.load(numbers, tmp_path, **option)
    assert ll.Lakehouse(tmp_path).tables() == []


def test_a_resource_takes_another_table_and_mode(tmp_path):
    ll.load(numbers, tmp_path, table="others", mode=ll.Overwrite())
    assert ll.Lakehouse(tmp_path).tables() == ["others"]


@pytest.mark.parametrize(
    "option", [{"format": "iceberg"}, {"catalog": "sqlite:///c.db"}, {"namespace": "sales"}]
)
def test_options_a_lakehouse_would_not_follow_are_refused(tmp_path, option):
    (name,) = option
    with pytest.raises(ll.ConfigError, match=f"{name} was given"):
        ll.load([{"id": 1}], ll.Lakehouse(tmp_path), table="t", **option)


def test_options_that_repeat_what_the_lakehouse_has_are_welcome(tmp_path):
    lake = ll.Lakehouse(tmp_path, format="both", namespace="sales")
    ll.load([{"id": 1}], lake, table="t", format=("delta", "iceberg"), namespace="sales")
    assert lake.table("t").to_arrow().num_rows == 1
