"""The ids of rows that unnesting ties together.

Beneath `shape`, in the normalize stage. Ids are made of whole columns at once: a primary key as text, the way
to a list, the position in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.text import to_text

KEY_SEPARATOR = "|"
"""Between the values of a primary key of several columns."""
STEP = "/"
"""Between the steps of an id: from a row to a list within it, and to the element's position."""


def root_ids(keys: Sequence[pa.Array | None], prefix: str, start: int, rows: int) -> pa.Array:
    r"""The ids of root rows: the text of their primary key, or else their number in the load.

    Values of several key columns are joined by `|`; a `|` or `\` within one has a `\` before it. A row
    without a key, or with a null in it, is numbered.

    Args:
        keys: Key columns; `None` for one that the batch does not have.
        prefix: What rows without a key are called, before their number.
        start: Number of the first row.
        rows: Rows in the batch.

    Example:
        >>> root_ids([pa.array([1, None]), pa.array(["a|b", "c"])], "l", 7, 2).to_pylist()
        ['1|a\\|b', 'l-8']
    """
    keyed = None
    texts = [_escaped(to_text(key)) for key in keys if key is not None]
    if texts and len(texts) == len(keys):
        keyed = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, KEY_SEPARATOR)
        if not keyed.null_count:
            return keyed
    numbers = pa.arange(start, start + rows).cast(pa.string())
    numbered = pc.binary_join_element_wise(f"{prefix}-", numbers, "")
    return numbered if keyed is None else pc.coalesce(keyed, numbered)


def _escaped(text: pa.Array) -> pa.Array:
    for character in ("\\", KEY_SEPARATOR):
        if pc.any(pc.match_substring(text, character)).as_py():
            text = pc.replace_substring(text, character, f"\\{character}")
    return text


def child_ids(parents: pa.Array, names: Sequence[str], positions: pa.Array) -> pa.Array:
    """The ids of elements: the parent's id, the way to the list, and the position in it.

    Args:
        parents: Id of each element's parent row.
        names: Names from the parent row to the list.
        positions: Place of each element in its list.

    Example:
        >>> child_ids(pa.array(["7"]), ["payload", "commits"], pa.array([2])).to_pylist()
        ['7/payload/commits/2']
    """
    way = STEP + STEP.join(names) + STEP
    return pc.binary_join_element_wise(parents, way, positions.cast(pa.string()), "")
