"""Names: how a column or a table is called in the lake, whatever its source calls it.

One rule for columns at every depth, applied in the normalize stage before anything else. It depends on the
name alone, gives the same result everywhere, and leaves its own results as they are. Which of several
names that fall into one gets it is decided in `lakeload.normalize.names`.

| step | rule of `snake_case`, the default | example |
|---|---|---|
| 1 | Unicode NFKC; an empty or blank name becomes `unnamed` | `ﬁeld` → `field` |
| 2 | words of camelCase and PascalCase are split, acronyms kept whole | `HTTPServerId` → `http_server_id` |
| 3 | lower case; letters, digits and combining marks of any script stay | `Größe` → `größe` |
| 4 | every other run of characters becomes one `_` | `a.b "c"` → `a_b_c` |
| 5 | `_` at the ends goes; one leading `_` stays if the name began so | `_id` → `_id`, `$id` → `id` |
| 6 | when nothing is left, the code points of the name are spelled out | `%` → `u0025`, `🎉` → `u1f389` |
| 7 | a leading digit gets a `_` before it | `2nd` → `_2nd` |
| 8 | longer than the limit, 127 bytes in UTF-8: cut, and ended with a tail | `…_213be392` |
| 9 | names beginning with `_lakeload_` are refused at top level: they are lakeload's own | |

The tail is `_` and 8 hex digits of the SHA-256 of the source's name.

| policy | instead |
|---|---|
| `sql_safe` | ASCII alone, and no reserved words: `Größe` → `grosse`, `名` → `u540d`, `Order` → `order_` |
| `preserve` | the source's spelling: `Total (€)` → `Total_€_`; steps 8 and 9 |
| a function | its result, which has to be one that `preserve` would leave alone; steps 8 and 9 |

`sql_safe` does so after step 6: case folded, accents dropped (NFKD), what is left then as code points; words
reserved in Spark, Trino, DuckDB or Snowflake get a `_` at the end. `preserve` drops blanks at the ends, and
makes one `_` of every run of what Delta, Parquet readers or engines cannot hold in a name: control
characters, line ends, blanks, and `, ; { } ( ) = .`.

Columns that flattening moved up are called by the names of all steps, each by the rule, joined with `__`.

Table names follow `snake_case`, except that blank ones are refused, that a leading `_` goes, because
engines take such directories for hidden, and that a leading digit gets `t_`.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from lakeload.errors import SchemaError
from lakeload.model.naming import MAX_NAME_BYTES, Naming, Parts, Policy, source_text
from lakeload.normalize.reserved_words import RESERVED_WORDS

RESERVED = "_lakeload_"
UNNAMED = "unnamed"
JOINT = "__"
"""Between the names of a path that became one name."""

_UPPER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_RUN = re.compile(r"_+")
_UNFIT = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff,;{}()=.]+")


def column_name(raw: str, naming: Naming = "snake_case", max_length: int = MAX_NAME_BYTES) -> str:
    """The column's name in the lake.

    Args:
        raw: Name in the source's spelling.
        naming: The policy.
        max_length: Longest name, in bytes of UTF-8.

    Raises:
        SchemaError: A function of the user's gave something that cannot be a name.

    Example:
        >>> column_name("HTTPServerId"), column_name("2nd try!"), column_name("_id")
        ('http_server_id', '_2nd_try', '_id')
        >>> column_name("Order", "sql_safe"), column_name("Order", "preserve")
        ('order_', 'Order')
    """
    return shortened(_spelled(raw, naming), raw, max_length)


def path_name(parts: Parts, naming: Naming = "snake_case", max_length: int = MAX_NAME_BYTES) -> str:
    """The name of a column that flattening moved up: the names of all steps, joined.

    Raises:
        SchemaError: As for `column_name`.

    Example:
        >>> path_name(("billingAddress", "ZIP"))
        'billing_address__zip'
    """
    if len(parts) == 1:
        return column_name(parts[0], naming, max_length)
    return shortened(JOINT.join(_spelled(part, naming) for part in parts), source_text(parts), max_length)


@lru_cache(maxsize=1024)
def table_name(raw: str) -> str:
    """The table's name in the lake; also a valid directory name.

    Raises:
        SchemaError: The name is empty or blank.

    Example:
        >>> table_name("Sales.Orders-2024"), table_name("2024")
        ('sales_orders_2024', 't_2024')
    """
    if not raw.strip():
        raise SchemaError("a table has no name", hint="Give it one.")
    name = _snake(raw)
    return shortened(f"t_{name}" if name[0].isdigit() else name, raw)


def child_table_name(root: str, parts: Sequence[str]) -> str:
    """The name of the table that takes the elements of a list.

    Args:
        root: Name of the root table, in the lake.
        parts: Names in the source's spelling, from the record down to the list.

    Example:
        >>> child_table_name("orders", ["lineItems", "Taxes"])
        'orders__line_items__taxes'
    """
    whole = JOINT.join([root, *(_spelled(part, "snake_case") for part in parts)])
    return shortened(whole, json.dumps([root, *parts]))


def shortened(name: str, raw: str, max_length: int = MAX_NAME_BYTES) -> str:
    """The name itself if it is short enough, else its beginning and a tail that tells raw names apart."""
    return name if len(name.encode()) <= max_length else with_tail(name, raw, max_length)


def with_tail(name: str, raw: str, max_length: int = MAX_NAME_BYTES, digits: int = 8) -> str:
    """The name, cut where it is too long, and a hash of what the source calls it.

    Example:
        >>> with_tail("user_id", "User Id")
        'user_id_213be392'
    """
    digest = hashlib.sha256(raw.encode(errors="surrogatepass")).hexdigest()[:digits]
    head = name.encode()[: max_length - digits - 1].decode(errors="ignore").rstrip("_")
    return f"{head}_{digest}"


def _spelled(raw: str, naming: Naming) -> str:
    """The name under a policy, whatever its length."""
    return _asked(raw, naming) if callable(naming) else _ruled(raw, naming)


@lru_cache(maxsize=8192)
def _ruled(raw: str, naming: Policy) -> str:
    if naming == "preserve":
        return _UNFIT.sub("_", raw.strip()) or UNNAMED
    name = _snake(raw)
    # A leading `_` often tells a thing of the system from a thing of the user; it stays.
    lead = "_" if unicodedata.normalize("NFKC", raw).lstrip().startswith("_") else ""
    if naming == "sql_safe":
        name = _ascii(name)
    name = f"_{name}" if lead or name[0].isdigit() else name
    return f"{name}_" if naming == "sql_safe" and name in RESERVED_WORDS else name


def _asked(raw: str, naming: Callable[[str], str]) -> str:
    try:
        name = naming(raw)
    except Exception as error:
        raise SchemaError(
            f"the naming function failed on the column {raw!r} with {type(error).__name__}: {error}",
            hint="It has to give the column's name for every text.",
        ) from error
    if not isinstance(name, str) or not name or name != name.strip() or _UNFIT.search(name):
        raise SchemaError(
            f"the naming function makes {name!r} of the column {raw!r}",
            hint="It has to give a text of at least one character, without blanks, control characters "
            "and , ; { } ( ) = . in it.",
        )
    return name


def _snake(raw: str) -> str:
    """Steps 1 to 6."""
    text = unicodedata.normalize("NFKC", raw)
    if not text.strip():
        return UNNAMED
    text = _UPPER.sub("_", text) if text.isascii() else _split(text)
    text = unicodedata.normalize("NFKC", text.lower())
    name = _RUN.sub("_", _words(text)).strip("_")
    return name or "_".join(f"u{ord(character):04x}" for character in text.strip())


def _ascii(name: str) -> str:
    """Letters without their marks; code points of what has no ASCII letter in it."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    kept = [
        character if character.isascii() else f"_u{ord(character):04x}_"
        for character in plain
        if not unicodedata.category(character).startswith("M")
    ]
    found = _RUN.sub("_", _words("".join(kept))).strip("_")
    return found or "_".join(f"u{ord(character):04x}" for character in plain)


def _split(text: str) -> str:
    """Step 2 for any script: the same boundaries the ASCII pattern finds."""
    pieces = [text[:1]]
    for i in range(1, len(text)):
        before, here, after = text[i - 1], text[i], text[i + 1 : i + 2]
        if here.isupper() and (
            before.islower() or before.isdigit() or (before.isupper() and after.islower())
        ):
            pieces.append("_")
        pieces.append(here)
    return "".join(pieces)


def _words(text: str) -> str:
    """Steps 3 and 4: `_` for every character that is no part of a word."""
    kept: list[str] = []
    for character in text:
        # Marks belong to the letter before them; variation selectors are part of emoji.
        mark = unicodedata.category(character) in ("Mn", "Mc") and not "\ufe00" <= character <= "\ufe0f"
        keep = character.isalnum() or (mark and bool(kept) and kept[-1] != "_")
        kept.append(character if keep else "_")
    return "".join(kept)
