"""`schema=` given as a pydantic model, a dataclass or a msgspec struct."""

import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
import pydantic
import pytest

import lakeload as ll
from lakeload.errors import ConfigError, SchemaError
from lakeload.model.table import TableSpec
from lakeload.normalize.normalizer import Normalizer
from lakeload.options import spec_of
from lakeload.sources.class_schema import class_schema

NOW = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(pydantic.BaseModel):
    city: str
    zip: str | None = None


class Person(pydantic.BaseModel):
    id: int
    name: str = pydantic.Field(alias="fullName")
    score: float = 0.0
    active: bool
    price: Decimal = pydantic.Field(max_digits=9, decimal_places=2)
    loose: Decimal = Decimal(0)
    born: dt.date | None
    seen: dt.datetime
    local: pydantic.NaiveDatetime | None = None
    at: dt.time | None = None
    key: uuid.UUID
    colour: Colour
    size: Literal["s", "m"] = "s"
    either: int | str = 0
    number: int | float = 0
    tags: list[str] = []
    counts: dict[str, int] = {}
    address: Address
    former: list[Address] = []
    link: pydantic.HttpUrl | None = None
    few: Annotated[int, pydantic.Field(gt=0)] = 1
    anything: Any = None


def test_a_pydantic_model_says_types_names_and_what_is_required():
    address = pa.struct([pa.field("city", pa.string(), nullable=False), ("zip", pa.string())])
    required = {"id", "fullName", "active", "price", "seen", "key", "colour", "address"}
    expected = {
        "id": pa.int64(),
        "fullName": pa.string(),
        "score": pa.float64(),
        "active": pa.bool_(),
        "price": pa.decimal128(9, 2),
        "born": pa.date32(),
        "seen": pa.timestamp("us", "UTC"),
        "local": pa.timestamp("us"),
        "at": pa.time64("us"),
        "key": pa.string(),
        "colour": pa.string(),
        "size": pa.string(),
        "either": pa.string(),
        "number": pa.float64(),
        "tags": pa.list_(pa.string()),
        "counts": pa.map_(pa.string(), pa.int64()),
        "address": address,
        "former": pa.list_(address),
        "link": pa.string(),
        "few": pa.int64(),
    }
    schema = class_schema(Person)
    assert {field.name: field.type for field in schema} == expected
    assert {field.name for field in schema if not field.nullable} == required


@dataclasses.dataclass
class Point:
    x: int
    y: "int | None"
    label: str = ""
    more: Mapping[str, list[float]] = dataclasses.field(default_factory=dict)
    bare: dict = dataclasses.field(default_factory=dict)


class Event(msgspec.Struct, rename="camel"):
    event_id: int
    sent_at: dt.datetime
    place: Point | None = None
    price: Decimal | None = None


def test_dataclasses_and_msgspec_structs_do_too():
    point = class_schema(Point)
    assert point.names == ["x", "y", "label", "more"]
    assert [field.nullable for field in point] == [False, True, True, True]
    event = class_schema(Event)
    assert event.names == ["eventId", "sentAt", "place"]
    assert event.field("place").type == pa.struct(list(point))


class Node(pydantic.BaseModel):
    inner: "Node | None" = None


def test_a_class_without_end_is_refused():
    with pytest.raises(ConfigError, match="Node contains itself"):
        class_schema(Node)


def test_what_is_no_schema_is_refused():
    for wrong in (5, int, ["a"]):
        with pytest.raises(ConfigError, match="schema"):
            spec_of("t", schema=wrong)


def test_a_model_rules_the_table_and_its_required_members():
    class Row(pydantic.BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        userId: int  # noqa: N815 - as in the source
        home: Address

    spec = spec_of("t", schema=Row, load_columns=False)
    assert isinstance(spec, TableSpec)
    it = Normalizer(spec, formats=("delta",), state=None, load_id="a", loaded_at=NOW)
    good = pa.record_batch({"userId": ["7"], "home": [{"city": "Ulm"}]})
    assert it.apply(good).batch.to_pylist() == [{"user_id": 7, "home": {"city": "Ulm", "zip": None}}]
    with pytest.raises(SchemaError, match="required") as caught:
        it.apply(pa.record_batch({"userId": [1, 2], "home": [{"city": "Ulm"}, {"city": None}]}))
    assert (caught.value.column, caught.value.row) == ("home.city", 3)


class Aliased(pydantic.BaseModel):
    id: int
    user_name: str | None = pydantic.Field(None, alias="user-name")


class Renamed(msgspec.Struct, rename="camel"):
    id: int
    user_name: str | msgspec.UnsetType | None = msgspec.UNSET


@pytest.mark.parametrize(
    "row",
    [Aliased.model_validate({"id": 1, "user-name": "ann"}), Renamed(id=1, user_name="ann")],
    ids=["pydantic", "msgspec"],
)
def test_rows_of_a_class_have_the_names_of_its_schema(row: Any, tmp_path: Path):
    ll.load([row], tmp_path, table="t", schema=type(row), load_columns=False)
    assert ll.Lakehouse(tmp_path).table("t").to_arrow().to_pylist() == [{"id": 1, "user_name": "ann"}]


def test_digits_of_a_decimal_that_may_be_missing_are_found_inside_the_union():
    class Model(pydantic.BaseModel):
        price: Annotated[Decimal, pydantic.Field(max_digits=9, decimal_places=2)] | None = None

    assert class_schema(Model).field("price").type == pa.decimal128(9, 2)
