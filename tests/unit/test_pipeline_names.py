import pytest

import lakeload as ll


@pytest.mark.parametrize(
    "table", ["größe", "テーブル", "हिन्दी", "x" * 300], ids=["umlaut", "kana", "marks", "long"]
)
def test_a_table_of_any_name_can_be_loaded_without_naming_a_pipeline(tmp_path, table):
    lake = ll.Lakehouse(tmp_path)
    report = ll.load([{"id": 1}], lake, table=table)
    (name,) = report.tables
    assert lake.table(name).to_arrow()["id"].to_pylist() == [1]
    assert lake.pipelines() == [f"load_{name}"]


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "_x", "two words", "é" * 71])
def test_a_name_that_cannot_be_a_folder_names_no_pipeline(tmp_path, name):
    with pytest.raises(ll.ConfigError, match="cannot name a pipeline"):
        ll.Lakehouse(tmp_path).journal(name)
