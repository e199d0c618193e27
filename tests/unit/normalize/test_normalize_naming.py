import re

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.formats.delta_schema import check_name
from lakeload.model.naming import MAX_NAME_BYTES, source_parts, source_text
from lakeload.normalize.naming import child_table_name, column_name, path_name, table_name
from lakeload.normalize.reserved_words import RESERVED_WORDS


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("id", "id"),
        ("userId", "user_id"),
        ("UserID", "user_id"),
        ("HTTPServerId", "http_server_id"),
        ("already_snake", "already_snake"),
        ("SHOUTING_CASE", "shouting_case"),
        ("utf8Name", "utf8_name"),
        ("V2API", "v2_api"),
        ("kebab-case", "kebab_case"),
        ("a.b", "a_b"),
        ('say "hi"', "say_hi"),
        ("it's", "it_s"),
        ("a__b", "a_b"),
        ("_id", "_id"),
        ("__typename", "_typename"),
        ("$id", "id"),
        ("class_", "class"),
        ("Amount (EUR)", "amount_eur"),
        ("  padded  ", "padded"),
        ("2nd", "_2nd"),
        ("_2nd", "_2nd"),
        ("Größe", "größe"),
        ("ÜberGröße", "über_größe"),
        ("名前", "名前"),
        ("हिन्दी", "हिन्दी"),
        ("\ufb01eld", "field"),
        ("\uff49\uff44", "id"),
        ("party 🎉", "party"),
        ("❤\ufe0f", "u2764_ufe0f"),
        ("🎉", "u1f389"),
        ("%", "u0025"),
        ("_", "_u005f"),
        ("tab\tnew\nline", "tab_new_line"),
        ("../../etc", "etc"),
    ],
)
def test_columns_are_named_by_the_documented_rule(raw, name):
    assert column_name(raw) == name


@pytest.mark.parametrize("raw", ["", "  ", "\t\n", "\u00a0"])
def test_a_blank_name_of_a_column_is_unnamed_and_that_of_a_table_is_refused(raw):
    assert {column_name(raw, policy) for policy in ("snake_case", "sql_safe", "preserve")} == {"unnamed"}
    with pytest.raises(SchemaError, match="no name"):
        table_name(raw)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("Größe", "grosse"),
        ("naïveCafé", "naive_cafe"),
        ("名前", "u540d_u524d"),
        ("idⅧ", "id_viii"),
        ("ﬁeld", "field"),
        ("Order", "order_"),
        ("order_", "order_"),
        ("_Order", "_order"),
        ("qualify", "qualify_"),
        ("2nd", "_2nd"),
        ("🎉", "u1f389"),
        ("\u0301", "u0301"),
    ],
)
def test_sql_safe_names_are_ascii_and_no_reserved_words(raw, name):
    assert column_name(raw, "sql_safe") == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("userId", "userId"),
        ("Total €", "Total_€"),
        ("  padded\t", "padded"),
        ("a.b c", "a_b_c"),
        ("Amount (EUR); net", "Amount_EUR_net"),
        ("tab\tnew\nline\x00", "tab_new_line_"),
        ("select", "select"),
        ("2nd", "2nd"),
        ("🎉", "🎉"),
        ("a\u2028b", "a_b"),
    ],
)
def test_preserved_names_lose_only_what_cannot_be_in_a_name(raw, name):
    assert column_name(raw, "preserve") == name


def test_a_function_names_columns_and_is_held_to_what_can_be_a_name():
    assert column_name("userId", str.upper) == "USERID"
    assert len(column_name("x" * 300, str.upper)) == MAX_NAME_BYTES
    for unfit in ("", " ", "a b", "a.b", "a\n", None, 7):
        with pytest.raises(SchemaError, match="naming function"):
            column_name("x", lambda _raw, unfit=unfit: unfit)


def test_every_word_duckdb_reserves_is_known():
    query = "select keyword_name from duckdb_keywords() where keyword_category = 'reserved'"
    with duckdb.connect() as connection:
        words = {word for (word,) in connection.execute(query).fetchall()}
    assert words
    assert words <= RESERVED_WORDS


def test_long_names_are_cut_and_stay_distinct():
    one, other = column_name("x" * 300), column_name("x" * 301)
    assert len(one) == MAX_NAME_BYTES
    assert one != other
    assert re.fullmatch(r"x+_[0-9a-f]{8}", one)
    assert len(column_name("名" * 100).encode()) <= MAX_NAME_BYTES


def test_the_tail_of_a_long_name_tells_apart_what_the_rule_makes_equal():
    long = "Very Long Name " * 20
    assert column_name(long) != column_name(long.lower())
    assert column_name(long)[:-8] == column_name(long.lower())[:-8]
    assert column_name(long, max_length=40) == column_name(long, max_length=40)
    assert len(column_name(long, max_length=40)) <= 40


def test_child_tables_are_named_by_their_path():
    assert child_table_name("orders", ["lineItems", "Taxes"]) == "orders__line_items__taxes"
    long = child_table_name("orders", ["x" * 200, "y"])
    assert len(long) <= MAX_NAME_BYTES
    assert long != child_table_name("orders", ["x" * 200, "z"])
    assert long != child_table_name("orders", ["x" * 199, "y"])


def test_flattened_columns_are_named_by_their_path():
    assert path_name(("billingAddress", "zip code")) == "billing_address__zip_code"
    assert path_name(("a", "Order"), "sql_safe") == "a__order_"
    assert path_name(("a.b", "C"), "preserve") == "a_b__C"


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_source_name_is_told_apart_from_every_other_and_comes_back(parts):
    assert source_parts(source_text(parts)) == tuple(parts)


@given(st.text())
def test_names_are_valid_stable_and_within_the_limit(raw):
    name = column_name(raw)
    assert column_name(name) == name
    assert 0 < len(name.encode()) <= MAX_NAME_BYTES
    assert not name[0].isdigit()
    assert not set(name) & set(" ./\\\"'`,;{}()=\n\t\0")
    assert name == name.lower()


@given(st.text())
def test_sql_safe_names_need_no_quotes(raw):
    name = column_name(raw, "sql_safe")
    assert re.fullmatch("[a-z_][a-z0-9_]*", name)
    assert name not in RESERVED_WORDS
    assert column_name(name, "sql_safe") == name


@given(st.text())
def test_preserved_names_can_be_stored_in_delta(raw):
    name = column_name(raw, "preserve")
    check_name(name, (), table="t")
    assert column_name(name, "preserve") == name
    assert name == name.strip()


@given(st.text(min_size=1).filter(lambda raw: raw.strip()))
def test_table_names_are_stable_and_never_hidden_directories(raw):
    name = table_name(raw)
    assert table_name(name) == name
    assert name[0] not in "._0123456789"
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert "/" not in name


def test_table_names_follow_the_column_rule():
    assert table_name("Sales.Orders-2024") == "sales_orders_2024"
    assert table_name("_private") == "private"
    assert table_name("2024") == "t_2024"
