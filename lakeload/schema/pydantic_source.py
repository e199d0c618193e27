"""A table's schema as the source text of pydantic models (pydantic 2.12 or later, Python 3.10 or later).

The models validate rows of the table and rows of the source alike: where a column has another name in the
source, both names are accepted. Names that Python or pydantic keeps for itself get a `_` at the end, leading
underscores are left out, and the column's own name becomes the alias.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.schema import children
from lakeload.schema.described import source_path

_WIDTHS = {pa.int8(): 8, pa.int16(): 16, pa.int32(): 32, pa.int64(): 64}
_LEAVES = {
    pa.bool_(): "bool",
    pa.float32(): "float",
    pa.float64(): "float",
    pa.string(): "str",
    pa.binary(): "bytes",
    pa.date32(): "dt.date",
    pa.time64("us"): "dt.time",
    pa.timestamp("us", "UTC"): "AwareDatetime",
    pa.timestamp("us"): "NaiveDatetime",
}
_PYDANTIC = (
    "AliasChoices", "AliasPath", "AwareDatetime", "BaseModel", "ConfigDict", "Field", "NaiveDatetime",
)  # fmt: skip
_BUILTINS = ("bool", "bytes", "dict", "float", "int", "list", "str")
_TAKEN = frozenset({"dt", "Annotated", "Decimal", *_PYDANTIC, *_BUILTINS})
"""Names the text itself uses: an attribute of that name would hide them from the lines after it."""


def to_pydantic(schema: pa.Schema, name: str) -> str:
    """Python source with one model for a row, and one for every struct inside it.

    Args:
        schema: Columns of the table.
        name: Table name; the model is called after it, `order_lines` becomes `OrderLines`.

    Returns:
        A module's text. The last class in it is the row's. Unknown columns are refused; optional ones may be
        missing.

    Raises:
        SchemaError: A type has no form in Python.

    Example:
        >>> source = to_pydantic(pa.schema([pa.field("id", pa.string(), nullable=False)]), "order_lines")
        >>> [line for line in source.splitlines() if line.startswith(("class", "    id"))]
        ['class OrderLines(BaseModel):', '    id: str']
    """
    module = _Module()
    top = module.reserve(_class_name([name]))
    module.add(top, list(schema), (), f"A row of the table {name}.")
    return module.text()


class _Module:
    """Collects classes, those a class needs before it."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._classes: list[str] = []

    def reserve(self, wanted: str) -> str:
        """A class name nobody has yet."""
        name, number = wanted, 1
        while name in self._names or name in _TAKEN or keyword.iskeyword(name):
            number += 1
            name = f"{wanted}{number}"
        self._names.add(name)
        return name

    def add(self, name: str, fields: Sequence[pa.Field], path: tuple[str, ...], doc: str) -> None:
        """Write a class."""
        lines = [f"class {name}(BaseModel):", f'    """{_docstring(doc)}"""', ""]
        lines.append('    model_config = ConfigDict(extra="forbid", protected_namespaces=())')
        taken: set[str] = set()
        body = []
        for field in fields:
            # Structs inside are written first, so that their names are known to `_attribute` as well.
            kind = self._type(field.type, (*path, field.name), name)
            body.append((field, kind))
        for field, kind in body:
            attribute = self._attribute(field.name, taken)
            taken.add(attribute)
            lines.append(f"    {attribute}: {_annotated(field, kind)}{_assigned(field, attribute)}")
        self._classes.append("\n".join(lines))

    def _attribute(self, column: str, taken: set[str]) -> str:
        from pydantic import BaseModel

        plain = unicodedata.normalize("NFKC", column)  # as Python does with every name it reads
        name = re.sub(r"\W", "_", plain).lstrip("_") or "column"
        name = f"column_{name}" if name[0].isdigit() or not name.isidentifier() else name
        reserved = name in _TAKEN or name in self._names or keyword.iskeyword(name)
        if reserved or hasattr(BaseModel, name):
            name = f"{name}_"
        number, wanted = 1, name
        while name in taken:
            number += 1
            name = f"{wanted}{number}"
        return name

    def _type(self, kind: pa.DataType, path: tuple[str, ...], owner: str) -> str:
        inner = children(kind)
        if pa.types.is_struct(kind):
            name = self.reserve(_class_name([owner, path[-1]]))
            self.add(name, inner, path, f"The member {'.'.join(path)} of a row.")
            return name
        if inner:
            word = "dict" if pa.types.is_map(kind) else "list"
            parts = [
                _optional(self._type(child.type, (*path, child.name), owner), nullable=child.nullable)
                for child in inner
            ]
            return f"{word}[{', '.join(parts)}]"
        return _leaf(kind, path)

    def text(self) -> str:
        """The whole module."""
        body = "\n\n\n".join(self._classes)
        used = [word for word in _PYDANTIC if re.search(rf"\b{word}\b", body)]
        imports = ["import datetime as dt"] if "dt." in body else []
        imports += ["from decimal import Decimal"] if "Decimal" in body else []
        imports += ["from typing import Annotated"] if "Annotated[" in body else []
        gap = [""] if imports else []
        return "\n".join([*imports, *gap, f"from pydantic import {', '.join(used)}", "", "", body, ""])


def _leaf(kind: pa.DataType, path: tuple[str, ...]) -> str:
    if kind in _WIDTHS:
        half = _WIDTHS[kind] - 1
        return f"Annotated[int, Field(ge=-(2**{half}), lt=2**{half})]"
    if pa.types.is_decimal(kind):
        return f"Annotated[Decimal, Field(max_digits={kind.precision}, decimal_places={kind.scale})]"
    if pa.types.is_fixed_size_binary(kind):
        return "bytes"
    if kind not in _LEAVES:
        raise SchemaError(
            f"the type {kind} has no form in pydantic",
            column=".".join(path),
            hint="Export another form, or another table.",
        )
    return _LEAVES[kind]


def _optional(kind: str, *, nullable: bool) -> str:
    return f"{kind} | None" if nullable else kind


def _annotated(field: pa.Field, kind: str) -> str:
    return _optional(kind, nullable=field.nullable)


def _assigned(field: pa.Field, attribute: str) -> str:
    """The default and the aliases."""
    source = source_path(field)
    options: list[str] = ["default=None"] if field.nullable else []
    if source is not None:
        other = repr(source[0]) if len(source) == 1 else f"AliasPath({', '.join(map(repr, source))})"
        options.append(f"validation_alias=AliasChoices({field.name!r}, {other})")
        options.append(f"serialization_alias={field.name!r}")
    elif attribute != field.name:
        options.append(f"alias={field.name!r}")
    if options == ["default=None"]:
        return " = None"
    return f" = Field({', '.join(options)})" if options else ""


def _class_name(parts: Sequence[str]) -> str:
    words = [word for part in parts for word in re.split(r"[\W_]+", part) if word]
    name = "".join(f"{word[:1].upper()}{word[1:]}" for word in words)
    return name if name.isidentifier() else f"Table{re.sub(r'[^0-9A-Za-z]', '', name)}"


def _docstring(text: Any) -> str:
    clean: str = re.sub(r"\s+", " ", str(text)).replace("\\", "\\\\").replace('"""', "'''")
    return clean
