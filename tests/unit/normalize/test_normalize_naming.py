import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.normalize.naming import MAX_BYTES, column_name, column_names, match_names, table_name


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
def test_a_blank_name_is_refused(raw):
    with pytest.raises(SchemaError, match="no name"):
        column_name(raw)
    with pytest.raises(SchemaError, match="column 2 has no name"):
        column_names(["a", raw])


def test_long_names_are_cut_and_stay_distinct():
    one, other = column_name("x" * 300), column_name("x" * 301)
    assert len(one) == MAX_BYTES
    assert one != other
    assert re.fullmatch(r"x+_[0-9a-f]{8}", one)
    assert len(column_name("名" * 100).encode()) <= MAX_BYTES


@given(st.text(min_size=1).filter(lambda raw: raw.strip()))
def test_names_are_valid_stable_and_within_the_limit(raw):
    name = column_name(raw)
    assert column_name(name) == name
    assert 0 < len(name.encode()) <= MAX_BYTES
    assert not name[0].isdigit()
    assert not set(name) & set(" ./\\\"'`,;{}()=\n\t\0")
    assert name == name.lower()


@given(st.text(min_size=1).filter(lambda raw: raw.strip()))
def test_table_names_are_stable_and_never_hidden_directories(raw):
    name = table_name(raw)
    assert table_name(name) == name
    assert name[0] not in "._0123456789"
    assert len(name.encode()) <= MAX_BYTES
    assert "/" not in name


def test_table_names_follow_the_column_rule():
    assert table_name("Sales.Orders-2024") == "sales_orders_2024"
    assert table_name("_private") == "private"
    assert table_name("2024") == "t_2024"


@pytest.mark.parametrize(
    ("raws", "both"),
    [
        (["userId", "user_id"], ("'userId'", "'user_id'")),
        (["ID", "id"], ("'ID'", "'id'")),
        (["a.b", "a-b"], ("'a.b'", "'a-b'")),
        (["a", "a"], ("two columns named 'a'",)),
    ],
)
def test_names_that_fall_into_one_are_refused_and_both_are_named(raws, both):
    with pytest.raises(SchemaError) as caught:
        column_names(raws)
    assert all(text in str(caught.value) for text in both)
    assert "Rename" in str(caught.value)


def test_names_of_load_columns_are_reserved_at_top_level_only():
    with pytest.raises(SchemaError, match="reserved"):
        column_names(["_lakeload_id"])
    assert match_names(["_lakeload_id"], [], top=False) == {"_lakeload_id": "_lakeload_id"}


def test_existing_columns_are_found_exactly_first_then_by_the_rule():
    existing = ["UserId", "user_name", "Total €"]
    names = match_names(["UserId", "userName", "total", "newOne"], existing)
    assert names == {"UserId": "UserId", "userName": "user_name", "total": "Total €", "newOne": "new_one"}


def test_no_column_is_added_beside_one_that_differs_in_case_alone():
    assert match_names(["userid", "fooBAR"], ["UserID", "FOOBAR"]) == {
        "userid": "UserID",
        "fooBAR": "foo_bar",
    }
    assert match_names(["UserID"], ["userid"]) == {"UserID": "user_id"}


@given(
    st.text(min_size=1).filter(lambda raw: raw.strip()),
    st.lists(st.text(min_size=1).filter(lambda raw: raw.strip()), unique_by=str.lower),
)
def test_matching_never_makes_case_duplicates(raw, existing):
    try:
        final = match_names([raw], existing, top=False)[raw]
    except SchemaError:
        return
    assert final in existing or final.lower() not in {name.lower() for name in existing}


def test_a_name_that_fits_several_existing_columns_is_refused():
    assert match_names(["fooBar"], ["fooBar", "foo_bar"]) == {"fooBar": "fooBar"}
    with pytest.raises(SchemaError, match=r"'fooBar', 'foo_bar'"):
        match_names(["FooBar"], ["fooBar", "foo_bar"])


def test_two_spellings_of_one_existing_column_are_refused():
    with pytest.raises(SchemaError, match="would both be named"):
        match_names(["UserId", "user_id"], ["UserId"])
