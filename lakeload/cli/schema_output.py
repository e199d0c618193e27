"""`lakeload schema show`, `diff`, `export`, `history`: schemas as text, and what changed in them."""

from __future__ import annotations

import json as jsons
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeload.cli.inspect import open_lake
from lakeload.cli.load import storage_options
from lakeload.cli.options import chosen
from lakeload.cli.outcome import reported
from lakeload.cli.summary import print_json
from lakeload.cli.wording import columns
from lakeload.errors import ConfigError, StorageError, TableError

if TYPE_CHECKING:
    import pyarrow as pa

    from lakeload.lake_table import LakeTable
    from lakeload.lakehouse import Lakehouse
    from lakeload.model.schema_history import SchemaVersion

_ENDINGS = {"json-schema": ".schema.json", "pydantic": ".py", "ddl": ".sql"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the tables are, as typed."""

    root: str
    catalog: tuple[str, ...]
    namespace: str
    options: tuple[str, ...]

    def open(self) -> Lakehouse:
        """The lakehouse there is.

        Raises:
            StorageError: There is none.
        """
        return open_lake(self.root, self.catalog, self.namespace, storage_options(self.options))


def show_schemas(place: Place, table: str | None, *, form: str, dialect: str, debug: bool) -> None:
    """Print the schema of one table, or of all.

    Raises:
        typer.Exit: A table cannot be read, or not be written in that form; one line on stderr says why.
    """
    with reported(debug=debug):
        texts = _texts(_tables(place.open(), table), form, dialect, place.namespace)
        sys.stdout.write("\n".join(texts.values()))


def export_schemas(
    place: Place, table: str | None, *, form: str, dialect: str, output: str, debug: bool
) -> None:
    """Write the schema of one table, or of all, into a file or a folder.

    Raises:
        typer.Exit: Something cannot be read or written; one line on stderr says why.
    """
    with reported(debug=debug):
        texts = _texts(_tables(place.open(), table), form, dialect, place.namespace)
        target = Path(output).expanduser()
        if output.endswith(("/", "\\")) or target.is_dir():
            files = {target / _file_name(name, form): text for name, text in texts.items()}
        elif len(texts) > 1 and form in ("json-schema", "pydantic"):
            raise ConfigError(
                f"{len(texts)} tables do not go into one file as {form}",
                hint="Name one TABLE, or give --output a folder, ending with a slash.",
            )
        else:
            files = {target: "\n".join(texts.values())}
        for path, text in files.items():
            _write(path, text)
        sys.stdout.write("".join(f"wrote {path}\n" for path in files))


def diff_versions(
    place: Place, table: str, old: int | None, new: int | None, *, json: bool, debug: bool
) -> None:
    """Print what changed from one version of a table to another.

    Raises:
        typer.Exit: There is no such table or version; one line on stderr says why.
    """
    with reported(debug=debug):
        from lakeload.model.schema_history import diff

        found = place.open().table(table)
        known = found.schema_history()
        after = known[0] if new is None else _at(known, new, found, table)
        before = _before(known, after) if old is None else _at(known, old, found, table)
        changes = diff(before.schema, after.schema)
        if json:
            print_json(
                {
                    "table": table,
                    "from": before.version,
                    "to": after.version,
                    "changes": [_difference(change) for change in changes],
                }
            )
        else:
            _print_lines([str(change) for change in changes], "no difference")


def diff_data(
    place: Place,
    table: str,
    data: str,
    *,
    options: Mapping[str, Any],
    versions: bool,
    json: bool,
    debug: bool,
) -> None:
    """Print what loading a file would change in a table and those that belong to it.

    Raises:
        typer.Exit: The file cannot be read or would be refused; one line on stderr says why.
    """
    with reported(debug=debug):
        from lakeload.preview import preview

        if versions:
            raise ConfigError("--from and --to do not go with --data", hint="Leave them out.")
        lake = place.open()
        found = preview(data, lake, table, **chosen(options))
        if json:
            print_json({"table": table, "data": data, "changes": [event.to_dict() for event in found]})
        else:
            _print_lines([str(event) for event in found], "no change")


def print_history(place: Place, table: str, *, json: bool, debug: bool) -> None:
    """Print the schemas a table has had, newest first.

    Raises:
        typer.Exit: There is no such table; one line on stderr says why.
    """
    with reported(debug=debug):
        known = place.open().table(table).schema_history()
        if json:
            print_json({"table": table, "history": [_version(version) for version in known]})
            return
        rows = [row for version in known for row in _rows(version)]
        sys.stdout.write("".join(f"{line}\n" for line in columns(rows, right=(0,))))


def _tables(lake: Lakehouse, table: str | None) -> dict[str, LakeTable]:
    names = [table] if table is not None else [name for name in lake.tables() if lake.readable(name)]
    if not names:
        raise TableError("there are no tables", place=lake.root, hint="Check the lake and --namespace.")
    return {name: lake.table(name) for name in names}


def _texts(tables: Mapping[str, LakeTable], form: str, dialect: str, namespace: str) -> dict[str, str]:
    """The text of each table, ending with a newline; of all together as dbt."""
    if form == "dbt":
        from lakeload.schema import to_dbt

        schemas = {name: table.schema() for name, table in tables.items()}
        return {"sources": to_dbt(schemas, namespace=namespace, dialect=dialect)}
    return {name: _text(name, table, form, dialect, alone=len(tables) == 1) for name, table in tables.items()}


def _text(name: str, table: LakeTable, form: str, dialect: str, *, alone: bool) -> str:
    from lakeload.schema import to_ddl, to_json_schema, to_pydantic

    schema = table.schema()
    match form:
        case "json-schema":
            document = to_json_schema(schema, title=name)
            return jsons.dumps(document, indent=2, ensure_ascii=False) + "\n"
        case "pydantic":
            return to_pydantic(schema, name)
        case "ddl":
            kind = "delta" if "delta" in table.formats else "iceberg"
            return to_ddl(schema, dialect, name, table.layout(), form=kind) + "\n"  # type: ignore[arg-type]  # one of two words
        case _:
            return _plain(schema, None if alone else name)


def _plain(schema: pa.Schema, heading: str | None) -> str:
    from lakeload.model.type_text import type_text
    from lakeload.schema.described import description

    rows = [
        (
            field.name,
            type_text(field.type, members=None),
            "" if field.nullable else "required",
            description(field) or "",
        )
        for field in schema
    ]
    indent = "" if heading is None else "  "
    lines = [f"{indent}{line}" for line in columns(rows)] if rows else []
    return "".join(f"{line}\n" for line in ([] if heading is None else [heading]) + lines)


def _file_name(name: str, form: str) -> str:
    if form == "dbt":
        return "sources.yml"
    plain = re.sub(r"[^\w]" if form == "pydantic" else r"[^\w.-]", "_", name)
    return f"{plain}{_ENDINGS[form]}"


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise StorageError(
            f"the file cannot be written: {error.strerror or error}",
            place=str(path),
            hint="Give --output a place this user may write.",
        ) from error


def _at(known: Sequence[SchemaVersion], wanted: int, table: LakeTable, name: str) -> SchemaVersion:
    """The schema in force at a version."""
    delta = "delta" in table.formats
    newest = table.version() if delta else known[0].version
    if wanted <= (newest or 0):
        for version in known:  # newest first
            if version.version is not None and (
                version.version <= wanted if delta else version.version == wanted
            ):
                return version
    numbers = ", ".join(str(version.version) for version in reversed(known))
    raise TableError(
        f"the schema at version {wanted} is not known",
        table=name,
        hint=f"It changed at {numbers}; `lakeload schema history` shows when."
        + (f" The newest version is {newest}." if delta else ""),
    )


def _before(known: Sequence[SchemaVersion], after: SchemaVersion) -> SchemaVersion:
    position = list(known).index(after)
    return known[min(position + 1, len(known) - 1)]


def _rows(version: SchemaVersion) -> list[tuple[str, ...]]:
    what = [str(change) for change in version.changes] or [
        f"created with {len(version.schema)} columns"
        if version.created
        else f"{len(version.schema)} columns; what was before is not known any more"
    ]
    number = "-" if version.version is None else str(version.version)
    at = "-" if version.at is None else version.at.isoformat(timespec="seconds")
    return [(number, at, version.load_id or "-", what[0]), *(("", "", "", more) for more in what[1:])]


def _version(version: SchemaVersion) -> dict[str, Any]:
    from lakeload.model.type_text import type_text

    return {
        "version": version.version,
        "at": None if version.at is None else version.at.isoformat(),
        "load_id": version.load_id,
        "created": version.created,
        "changes": [_difference(change) for change in version.changes],
        "schema": [
            {"name": field.name, "type": type_text(field.type, members=None), "nullable": field.nullable}
            for field in version.schema
        ],
    }


def _difference(change: Any) -> dict[str, Any]:
    return {"kind": change.kind, "column": ".".join(change.path), "old": change.old, "new": change.new}


def _print_lines(lines: Sequence[str], nothing: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines or [nothing]))
