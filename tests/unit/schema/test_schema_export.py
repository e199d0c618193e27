"""Schemas as JSON Schema, pydantic, SQL and dbt: each is read back by what it is meant for."""

from __future__ import annotations

import base64
import datetime as dt
import json
import warnings
from decimal import Decimal
from typing import Any

import duckdb
import jsonschema
import pyarrow as pa
import pydantic
import pytest
import sqlglot
import yaml

import lakeload as ll
from lakeload.errors import ConfigError, SchemaError
from lakeload.model.layout import Layout
from lakeload.schema import DIALECTS, to_dbt, to_ddl, to_json_schema, to_pydantic

UTC = pa.timestamp("us", "UTC")
NTZ = pa.timestamp("us")


def named(name: str, kind: pa.DataType, source: str) -> pa.Field:
    return pa.field(name, kind, metadata={b"lakeload.source": source.encode()})


EVERYTHING = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("small", pa.int32()),
        pa.field("flag", pa.bool_()),
        pa.field("ratio", pa.float64()),
        pa.field("single", pa.float32()),
        pa.field("price", pa.decimal128(10, 2)),
        pa.field("text", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("day", pa.date32()),
        pa.field("at", UTC),
        pa.field("local", NTZ),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("home", pa.struct([pa.field("zip", pa.string()), pa.field("no", pa.int32())])),
        pa.field("steps", pa.list_(pa.struct([pa.field("n", pa.int64()), pa.field("grid", pa.list_(pa.int64()))]))),
        pa.field("counts", pa.map_(pa.string(), pa.int64())),
        named("user_name", pa.string(), "userName"),
        pa.field("_lakeload_id", pa.string()),
    ]
)  # fmt: skip

ROW: dict[str, Any] = {
    "id": 2**62,
    "small": -5,
    "flag": True,
    "ratio": 1.5,
    "single": 0.25,
    "price": Decimal("12345678.90"),
    "text": "x",
    "raw": b"\x00\xff",
    "day": dt.date(2024, 5, 1),
    "at": dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC),
    "local": dt.datetime(2024, 5, 1, 12, 0, 0, 250000),
    "tags": ["a", None],
    "home": {"zip": "10115", "no": 7},
    "steps": [{"n": 1, "grid": [1, 2]}, None],
    "counts": {"a": 1, "b": None},
    "user_name": "ann",
    "_lakeload_id": "load-1",
}
EMPTY = dict.fromkeys(EVERYTHING.names) | {"id": 1}


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return str(value)
        return (
            base64.b64encode(value).decode()
            if isinstance(value, bytes)
            else value.isoformat().replace("+00:00", "Z")
        )

    return json.loads(json.dumps(row, default=plain))


# --- JSON Schema -------------------------------------------------------------------------------------------


def validator(schema: pa.Schema) -> jsonschema.Draft202012Validator:
    document = to_json_schema(schema, title="t")
    json.dumps(document)
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.mark.parametrize("row", [ROW, EMPTY, {"id": 1}, {"id": 1, "price": 12.5, "unknown": 1}])
def test_json_schema_takes_rows_of_the_table(row: dict[str, Any]) -> None:
    validator(EVERYTHING).validate(as_json(row))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", None), ("id", 2**63), ("id", "1"), ("small", 2**31), ("small", 1.5), ("flag", "true"),
        ("price", "1.234"), ("price", "123456789.00"), ("price", 10**8), ("text", 5), ("local", "2024-05-01T12:00:00Z"),
        ("tags", ["a", 1]), ("tags", "a"), ("home", {"no": "x"}), ("steps", [{"grid": ["x"]}]), ("counts", {"a": "b"}),
    ],
)  # fmt: skip
def test_json_schema_refuses_what_does_not_fit(column: str, value: object) -> None:
    assert not validator(EVERYTHING).is_valid({"id": 1} | {column: value})


def test_json_schema_tells_the_name_in_the_source() -> None:
    found = to_json_schema(EVERYTHING)["properties"]
    assert found["user_name"]["description"] == "userName in the source"
    assert "description" not in found["text"]


def test_json_schema_marks_required_members_of_structs_and_elements() -> None:
    inside = pa.struct([pa.field("a", pa.int64(), nullable=False)])
    check = validator(
        pa.schema([("s", inside), ("l", pa.list_(pa.field("element", pa.int64(), nullable=False)))])
    )
    check.validate({"s": {"a": 1}, "l": [1]})
    assert not check.is_valid({"s": {}})
    assert not check.is_valid({"l": [None]})


def test_json_schema_refuses_types_no_table_has() -> None:
    with pytest.raises(SchemaError, match=r"no form in JSON Schema.*column s\.d"):
        to_json_schema(pa.schema([("s", pa.struct([("d", pa.duration("s"))]))]))


# --- pydantic ----------------------------------------------------------------------------------------------


def model(schema: pa.Schema, name: str = "orders") -> type[pydantic.BaseModel]:
    namespace: dict[str, Any] = {"__name__": "generated"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(to_pydantic(schema, name), "generated.py", "exec", dont_inherit=True), namespace)
    *_, found = (
        value
        for value in namespace.values()
        if isinstance(value, type)
        and issubclass(value, pydantic.BaseModel)
        and value is not pydantic.BaseModel
    )
    return found


@pytest.mark.parametrize("row", [ROW, EMPTY, {"id": 1}])
def test_pydantic_model_takes_rows_and_gives_them_back(row: dict[str, Any]) -> None:
    orders = model(EVERYTHING)
    assert orders.__name__ == "Orders"
    given = orders.model_validate(row).model_dump(by_alias=True)
    assert given == dict.fromkeys(EVERYTHING.names) | row


def test_pydantic_model_takes_rows_a_lake_gives_back(tmp_path: Any) -> None:
    own = EVERYTHING.remove(EVERYTHING.get_field_index("_lakeload_id"))
    given = {**ROW, "counts": list(ROW["counts"].items())}
    ll.load(pa.Table.from_pylist([given], schema=own), tmp_path, table="orders")
    table = ll.Lakehouse(tmp_path).table("orders")
    (row,) = table.to_arrow().to_pylist(maps_as_pydicts="strict")
    assert model(table.schema()).model_validate(row).model_dump(by_alias=True) == row
    assert (row["home"], row["counts"]) == (ROW["home"], ROW["counts"])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", None), ("id", 2**63), ("small", 2**31), ("price", Decimal("1.234")), ("price", Decimal(123456789)),
        ("at", dt.datetime(2024, 5, 1)), ("local", dt.datetime(2024, 5, 1, tzinfo=dt.UTC)), ("tags", [1]),
        ("home", {"unknown": 1}), ("nothing", 1),
    ],
)  # fmt: skip
def test_pydantic_model_refuses_what_does_not_fit(column: str, value: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        model(EVERYTHING).model_validate({"id": 1} | {column: value})


def test_pydantic_model_takes_the_name_of_the_source_too() -> None:
    found = model(EVERYTHING).model_validate({"id": 1, "userName": "ann"})
    assert found.model_dump(by_alias=True, exclude_none=True) == {"id": 1, "user_name": "ann"}


def test_pydantic_model_takes_flattened_columns_from_where_the_source_has_them() -> None:
    schema = pa.schema(
        [named("home__zip", pa.string(), ".home.zip"), named("odd", pa.string(), ""), ("n", pa.int64())]
    )
    orders = model(schema)
    for row in ({"home": {"zip": "1"}, "n": 1}, {"home__zip": "1", "n": 1}):
        assert orders.model_validate(row).model_dump(by_alias=True) == {"home__zip": "1", "odd": None, "n": 1}
    assert to_json_schema(schema)["properties"]["home__zip"]["description"] == "home.zip in the source"
    assert "description" not in to_json_schema(schema)["properties"]["odd"]


def test_pydantic_model_keeps_apart_names_that_python_and_pydantic_use() -> None:
    names = [
        "class", "int", "str", "dt", "Field", "schema", "json", "copy", "model_dump", "model_config", "_id", "id",
        "1st", "a b", "a_b", "💥", "Orders", "OrdersDt", "ﬁeld", "field", "None", "self", "__init__", "quote'\"\\", "model_name",
    ]  # fmt: skip
    fields = [pa.field(name, pa.date32()) for name in names]
    fields += [pa.field("n", pa.int64()), pa.field("dT", pa.struct([("int", pa.int64()), ("x", pa.int64())]))]
    row: dict[str, Any] = dict.fromkeys(names, dt.date(2024, 5, 1)) | {"n": 1, "dT": {"int": 1, "x": 2}}
    found = model(pa.schema(fields)).model_validate(row)
    assert found.model_dump(by_alias=True) == row
    assert found.model_name == row["model_name"]  # type: ignore[attr-defined]  # a generated member


def test_pydantic_structs_of_one_name_get_classes_of_their_own() -> None:
    one, two = pa.struct([("a", pa.int64())]), pa.struct([("b", pa.string())])
    schema = pa.schema([("x", pa.struct([("item", one)])), ("x_item", two), ("y", pa.list_(two))])
    row = {"x": {"item": {"a": 1}}, "x_item": {"b": "q"}, "y": [{"b": "r"}]}
    assert model(schema).model_validate(row).model_dump() == row


@pytest.mark.parametrize("name", ["orders", "BaseModel", "1", "💥", "Field", 'a"""b', "größe"])
def test_pydantic_model_of_any_table_name_can_be_imported(name: str) -> None:
    assert model(pa.schema([("a", pa.int64())]), name).model_validate({"a": 1}).model_dump() == {"a": 1}


# --- SQL ---------------------------------------------------------------------------------------------------

AWKWARD = pa.schema(
    [
        pa.field("order", pa.int64(), nullable=False),
        pa.field("select", pa.string()),
        pa.field("Mixed Case", pa.string()),
        pa.field('quo"te', pa.string()),
        pa.field("tick`", pa.string()),
        named("plain", pa.struct([pa.field("group", pa.int64()), pa.field("b c", UTC)]), "it's \\ here"),
    ]
)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("schema", [EVERYTHING, AWKWARD], ids=["everything", "awkward"])
def test_sql_of_every_dialect_parses_and_names_every_column(dialect: str, schema: pa.Schema) -> None:
    text = to_ddl(schema, dialect, "shop.orders", Layout.parse("day(at)"))
    statements = [s for s in sqlglot.parse(text, read=dialect, error_level=sqlglot.ErrorLevel.RAISE) if s]
    assert isinstance(statements[0], sqlglot.exp.Create), statements[0]
    columns = list(statements[0].this.expressions)
    assert [column.name for column in columns] == schema.names
    assert all(column.args.get("kind") is not None for column in columns)
    required = [c.name for c in columns if any(isinstance(k.kind, sqlglot.exp.NotNullColumnConstraint) for k in c.constraints)]  # fmt: skip
    assert required == [field.name for field in schema if not field.nullable]


@pytest.mark.parametrize("schema", [EVERYTHING, AWKWARD], ids=["everything", "awkward"])
def test_sql_for_duckdb_makes_a_table_that_takes_the_rows(schema: pa.Schema) -> None:
    connection = duckdb.connect()
    connection.execute(to_ddl(schema, "duckdb", "t"))
    rows = [ROW, EMPTY] if schema is EVERYTHING else [dict.fromkeys(schema.names) | {"order": 1}]
    given = pa.Table.from_pylist(
        [
            {**row, "counts": list((row.get("counts") or {}).items())} if "counts" in row else row
            for row in rows
        ],
        schema=schema,
    )
    connection.register("given", given)
    connection.execute("INSERT INTO t SELECT * FROM given")
    kinds = dict(connection.execute("SELECT column_name, data_type FROM duckdb_columns()").fetchall())
    back = connection.execute("SELECT * FROM t").to_arrow_table()
    assert back.column_names == schema.names
    assert back.num_rows == given.num_rows
    assert back.drop_columns(_zoned(schema)).to_pylist() == given.drop_columns(_zoned(schema)).to_pylist()
    if schema is EVERYTHING:
        assert (kinds["at"], kinds["local"], kinds["price"]) == (
            "TIMESTAMP WITH TIME ZONE",
            "TIMESTAMP",
            "DECIMAL(10,2)",
        )
        assert connection.execute('SELECT epoch_us("at") FROM t WHERE id > 1').fetchall() == [
            (1714564800000000,)
        ]
    else:
        said = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE column_name = 'plain'"
        ).fetchone()
        assert said == ("it's \\ here in the source",)
    connection.close()


def _zoned(schema: pa.Schema) -> list[str]:
    """DuckDB gives instants back in the zone of the session."""
    return [field.name for field in schema if "tz=" in str(field.type)]


def test_sql_for_duckdb_refuses_null_where_the_table_does() -> None:
    connection = duckdb.connect()
    connection.execute(to_ddl(EVERYTHING, "duckdb", "t"))
    with pytest.raises(duckdb.ConstraintException, match="id"):
        connection.execute("INSERT INTO t (small) VALUES (1)")
    connection.close()


@pytest.mark.parametrize(
    ("dialect", "form", "fields", "part"),
    [
        ("spark", "iceberg", ["day(at)", "bucket(16, id)", "order"],
         "USING ICEBERG\nPARTITIONED BY (days(`at`), bucket(16, `id`), `order`);"),
        ("spark", "delta", ["day(at)", "order"], "USING DELTA\nPARTITIONED BY (`order`) /* also by day(at) */;"),
        ("trino", "iceberg", ["day(at)", "truncate(4, id)", "order"],
         """WITH (partitioning = ARRAY['day("at")', 'truncate("id", 4)', '"order"']);"""),
        ("trino", "delta", ["order"], "WITH (partitioned_by = ARRAY['order']);"),
        ("duckdb", "iceberg", ["order"], '"id" BIGINT\n);'),
    ],
)  # fmt: skip
def test_sql_partitions_in_the_words_of_the_engine(
    dialect: str, form: Any, fields: list[str], part: str
) -> None:
    schema = pa.schema([("at", UTC), ("order", pa.string()), ("id", pa.int64())])
    text = to_ddl(schema, dialect, "t", Layout.parse(fields), form=form)
    assert text.endswith(part)
    sqlglot.parse(text, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)


def test_sql_tells_instants_from_local_times() -> None:
    schema = pa.schema([("at", UTC), ("local", NTZ)])
    found = {dialect: to_ddl(schema, dialect, "t").split("\n")[1:3] for dialect in DIALECTS}
    kinds = {d: tuple(line.strip(" ,").split(" ", 1)[1] for line in lines) for d, lines in found.items()}
    assert kinds == {
        "spark": ("TIMESTAMP", "TIMESTAMP_NTZ"),
        "trino": ("TIMESTAMP(6) WITH TIME ZONE", "TIMESTAMP(6)"),
        "duckdb": ("TIMESTAMPTZ", "TIMESTAMP"),
        "postgres": ("TIMESTAMPTZ", "TIMESTAMP"),
        "snowflake": ("TIMESTAMP_LTZ(6)", "TIMESTAMP_NTZ(6)"),
    }


def test_sql_refuses_a_type_or_a_dialect_that_is_not_there() -> None:
    with pytest.raises(SchemaError, match=r"spark has no type for time64.*column t"):
        to_ddl(pa.schema([("t", pa.time64("us"))]), "spark", "x")
    with pytest.raises(ConfigError, match=r"oracle.*Use spark, trino"):
        to_ddl(EVERYTHING, "oracle", "x")


# --- dbt ---------------------------------------------------------------------------------------------------


def test_dbt_sources_say_columns_types_tests_and_names_of_the_source() -> None:
    tables = {"orders": EVERYTHING, "on": AWKWARD}
    found = yaml.safe_load(to_dbt(tables, source="shop", namespace="sales", dialect="trino"))
    (source,) = found["sources"]
    assert (found["version"], source["name"], source["schema"]) == (2, "shop", "sales")
    assert [table["name"] for table in source["tables"]] == ["orders", "on"]
    columns = {column["name"]: column for column in source["tables"][0]["columns"]}
    assert list(columns) == EVERYTHING.names
    assert columns["id"] == {"name": "id", "data_type": "BIGINT", "data_tests": ["not_null"]}
    assert columns["user_name"]["description"] == "userName in the source"
    assert columns["at"]["data_type"] == "TIMESTAMP(6) WITH TIME ZONE"
    quoted = [column["name"] for column in source["tables"][1]["columns"] if column.get("quote")]
    assert quoted == ["Mixed Case", 'quo"te', "tick`"]


def test_dbt_models_are_no_sources() -> None:
    found = yaml.safe_load(to_dbt({"orders": EVERYTHING}, kind="models"))
    assert list(found) == ["version", "models"]
    assert found["models"][0]["columns"][0]["data_tests"] == ["not_null"]
    with pytest.raises(ConfigError, match="seeds"):
        to_dbt({}, kind="seeds")  # type: ignore[arg-type]  # what a caller may get wrong


def test_sql_for_postgres_makes_tables_in_a_real_server(postgres: Any) -> None:
    import psycopg2

    connection = psycopg2.connect(postgres.database("ddl"))
    with connection, connection.cursor() as cursor:
        cursor.execute(to_ddl(EVERYTHING, "postgres", "everything"))
        cursor.execute(to_ddl(AWKWARD, "postgres", "public.awkward"))
        cursor.execute(
            "SELECT column_name, udt_name, is_nullable FROM information_schema.columns "
            "WHERE table_name = 'everything' ORDER BY ordinal_position"
        )
        columns = cursor.fetchall()
        assert [column[0] for column in columns] == EVERYTHING.names
        kinds = {name: kind for name, kind, _ in columns}
        assert (kinds["at"], kinds["local"], kinds["tags"], kinds["steps"], kinds["counts"]) == (
            "timestamptz", "timestamp", "_text", "jsonb", "jsonb",
        )  # fmt: skip
        assert [name for name, _, nullable in columns if nullable == "NO"] == ["id"]
        cursor.execute("SELECT col_description('awkward'::regclass, 6)")
        assert cursor.fetchone() == ("it's \\ here in the source",)
    connection.close()
