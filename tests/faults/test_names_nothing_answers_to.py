"""Names in options: in the source's spelling or the table's, and an error where nothing answers to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pydantic
import pytest

import lakeload as ll
from lakeload import rules
from lakeload.preview import preview

ROWS = [{"id": 1, "totalAmount": -5, "address": {"zipCode": "a"}, "lines": [{"n": 1}], "note": None}]


class Order(pydantic.BaseModel):
    id: int
    totalAmount: int = pydantic.Field(ge=0)  # noqa: N815 - as the source has it


class Typo(pydantic.BaseModel):
    id: int
    totl: int


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"rules": "ammount between 0 and 10"}, "column ammount"),
    ({"rules": "idd not null"}, r"Did you mean id\?"),
    ({"rules": "unique id, totalAmont"}, r"Did you mean total_amount\?"),
    ({"rules": "totl in 1, 2"}, "The table has id, total_amount, address, lines"),
    ({"rules": "addres matches x"}, "Did you mean address"),
    ({"rules": rules.where("w", pl.col("totl") > 0)}, "the rule w is about a column"),
    ({"rules": rules.conforms(Typo)}, "column totl"),
    ({"rules": "lines not null", "nesting": "tables"}, "column lines"),
    ({"primary_key": "idd"}, r"primary_key names 'idd'.*Did you mean id\?"),
    ({"primary_key": ["id", "x"], "nesting": "tables"}, "primary_key names 'x'"),
    ({"nesting": {"lins": "tables"}}, r"nesting names 'lins'.*Did you mean lines\?"),
    ({"nesting": {"address.zip": "json"}}, r"Did you mean address\.zipCode\?"),
    ({"nesting": {"lines.m": "json"}}, r"Did you mean lines\.n\?"),
    ({"nesting": {"id.x": "json"}}, "nothing by a name like it"),
    ({"schema": {"idd": pa.int64()}}, r"schema names 'idd'.*Did you mean id\?"),
    ({"schema": pa.schema([("totalAmmount", pa.int64())])}, r"Did you mean totalAmount\?"),
    ({"schema": {"nothing_like_it": pa.int64()}}, "There are id, totalAmount, address, lines, note"),
    ({"partition_by": "idd"}, r"no column 'idd'.*Did you mean id\?"),
    ({"sort_by": "totalAmont desc"}, r"Did you mean total_amount\?"),
    ({"cursor": "idd"}, "cursor column is missing"),
]
RIGHT: list[dict[str, Any]] = [
    {"rules": ["totalAmount between -10 and 0", "total_amount in -5", "unique TotalAmount, ID"]},
    {"rules": "note between 0 and 1"},  # there, but without a value so far
    {"rules": rules.where("w", pl.col("totalAmount") < 0)},
    {"primary_key": "totalAmount", "nesting": "tables"},
    {"primary_key": "total_amount", "nesting": "tables"},
    {"primary_key": "ID"},
    {"nesting": {"lines": "tables", "address.zipCode": "json"}},
    {"nesting": {"address.zip_code": "json", "note.deep.down": "json"}},
    {"schema": {"total_amount": pa.int32(), "ID": pa.int32()}},
    {"schema": pa.schema([("comes_later", pa.int64())])},
    {"partition_by": "totalAmount", "sort_by": "ID"},
]


@pytest.mark.parametrize(("options", "said"), WRONG, ids=lambda value: str(value)[:40])
def test_a_name_nothing_answers_to_is_an_error_and_nothing_is_published(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ll.LakeloadError, match=said):
        ll.load(ROWS, tmp_path, table="t", **options)
    assert ll.Lakehouse(tmp_path).tables() == []


@pytest.mark.parametrize("options", RIGHT, ids=lambda value: str(value)[:40])
def test_names_are_the_sources_or_the_tables(tmp_path: Path, options: dict[str, Any]) -> None:
    report = ll.load(ROWS, tmp_path, table="t", **options).tables["t"]
    assert (report.rows, report.quarantined_rows) == (1, 0)


@pytest.mark.parametrize("rule", ["totalAmount between 0 and 10", rules.conforms(Order)])
def test_a_rule_in_the_sources_spelling_keeps_rows_out(tmp_path: Path, rule: object) -> None:
    report = ll.load(ROWS, tmp_path, table="t", rules=[rule]).tables["t"]
    assert (report.rows, report.quarantined_rows) == (0, 1)


@pytest.mark.parametrize(
    "options", [{"rules": "total_amount not null"}, {"nesting": {"lines": "json"}}, {"primary_key": "id"}]
)
def test_what_the_table_has_need_not_come_again(tmp_path: Path, options: dict[str, Any]) -> None:
    ll.load(ROWS, tmp_path, table="t")
    report = ll.load([{"note": "a", "totalAmount": 1}], tmp_path, table="t", **options)
    assert report.tables["t"].rows == 1


def test_a_load_of_no_rows_says_nothing_of_names(tmp_path: Path) -> None:
    ll.load([], tmp_path, table="t", rules="x not null", primary_key="y", schema={"z": pa.int64()})


def test_a_name_may_come_late(tmp_path: Path) -> None:
    rows = ([{"id": n}] if n else [{"id": 0, "deep": {"er": 1}}] for n in range(3, -1, -1))
    report = ll.load(rows, tmp_path, table="t", nesting={"deep.er": "json"}, rules="deep not null")
    assert (report.tables["t"].rows, report.tables["t"].quarantined_rows) == (1, 3)


def test_a_preview_refuses_the_same_names(tmp_path: Path) -> None:
    with pytest.raises(ll.ConfigError, match="primary_key names 'idd'"):
        preview(ROWS, ll.Lakehouse(tmp_path), "t", primary_key="idd")
