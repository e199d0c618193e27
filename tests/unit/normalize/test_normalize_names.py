import itertools
import json

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeload.errors import SchemaError
from lakeload.model.changes import SchemaChange
from lakeload.model.naming import PATH, SOURCE, SYSTEM, UNTYPED, source_names
from lakeload.model.schema import apply_changes
from lakeload.normalize.names import Names, credited

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
LIKELY = st.sampled_from(
    ["UserId", "user_id", "userId", "User Id", "USER_ID", "user_id_213be392", "a", "A", "", " "]
)
NAMES = st.lists(st.one_of(LIKELY, TEXT), unique=True, min_size=1, max_size=8).filter(
    lambda raws: not any(raw.strip().lower().startswith("_lakeload") for raw in raws)
)
EMPTY = pa.schema([])


def _schema(*raws):
    """Columns as Python rows and JSON have them."""
    return pa.schema([pa.field(raw, pa.int64()) for raw in raws], {UNTYPED: b"1"})


def _bind(raws, known=EMPTY, **how):
    """Column by source name."""
    return dict(zip(raws, Names(**how).rename(_schema(*raws), known).names, strict=True))


def _after(raws, known=EMPTY, **how):
    """The table once a batch of these columns is in."""
    named = Names(**how).rename(_schema(*raws), known)
    return pa.schema([*known, *(field for field in named if field.name not in known.names)])


TRIPLET = ("User Id", "UserId", "user_id")


@pytest.mark.parametrize("raws", list(itertools.permutations(TRIPLET)))
def test_names_that_fall_into_one_are_told_apart_in_any_order(raws):
    found = _bind(raws)
    assert found["user_id"] == "user_id"
    assert found["User Id"].startswith("user_id_")
    assert len(set(found.values())) == 3
    assert found == _bind(TRIPLET)


def test_without_one_that_is_spelled_so_the_smallest_gets_the_name():
    found = _bind(["userId", "User Id", "UserId"])
    assert found["User Id"] == "user_id"
    assert found["UserId"] != found["userId"]


def test_names_equal_but_for_case_are_told_apart_when_spelling_is_preserved():
    found = _bind(["ID", "id"], naming="preserve")
    assert found["ID"] == "ID"
    assert found["id"].startswith("id_")


@pytest.mark.parametrize("runs", list(itertools.permutations(TRIPLET)))
def test_every_run_finds_the_columns_of_the_runs_before(runs):
    known = EMPTY
    first = {}
    for raw in runs:
        first[raw] = _bind([raw], known)[raw]
        known = _after([raw], known)
    assert len(set(first.values())) == 3
    for raws in itertools.permutations(TRIPLET):
        assert _bind(raws, known) == first
    for raw in TRIPLET:
        assert _bind([raw], known)[raw] == first[raw]


def test_within_a_load_a_name_stays_bound_though_a_better_one_comes_later():
    names = Names(owned=False)
    known = _schema("USERID")
    assert names.rename(_schema("userid"), known).names == ["USERID"]
    later = names.rename(_schema("UserID", "userid"), known).names
    assert later[1] == "USERID"
    assert later[0] == "user_id"


def test_exactly_equal_names_are_refused():
    with pytest.raises(SchemaError, match="two columns named 'a'"):
        Names().rename(_schema("a", "a"), EMPTY)


def test_members_are_told_apart_inside_lists_maps_and_structs():
    inner = pa.struct([("UserId", pa.int8()), ("user_id", pa.int8())])
    raw = pa.schema(
        [
            ("Lines", pa.list_(inner)),
            ("byKey", pa.map_(pa.string(), inner)),
            ("coded", pa.dictionary(pa.int8(), inner)),
            ("fixed", pa.list_(inner, 2)),
        ]
    )
    named = Names().rename(raw, EMPTY)
    assert named.names == ["lines", "by_key", "coded", "fixed"]
    for kind in (
        named.field("lines").type.value_type,
        named.field("by_key").type.item_type,
        named.field("coded").type.value_type,
        named.field("fixed").type.value_type,
    ):
        assert [kind.field(i).name for i in range(2)] == ["user_id_ad26364e", "user_id"]
        assert kind.field(0).metadata == {SOURCE: b"UserId"}
        assert kind.field(1).metadata is None
    assert source_names(named)["lines.element.user_id_ad26364e"] == "Lines.element.UserId"


def test_members_keep_their_columns_in_later_runs():
    kind = pa.struct([pa.field("user_id", pa.int8(), metadata={SOURCE: b"UserId"})])
    known = pa.schema([pa.field("a", pa.list_(kind))])
    raw = pa.schema([("a", pa.list_(pa.struct([("user_id", pa.int8()), ("UserId", pa.int8())])))])
    found = Names().rename(raw, known).field("a").type.value_type
    assert found.field(1).name == "user_id"
    assert found.field(0).name.startswith("user_id_")


def test_a_column_of_a_table_made_elsewhere_is_found_by_the_rule():
    known = _schema("UserId", "Total €", "FOO")
    found = _bind(["user_id", "total", "foo", "newOne"], known, owned=False)
    assert found == {"user_id": "UserId", "total": "Total €", "foo": "FOO", "newOne": "new_one"}
    assert _bind(["user_id", "UserId"], known, owned=False)["UserId"] == "UserId"


def test_a_name_that_could_be_several_columns_of_somebody_elses_table_is_refused():
    known = _schema("fooBar", "foo_bar")
    assert _bind(["fooBar"], known, owned=False) == {"fooBar": "fooBar"}
    with pytest.raises(SchemaError, match="'fooBar', 'foo_bar'"):
        _bind(["FooBar"], known, owned=False)


def test_a_column_whose_record_was_written_over_is_found_by_the_rule():
    known = pa.schema(
        [
            pa.field("user_id", pa.int64(), metadata={SOURCE: b""}),
            pa.field("user_id_ad26364e", pa.int64(), metadata={SOURCE: b""}),
        ]
    )
    assert _bind(["User Id"], known) == {"User Id": "user_id"}
    assert _bind(["User Id", "UserId"], known) == {"User Id": "user_id", "UserId": "user_id_ad26364e"}


def test_in_a_table_of_ours_another_spelling_is_another_column():
    assert _bind(["userId"], _schema("user_id"))["userId"].startswith("user_id_")
    recorded = pa.schema([pa.field("user_id", pa.int64(), metadata={SOURCE: b"userId"})])
    assert _bind(["userId"], recorded) == {"userId": "user_id"}
    assert _bind(["user_id"], recorded)["user_id"].startswith("user_id_")


def test_a_renamed_column_is_still_found_by_its_source_name():
    known = pa.schema([pa.field("customer", pa.int64(), metadata={SOURCE: b"userId"})])
    assert _bind(["userId"], known) == {"userId": "customer"}


def test_a_hint_may_spell_a_column_as_the_source_or_as_the_lake_does():
    hints = {"sold_on": pa.date32()}
    assert Names().rename(_schema("soldOn"), EMPTY, hints).names == ["sold_on"]
    assert Names().rename(_schema("soldOn", "sold_on"), EMPTY, hints).names[1] == "sold_on"


def test_a_hint_finds_the_column_it_names_in_any_spelling():
    known = pa.schema(
        [
            pa.field("user_id", pa.int64(), metadata={SOURCE: b"userId"}),
            pa.field("customer", pa.int64(), metadata={SOURCE: b"who"}),
            pa.field("UserName", pa.string()),
        ]
    )
    given = [pa.field(name, pa.int32()) for name in ("user_id", "who", "username", "newOne")]
    found = [field.name for field in Names(owned=False).asked(given, known)]
    assert found == ["user_id", "customer", "UserName", "new_one"]
    with_source = [pa.field("userId", pa.int32())]
    assert [field.name for field in Names().asked(with_source, known)] == ["user_id"]


def test_a_hinted_column_of_a_new_table_gets_the_source_name_of_the_data():
    hints = {"sold_on": pa.date32()}
    schema = pa.schema([("sold_on", pa.date32()), ("n", pa.int8())])
    renamed = Names().rename(_schema("soldOn", "n"), schema, hints)
    assert source_names(credited(schema, renamed, hints)) == {"sold_on": "soldOn", "n": "n"}


def test_columns_that_flattening_moved_are_named_by_their_path():
    moved = {PATH: json.dumps(["billingAddress", "ZIP"]).encode()}
    raw = pa.schema([pa.field("x", pa.string(), metadata=moved), ("billing_address__zip", pa.string())])
    named = Names().rename(raw, EMPTY)
    assert named.names == ["billing_address__zip", "billing_address_zip"]
    assert named.field(0).metadata == {SOURCE: b".billingAddress.ZIP", **moved}
    assert source_names(named)["billing_address__zip"] == "billingAddress.ZIP"
    again = Names().rename(raw, named)
    assert again.names == named.names


def test_a_dot_in_a_name_is_no_step_of_a_path():
    moved = {PATH: json.dumps(["a", "b"]).encode()}
    raw = pa.schema([pa.field("a.b", pa.string()), pa.field("a__b", pa.string(), metadata=moved)])
    named = Names().rename(raw, EMPTY)
    assert named.names == ["a_b", "a__b"]
    assert Names().rename(pa.schema(reversed(list(raw))), named).names == ["a__b", "a_b"]


def test_lakeloads_own_names_are_refused_unless_it_made_them():
    with pytest.raises(SchemaError, match="reserved"):
        _bind(["_lakeload_id"])
    with pytest.raises(SchemaError, match="reserved"):
        _bind(["_LAKELOAD_id"], naming="preserve")
    own = pa.schema([pa.field("_lakeload_row_id", pa.string(), metadata={SYSTEM: b"1"})])
    assert Names().rename(own, EMPTY).equals(own, check_metadata=True)
    inside = pa.schema([("a", pa.struct([("_lakeload_id", pa.int8())]))])
    assert Names().rename(inside, EMPTY).field("a").type.field(0).name == "_lakeload_id"


def test_names_of_incoming_fields_in_other_lakes_do_not_matter():
    raw = pa.schema([pa.field("b", pa.int8(), metadata={SOURCE: b"elsewhere", b"PARQUET:field_id": b"9"})])
    assert Names().rename(raw, EMPTY).field("b").metadata is None


def test_what_a_user_means_is_found_by_any_spelling():
    names = Names()
    known = names.rename(_schema("User Id", "UserId", "total"), EMPTY)
    other = next(name for name in known.names if name.startswith("user_id_"))
    assert names.meant("User Id", known) == "user_id"
    assert names.meant("user_id", known) == "user_id"
    assert names.meant("UserId", known) == other
    assert names.meant("TOTAL", known) == "total"
    assert names.meant("nothing", known) is None


def test_what_an_incoming_column_would_be_is_told_without_binding_it():
    names = Names()
    known = pa.schema([pa.field("user_id", pa.int64(), metadata={SOURCE: b"userId"})])
    assert names.find("userId", known) == "user_id"
    assert names.find("user_id", known) is None
    assert names.find("_lakeload_id", known) is None
    assert names.rename(_schema("userId"), known).names == ["user_id"]


@given(NAMES, st.randoms(), st.sampled_from(["snake_case", "preserve", "sql_safe"]), st.integers(24, 130))
def test_names_of_a_batch_are_distinct_and_do_not_depend_on_order(raws, random, naming, limit):
    found = _bind(raws, naming=naming, max_length=limit)
    assert len({name.lower() for name in found.values()}) == len(raws)
    assert all(len(name.encode()) <= limit for name in found.values())
    shuffled = raws[:]
    random.shuffle(shuffled)
    assert _bind(shuffled, naming=naming, max_length=limit) == found


@given(st.lists(NAMES, min_size=2, max_size=4), st.sampled_from(["snake_case", "preserve", "sql_safe"]))
def test_a_source_name_never_changes_its_column_over_runs(runs, naming):
    known, found = EMPTY, {}
    for raws in runs:
        now = _bind(raws, known, naming=naming)
        assert {raw: now[raw] for raw in raws if raw in found} == {r: found[r] for r in raws if r in found}
        found |= now
        known = _after(raws, known, naming=naming)
    assert len({name.lower() for name in found.values()}) == len(found)
    told = source_names(known)
    assert all(told[name] == raw for raw, name in found.items())


@given(NAMES, st.lists(TEXT.filter(str.strip), unique_by=str.lower, max_size=5))
def test_matching_never_makes_case_duplicates(raws, existing):
    known = _schema(*existing)
    try:
        found = _bind(raws, known, owned=False)
    except SchemaError:
        return
    final = {*existing, *found.values()}
    assert len({name.lower() for name in final}) == len(final)


def test_an_added_column_keeps_its_source_name():
    change = SchemaChange("add", ("user_id",), None, pa.int64(), source="userId")
    schema, _ = apply_changes(EMPTY, 0, [change])
    assert schema.field("user_id").metadata == {SOURCE: b"userId", b"PARQUET:field_id": b"1"}


def test_data_with_types_of_its_own_may_call_a_column_as_the_table_does():
    known = _after(["userId"])
    assert known.names == ["user_id"]
    assert _bind(["user_id"], known)["user_id"] != "user_id"
    typed = pa.schema([("user_id", pa.int64())])
    assert Names().rename(typed, known).names == ["user_id"]
    both = pa.schema([("user_id", pa.int64()), ("userId", pa.int64())])
    assert Names().rename(both, known).names[1] == "user_id"
