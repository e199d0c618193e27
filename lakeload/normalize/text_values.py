"""What texts are, one by one, and the values they have: the kernels of typing columns of text.

Every column that needs work crosses into Polars in one frame and comes back in one; each type is an
expression beside the check that its texts can be got back from it. Dates and timestamps are read by
`iso8601`, with Arrow. The table of types is in `text_types`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING

import pyarrow as pa

from lakeload.errors import SchemaError
from lakeload.model.numbers import double_of
from lakeload.model.types import MAX_PRECISION
from lakeload.normalize.casts import EXACT_IN_DOUBLE, has_digits, is_double, no_number
from lakeload.normalize.coerce import Convert, Leaf, Misfit
from lakeload.normalize.iso8601 import parse
from lakeload.normalize.misfits import blank, misfits
from lakeload.normalize.nested import conversion

if TYPE_CHECKING:
    import polars as pl

_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_SHORT_DECIMAL = 18
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
_MOMENTS = {
    "date": (f"^{_DATE}$", pa.date32()),
    "naive timestamp": (f"^{_DATE}{_CLOCK}$", pa.timestamp("us")),
    "timestamp": (f"^{_DATE}{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$", pa.timestamp("us", "UTC")),
}
_NUMBERS = frozenset(("integer", "long", "double", "fraction"))


@dataclass(slots=True)
class Seen:
    """What the texts of a column are: their kinds, and the extent of the numbers.

    Args:
        kinds: Of `integer`, `long` (beyond 64 bits), `double`, `fraction` (no double has this form),
            `boolean`, `date`, `naive timestamp`, `timestamp`, `string`.
        large: Whether some integer has no double of its own.
        whole: Most digits before a point.
        scale: Most digits after one.
    """

    kinds: set[str] = field(default_factory=set)
    large: bool = False
    whole: int = 0
    scale: int = 0

    def merged(self, other: Seen) -> Seen:
        """What both are together."""
        return Seen(
            self.kinds | other.kinds,
            self.large or other.large,
            max(self.whole, other.whole),
            max(self.scale, other.scale),
        )

    def type(self) -> pa.DataType:
        """The type from which every text can be got back, as far as that is known.

        Example:
            >>> Seen({"integer", "fraction"}, whole=3, scale=2).type()
            Decimal128Type(decimal128(18, 2))
        """
        simple = _SIMPLE.get(frozenset(self.kinds))
        if simple is not None:
            return simple
        if not self.kinds <= _NUMBERS:
            return pa.string()
        if self.kinds == {"integer", "double"} and not self.large:
            return pa.float64()
        digits = self.whole + self.scale
        if digits > MAX_PRECISION:
            return pa.string()
        # Two sizes only, so that a digit more is seldom another type: 18 digits fit 64 bits.
        short = digits <= _SHORT_DECIMAL and self.scale
        return pa.decimal128(_SHORT_DECIMAL if short else MAX_PRECISION, self.scale)


_SIMPLE: dict[frozenset[str], pa.DataType] = {
    frozenset(): pa.null(),
    frozenset({"integer"}): pa.int64(),
    frozenset({"double"}): pa.float64(),
    frozenset({"boolean"}): pa.bool_(),
    frozenset({"string"}): pa.string(),
    **{frozenset({name}): kind for name, (_, kind) in _MOMENTS.items()},
}


def seen_of(kind: pa.DataType) -> Seen | None:
    """What texts of a stored type were, as far as the type tells; `None` where none are of its form."""
    if pa.types.is_integer(kind):
        return Seen({"integer"})
    if pa.types.is_floating(kind):
        return Seen({"double"})
    if pa.types.is_decimal(kind):
        return Seen({"fraction"}, whole=kind.precision - kind.scale, scale=kind.scale)
    if pa.types.is_timestamp(kind):
        return Seen({"naive timestamp" if kind.tz is None else "timestamp"})
    known = {pa.bool_(): "boolean", pa.date32(): "date", pa.string(): "string"}.get(kind)
    return None if known is None else Seen({known})


def kinds_of(texts: pl.Series) -> pl.Series:
    """The kind of each text, as `Seen.kinds` has them; null for null."""
    import polars as pl

    if not len(texts):
        return pl.Series("kind", [], dtype=pl.String)
    kinds = texts.to_frame("text").select(_kind_expression()).to_series()
    return _second_look(texts, kinds)


def observe(texts: pl.Series) -> Seen:
    """What all the texts are.

    Example:
        >>> import polars as pl
        >>> str(observe(pl.Series(["1", "2.50", None])).type())
        'decimal128(18, 2)'
    """
    import polars as pl

    kinds = kinds_of(texts)
    frame = pl.DataFrame({"text": texts, "kind": kinds})
    digits = pl.col("text").str.strip_chars_start("-")
    point = digits.str.find(".", literal=True).cast(pl.Int64)
    length = digits.str.len_bytes().cast(pl.Int64)
    number = pl.col("kind").is_in(list(_NUMBERS))
    large = ~pl.col("text").cast(pl.Int64, strict=False).is_between(-EXACT_IN_DOUBLE, EXACT_IN_DOUBLE)
    found = frame.select(
        whole=pl.coalesce(point, length).filter(number).max(),
        scale=(length - point - 1).filter(number).max(),
        large=large.filter(pl.col("kind") == "integer").any(),
    ).row(0)
    seen = set(kinds.drop_nulls().unique().to_list())
    return Seen(seen, bool(found[2]), found[0] or 0, found[1] or 0)


@cache
def _kind_expression() -> pl.Expr:
    import polars as pl

    text = pl.col("text")
    integer = (text.cast(pl.Int64, strict=False).cast(pl.String) == text).fill_null(value=False)
    point = text.str.contains(".", literal=True)
    double = (text.cast(pl.Float64, strict=False).cast(pl.String) == text) & point
    plain = text.str.contains(_NUMBER)
    named = pl.when(text.is_null()).then(None).when(integer).then(pl.lit("integer"))
    named = named.when(text == "-0").then(pl.lit("double"))  # as `%.17g` prints it
    named = named.when(plain & ~point).then(pl.lit("long"))
    named = named.when(plain & double).then(pl.lit("double")).when(plain).then(pl.lit("fraction"))
    named = named.when(text.is_in(["true", "false"])).then(pl.lit("boolean"))
    for name, (pattern, _) in _MOMENTS.items():
        named = named.when(text.str.contains(pattern)).then(pl.lit(name))
    return named.otherwise(pl.lit("string")).alias("kind")


def _second_look(texts: pl.Series, kinds: pl.Series) -> pl.Series:
    """The kinds, where an expression cannot tell: other notations of doubles, and days no calendar has."""
    import polars as pl

    for name in set(kinds.unique().to_list()) & {"fraction", *_MOMENTS}:
        at = (kinds == name).arg_true()
        those = texts.gather(at)
        if name == "fraction":
            forms = {text: _fraction_kind(text) for text in those.unique().to_list()}
            kinds = kinds.scatter(at, pl.Series([forms[text] for text in those.to_list()]))
            continue
        wrong = _wrong_moments(those.to_arrow().cast(pa.string()), _MOMENTS[name][1])
        if wrong is not None:
            kinds = kinds.scatter(at.filter(pl.Series(wrong)), "string")
    return kinds


def _fraction_kind(text: str) -> str:
    if text.startswith("-") and not text.strip("-0."):
        return "string"  # a decimal has no negative zero
    # Zeros at the end say a scale, which a double does not keep.
    return "double" if not text.endswith("0") and double_of(text) is not None else "fraction"


def _wrong_moments(texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
    return misfits(texts, _moments(kind), kind)


def _moments(kind: pa.DataType) -> Convert:
    return Leaf("parse", (partial(parse, kind=kind),), ())


@dataclass(frozen=True, slots=True)
class Asked:
    """What a column of text is read as.

    Args:
        kind: The type.
        by_value: Whether a number may be written with zeros that its type does not give back.
    """

    kind: pa.DataType
    by_value: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A column of text as values of a type.

    Args:
        values: Of the type; null or anything where `wrong` says so.
        wrong: Which texts are not of the type, without nulls; `None` when all are.
        large: Whether some integer has no double of its own.
    """

    values: pa.Array
    wrong: pl.Series | None = None
    large: bool = False


def read(columns: Mapping[str, pa.Array], asked: Mapping[str, Asked]) -> dict[str, Read]:
    """Columns of text as values, all of them at once.

    Args:
        columns: The texts, by any name.
        asked: What to read each as: a type of `Seen.type` other than text, or what a table stores.
    """
    import polars as pl

    plain = [name for name, one in asked.items() if _is_plain(one.kind)]
    found = {name: _converted(columns[name], asked[name].kind) for name in asked if name not in plain}
    if not plain:
        return found
    frame = pl.DataFrame({name: pl.Series(columns[name], dtype=pl.String) for name in plain})
    made = frame.select(_value(name, asked[name].kind).alias(f"value{i}") for i, name in enumerate(plain))
    made = made.hstack(
        frame.hstack(made).select(e for i, name in enumerate(plain) for e in _checks(i, name, asked[name]))
    )
    for i, name in enumerate(plain):
        wrong: pl.Series | None = made[f"wrong{i}"]
        if made[f"wrong{i}"].any():
            wrong = _looked_at(frame[name], made[f"wrong{i}"], asked[name])
        values = made[f"value{i}"].to_arrow()
        found[name] = Read(
            values if values.type == asked[name].kind else values.cast(asked[name].kind, safe=False),
            wrong if wrong is not None and wrong.any() else None,
            large=bool(made[f"large{i}"].any()),
        )
    return found


def _is_plain(kind: pa.DataType) -> bool:
    return kind in (pa.int64(), pa.float64(), pa.bool_()) or pa.types.is_decimal(kind)


def _value(name: str, kind: pa.DataType) -> pl.Expr:
    """What a text is if it is of the type; may be anything else for other texts."""
    import polars as pl

    text = pl.col(name)
    if pa.types.is_boolean(kind):
        return text == "true"
    if pa.types.is_decimal(kind):
        return text.cast(pl.Decimal(kind.precision, kind.scale), strict=False)
    return text.cast(pl.Int64 if pa.types.is_integer(kind) else pl.Float64, strict=False)


def _checks(i: int, name: str, asked: Asked) -> tuple[pl.Expr, pl.Expr]:
    """Which texts are not what their value is written as, and whether an integer has no double of its own."""
    import polars as pl

    text, value, large = pl.col(name), pl.col(f"value{i}"), pl.lit(value=False)
    if pa.types.is_boolean(asked.kind):
        right = text.is_in(["true", "false"])
    else:
        right = value.cast(pl.String) == text
    if pa.types.is_integer(asked.kind):
        large = (~value.is_between(-EXACT_IN_DOUBLE, EXACT_IN_DOUBLE)).any(ignore_nulls=True)
    elif pa.types.is_floating(asked.kind):
        right &= ~text.str.contains("[aef]")  # codes such as `1e5`, and `NaN`
    wrong = text.is_not_null() & ~right.fill_null(value=False)
    return wrong.alias(f"wrong{i}"), large.alias(f"large{i}")


def _writes(text: pl.Expr, kind: pa.DataType) -> pl.Expr:
    """Whether a number is written with no more digits before and after the point than a decimal type has."""
    import polars as pl

    digits = text.str.strip_chars_start("-")
    length = digits.str.len_bytes().cast(pl.Int64)
    point = digits.str.find(".", literal=True).cast(pl.Int64)
    before, after = pl.coalesce(point, length), (length - point - 1).fill_null(0)
    signed_zero = text.str.starts_with("-") & (text.str.strip_chars("-0.").str.len_bytes() == 0)
    return (before <= kind.precision - kind.scale) & (after <= kind.scale) & ~signed_zero


def _looked_at(texts: pl.Series, suspects: pl.Series, asked: Asked) -> pl.Series:
    """Which of the suspects are wrong indeed: they may be written in another way that the type has."""
    import polars as pl

    kind = asked.kind
    if not pa.types.is_decimal(kind) and not pa.types.is_floating(kind):
        return suspects  # there is one way to write them
    at = suspects.arg_true()
    text = pl.col("text")
    number = text.str.contains(_NUMBER)
    if pa.types.is_decimal(kind):
        right = number & (has_digits(text, kind) if asked.by_value else _writes(text, kind))
    else:
        right = number & is_double(text)
    wrong = at.filter(~texts.gather(at).to_frame("text").select(right.fill_null(value=False)).to_series())
    if pa.types.is_floating(kind):
        those = texts.gather(wrong).unique()
        if asked.by_value:
            exact = those.str.contains(_NUMBER) & ~pl.Series(no_number(those.to_arrow(), kind))
        else:
            exact = kinds_of(those) == "double"
        wrong = wrong.filter(~texts.gather(wrong).is_in(those.filter(exact).implode()))
    return pl.repeat(value=False, n=len(texts), eager=True).scatter(wrong, values=True)


def _converted(texts: pa.Array, kind: pa.DataType) -> Read:
    """Moments, and whatever else a table stores, as values: by the conversion a hint would use."""
    import polars as pl

    try:
        convert = _moments(kind) if pa.types.is_temporal(kind) else conversion(pa.string(), kind, ())
    except SchemaError:
        return Read(pa.nulls(len(texts), kind), pl.Series(texts.is_valid()))
    if convert is None:
        return Read(texts)
    try:
        return Read(convert(texts))
    except Misfit:
        wrong = misfits(texts, convert, kind)
        return Read(convert(blank(texts, wrong)), pl.Series(wrong))
