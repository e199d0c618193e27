from __future__ import annotations

import re
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.layout import PartitionField
from lakeload.write.location import file_names, folder

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)


@given(st.lists(st.tuples(texts.filter(bool), st.one_of(st.none(), texts)), max_size=3))
def test_any_name_and_value_gives_one_folder_of_safe_characters(parts):
    path = folder([PartitionField(name) for name, _ in parts], [value for _, value in parts])
    assert re.fullmatch(r"data/([A-Za-z0-9_.~%-]*=[A-Za-z0-9_.~%-]*/)*", path)
    assert path.count("/") == len(parts) + 1


def test_null_and_values_have_folders_readers_can_parse():
    fields = [PartitionField("at", "month"), PartitionField("shop"), PartitionField("n")]
    assert (
        folder(fields, [650, "a/b", None]) == "data/at_month=2024-03/shop=a%2Fb/n=__HIVE_DEFAULT_PARTITION__/"
    )


def test_value_too_long_for_a_folder_is_refused_with_the_way_out():
    with pytest.raises(SchemaError, match=r"too long .*column c.*truncate\(32, c\)"):
        folder([PartitionField("c")], ["x" * 500])


def test_file_names_never_repeat_even_for_one_load():
    names = [*islice(file_names("load"), 100), *islice(file_names("load"), 100)]
    assert len(set(names)) == 200
    assert all(re.fullmatch(r"load-[0-9a-f]{10}-\d{4}\.parquet", name) for name in names)


def test_load_id_with_odd_characters_gives_a_safe_name():
    assert re.fullmatch(r"a-b-c-[0-9a-f]{10}-0001\.parquet", next(file_names("a/b c")))
