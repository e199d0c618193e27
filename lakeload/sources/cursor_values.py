"""What the values of a cursor mean: numbers, dates, moments or text, and how the values of a load compare.

Part of extract, for `Incremental`. What a cursor is of is decided once per resource: by what was declared, by
the position, else by the first values there are. From then on a value of another kind is refused, with its
row, or told apart; it is never compared as something it is not.

| column | compared as |
|---|---|
| integers, floats, decimals | numbers |
| dates | dates; as midnight beside timestamps without zone |
| timestamps | moments, with or without zone |
| text declared to be numbers | numbers |
| text that is ISO 8601 | moments, with or without zone |
| other text | text |
| anything else | refused |
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.errors import ConfigError, SourceError
from lakeload.model.cursor import Cursor, CursorValue
from lakeload.model.naming import nearest
from lakeload.sources.decode.conflict import excerpt

Family: TypeAlias = Literal["number", "date", "timestamp without zone", "timestamp with zone", "text"]

_CLOCK = r"\d\d:\d\d(:\d\d([.,]\d+)?)?"
_MOMENT = re.compile(rf"\s*\d{{4}}-\d\d-\d\d([Tt ]{_CLOCK}\s*([Zz]|[+-]\d\d(:?\d\d)?)?)?\s*")
_MOMENTS: dict[str, pa.DataType] = {
    "date": pa.date32(),
    "timestamp without zone": pa.timestamp("us"),
    "timestamp with zone": pa.timestamp("us", "UTC"),
}
_DAYS = (-719_162, 2_932_896)
"""0001-01-01 and 9999-12-31, in days since 1970."""
_MIXED = (
    "Correct it in the source, or say what the cursor's text is compared as: type (--type) is number, "
    "timestamp or text."
)


class CursorValues:
    """Reads the columns of one cursor, batch by batch.

    Args:
        cursor: What orders the rows.
        position: The value the last run reached; `None` on the first.
        kind: Type of the column, where one is declared or the table has one.
        lenient: What is no such value is told apart, for the contract to judge; otherwise it is refused.

    Example:
        >>> values = CursorValues(Cursor("at"), None)
        >>> values.read(pa.array(["2024-05-01T12:00:00+02:00"]), 0)[0].as_py().hour
        10
    """

    def __init__(
        self,
        cursor: Cursor,
        position: CursorValue | None,
        kind: pa.DataType | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        self._path, self._type, self._kind, self._lenient = cursor.path, cursor.type, kind, lenient
        self.family: Family | None = None
        if position is not None:
            self.family = family_of_value(self.position(position))
        elif self._type in ("number", "text"):
            self.family = self._type
        elif kind is not None and not pa.types.is_null(kind):
            declared = family_of(kind)
            self.family = declared if declared != "text" else None
        self._settled = self.family is not None

    def position(self, value: CursorValue) -> CursorValue:
        """A stored position as what is compared: ISO 8601 text is the moment it tells."""
        if isinstance(value, str) and self._type != "text":
            found = moment(value)
            return value if found is None else found
        return value

    def read(self, column: pa.Array, before: int) -> pa.Array:
        """The values to compare, null where there is none in a column that is judged later.

        Args:
            column: As it came.
            before: Rows of the load before it, for messages.

        Raises:
            SourceError: A value is missing, or is not of the cursor's kind.
        """
        column = _plain(column)
        self._refuse_gaps(column, before)
        if not len(column):
            return column
        if pa.types.is_string(column.type):
            return self._of_text(column, before)
        found = family_of(column.type)
        if found is None:
            raise SourceError(
                f"a column of type {column.type} cannot order rows",
                column=self._path,
                hint="Choose a column of numbers, dates, timestamps or text as the cursor.",
            )
        if found in ("timestamp with zone", "timestamp without zone") and column.type.unit != "us":
            # Positions are kept in µs; finer rows that share one are told apart by hash.
            column = self._in_us(column, before)
        return self._fitting(self._as_family(column, found, before), before)

    def lifted(self, value: Any) -> Any:
        """A date as the midnight it is, once there are timestamps beside it."""
        lone = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
        return (
            dt.datetime.combine(value, dt.time())
            if lone and self.family == "timestamp without zone"
            else value
        )

    def initial(self, value: CursorValue) -> CursorValue:
        """The value a first run starts from, in the cursor's kind.

        Raises:
            ConfigError: It is of another kind.
        """
        found = self._initial(value)
        if found is None:
            raise ConfigError(
                f"the cursor is {_an(self.family)}, and cannot start at {value!r}",
                column=self._path,
                hint="Give an initial value of its kind, a timestamp with zone for timestamps with zone.",
            )
        return found

    def _initial(self, value: CursorValue) -> CursorValue | None:
        if self.family == "text":
            return value if isinstance(value, str) else None
        if self.family == "number":
            return (
                number(value)
                if isinstance(value, str)
                else value
                if family_of_value(value) == "number"
                else None
            )
        told = moment(value) if isinstance(value, str) else value
        if isinstance(told, dt.datetime):
            if self.family == "date":
                return told.date() if told.tzinfo is None and told.time() == dt.time() else None
            return told if (told.tzinfo is not None) == (self.family == "timestamp with zone") else None
        if not isinstance(told, dt.date):
            return None
        zone = dt.UTC if self.family == "timestamp with zone" else None
        return told if self.family == "date" else dt.datetime.combine(told, dt.time(), zone)

    def _as_family(self, column: pa.Array, found: Family, before: int) -> pa.Array:
        if self.family is None:
            self.family = found
        pair = {self.family, found}
        if pair == {"date", "timestamp without zone"}:
            self.family = "timestamp without zone"
            return column.cast(pa.timestamp("us"))
        if len(pair) > 1:
            raise SourceError(
                f"the cursor column is {_an(found)} ({column.type}), the position is {_an(self.family)}",
                column=self._path,
                row=before + 1,
                hint="Make the column what it was when the position was stored, or declare its type.",
            )
        if (
            self._type is not None
            and self._type != found
            and not (self._type == "timestamp" and found in _MOMENTS)
        ):
            raise SourceError(
                f"the cursor column is {_an(found)}, not {self._type}",
                column=self._path,
                hint="Leave its type out.",
            )
        return column

    def _of_text(self, column: pa.Array, before: int) -> pa.Array:
        if self.family is None or (self.family == "text" and self._type is None):
            self._decide(column, before)
        if self.family == "text":
            return column
        values = self._numbers(column) if self.family == "number" else self._moments(column)
        if values.null_count:
            odd = pc.indices_nonzero(values.is_null())
            if not (self._lenient and self._may_pass(column.take(odd))):
                raise self._refusal(column, odd[0].as_py(), before, f"is no {self.family or self._type}")
        return self._fitting(values, before)

    def _may_pass(self, texts: pa.Array) -> bool:
        """Whether texts of another kind are for the contract to judge, whatever stood before them."""
        # What the first values told is no measure for later ones: the blocks of a file would show.
        if self._settled:
            return True
        return self._type == "timestamp" and all(moment(text) is None for text in texts.to_pylist())

    def _decide(self, column: pa.Array, before: int) -> None:
        """What text is: moments if it tells any, else text."""
        tells = pc.match_substring_regex(column, f"^{_MOMENT.pattern}$")
        if self._type != "timestamp":
            if not pc.any(tells).as_py():
                self.family = "text"
                return
            if self.family == "text" or not pc.all(tells).as_py():
                odd = _first(tells if self.family == "text" else pc.invert(tells))
                raise self._refusal(column, odd, before, "is of another kind than those before or beside it")
        self.family = _family_of_moments(column.filter(tells).to_pylist())

    def _moments(self, column: pa.Array) -> pa.Array:
        """Texts as moments of the cursor's family; null where one tells none."""
        if self.family is None:
            return pa.nulls(len(column), pa.timestamp("us"))
        with suppress(pa.ArrowInvalid):
            read = column.cast(_MOMENTS[self.family])
            if not pc.any(_beyond(read)).as_py():
                return read
        # A call for each text, where Arrow cannot read one of them.
        found: list[Any] = [moment(text) for text in column.to_pylist()]
        naive = [isinstance(one, dt.datetime) and one.tzinfo is None for one in found]
        if self.family == "date" and any(naive):
            self.family = "timestamp without zone"
        if self.family == "timestamp with zone":
            kept = [one if isinstance(one, dt.datetime) and one.tzinfo else None for one in found]
        elif self.family == "date":
            kept = [None if isinstance(one, dt.datetime) else one for one in found]
        else:
            kept = [
                None if isinstance(one, dt.datetime) and one.tzinfo else self.lifted(one) for one in found
            ]
        return pa.array(kept, _MOMENTS[self.family])

    def _numbers(self, column: pa.Array) -> pa.Array:
        for kind in (self._kind, pa.int64()):
            if kind is not None and pa.types.is_integer(kind):
                with suppress(pa.ArrowInvalid):
                    return column.cast(kind)
        return _array([number(text) for text in column.to_pylist()])

    def _in_us(self, column: pa.Array, before: int) -> pa.Array:
        kind = pa.timestamp("us", column.type.tz)
        try:
            return column.cast(kind, safe=column.type.unit != "ns")
        except pa.ArrowInvalid:
            raise self._outside(before) from None

    def _fitting(self, values: pa.Array, before: int) -> pa.Array:
        """Without values that no column holds, or not this one, where the contract judges them."""
        if pa.types.is_temporal(values.type) and pc.any(beyond := _beyond(values)).as_py():
            if not self._lenient:
                raise self._outside(before + _first(beyond))
            values = pc.if_else(beyond, pa.scalar(None, values.type), values)
        if not self._lenient or self._kind is None or family_of(self._kind) != self.family:
            return values
        with suppress(pa.ArrowInvalid):
            values.cast(self._kind)
            return values
        fits = pa.array([value.is_valid and _fits(value, self._kind) for value in values])
        return pc.if_else(fits, values, pa.scalar(None, values.type))

    def _outside(self, before: int) -> SourceError:
        return SourceError(
            "the cursor is outside the years 1 to 9999",
            column=self._path,
            row=before + 1,
            hint="Correct it in the source, or choose another column as the cursor.",
        )

    def _refuse_gaps(self, column: pa.Array, before: int) -> None:
        floats = pa.types.is_floating(column.type)
        holes = {"null": column.is_null(), "NaN": pc.fill_null(pc.is_nan(column), False) if floats else None}
        for what, where in holes.items():
            if where is not None and pc.any(where).as_py():
                row = before + _first(where) + 1
                hint = "Filter such rows out in the source, or choose a cursor that every row has."
                raise SourceError(f"the cursor is {what}", column=self._path, row=row, hint=hint)

    def _refusal(self, column: pa.Array, index: int, before: int, what: str) -> SourceError:
        shown = excerpt(column[index].as_py())
        return SourceError(
            f"the cursor value {shown} {what}", column=self._path, row=before + index + 1, hint=_MIXED
        )


def moment(text: str) -> dt.date | dt.datetime | None:
    """The date or moment an ISO 8601 text tells; `None` for other text. Finer than µs is cut off.

    Example:
        >>> moment("2024-05-01 12:00+02").isoformat()
        '2024-05-01T10:00:00+00:00'
    """
    if not _MOMENT.fullmatch(text):
        return None
    plain = text.strip().upper().replace(" ", "T", 1).replace(" ", "").replace(",", ".")
    try:
        if len(plain) == len("2024-05-01"):
            return dt.date.fromisoformat(plain)
        found = dt.datetime.fromisoformat(plain)
        return found.astimezone(dt.UTC) if found.tzinfo else found
    except (ValueError, OverflowError):
        return None


def number(text: str) -> int | Decimal | None:
    """The number a text tells; `None` for other text."""
    try:
        found = Decimal(text.strip())
    except InvalidOperation:
        return None
    if not found.is_finite():
        return None
    return int(found) if found == found.to_integral_value() and abs(found.adjusted()) <= 18 else found  # noqa: PLR2004 - digits of int64


def family_of_value(value: object) -> Family | None:
    """What a value is compared as; `None` for what orders nothing."""
    if isinstance(value, dt.datetime):
        return "timestamp with zone" if value.tzinfo else "timestamp without zone"
    if isinstance(value, dt.date):
        return "date"
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return "number"
    return "text" if isinstance(value, str) else None


def family_of(kind: pa.DataType) -> Family | None:
    """What a column of this type is compared as; `None` for what orders nothing."""
    if pa.types.is_timestamp(kind):
        return "timestamp with zone" if kind.tz else "timestamp without zone"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None


def column_at(batch: pa.RecordBatch, path: str) -> pa.Array:
    """The column at a path.

    Raises:
        SourceError: There is none.
    """
    found = batch.schema.get_all_field_indices(path)
    if len(found) == 1:
        return batch.column(found[0])
    head, _, rest = path.partition(".")
    indices = batch.schema.get_all_field_indices(head) if rest else []
    if len(indices) == 1:
        values = batch.column(indices[0])
        for name in rest.split("."):
            if not pa.types.is_struct(values.type) or values.type.get_field_index(name) < 0:
                break
            values = pc.struct_field(values, name)
        else:
            return values
    alike = [name for name in batch.schema.names if plainly(name) == plainly(path)]
    if len(alike) == 1 and alike[0] != path:  # spelled as in the table
        return column_at(batch, alike[0])
    names = ", ".join(batch.schema.names[:20])
    hint = f"{nearest(path, batch.schema.names)} The columns are {names}."
    raise SourceError("the cursor column is missing", column=path, hint=hint.strip())


def plainly(name: str) -> str:
    """The name without what naming adds and takes."""
    return "".join(filter(str.isalnum, name)).lower()


def _plain(column: pa.Array) -> pa.Array:
    """The column without encodings, texts as `string`."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_string_view(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
    return column.cast(pa.date32()) if pa.types.is_date64(column.type) else column


def _fits(value: pa.Scalar, kind: pa.DataType) -> bool:
    try:
        value.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _array(values: Sequence[int | Decimal | None]) -> pa.Array:
    """Numbers in the narrowest type that holds them all; null where none does."""
    with suppress(pa.ArrowInvalid, OverflowError):
        if all(value is None or isinstance(value, int) for value in values):
            return pa.array(values, pa.int64())
    decimals = [None if value is None else Decimal(value) for value in values]
    with suppress(pa.ArrowInvalid):
        return pa.array(decimals)
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _first(where: pa.Array) -> int:
    return int(pc.index(where, pa.scalar(value=True)).as_py())


def _beyond(moments: pa.Array) -> pa.Array:
    """Which lie outside the years Python and the formats have."""
    days = moments.cast(pa.date32(), safe=False).cast(pa.int32())
    return pc.fill_null(pc.or_(pc.less(days, _DAYS[0]), pc.greater(days, _DAYS[1])), False)


def _family_of_moments(texts: Sequence[str]) -> Family | None:
    found = [told for text in texts if (told := moment(text)) is not None]
    if any(isinstance(told, dt.datetime) and told.tzinfo for told in found):
        return "timestamp with zone"
    if any(isinstance(told, dt.datetime) for told in found):
        return "timestamp without zone"
    return "date" if found else None


def _an(family: str | None) -> str:
    return f"a {family}" if family != "text" else "text"
