"""Rows met before: which rows of a load repeat the key of an earlier one.

Part of checking rows (`rules`). Keys are kept as 128-bit hashes of their canonical text, which is the same
for values that are equal across types, so that a column can widen in the middle of a load. 16 bytes per key,
in sorted runs that are merged as they grow: looking up a batch takes a binary search in each of a few runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from lakeload.model.text import to_json, to_text

if TYPE_CHECKING:
    import polars as pl

_SEEDS = (0x6C616B65, 0x6C6F6164)


class Seen:
    """The keys of a load so far.

    Example:
        >>> seen = Seen()
        >>> [seen.repeated([pa.array(ids)]).to_pylist() for ids in ([1, 2, 1], [3.0, 2.0])]
        [[2], [1]]
    """

    def __init__(self) -> None:
        self._runs: list[pl.Series] = []

    def repeated(self, columns: Sequence[pa.Array], among: pa.Array | None = None) -> pa.Array:
        """Rows whose key an earlier row has, here or in a batch before; the others are remembered.

        Rows with a null in their key repeat nothing and are not remembered.

        Args:
            columns: The columns of the key.
            among: The rows that count, as int64 indices; all by default.

        Returns:
            int64 indices of the rows, ascending.
        """
        import polars as pl

        keys, rows = _keys(columns, among)
        frame = pl.DataFrame({"key": keys, "row": pl.Series("row", pl.from_arrow(rows))}).filter(
            pl.col("key").is_not_null()
        )
        known = pl.repeat(False, frame.height, eager=True)
        for run in self._runs:
            places = run.search_sorted(frame["key"])
            known |= run.gather(places.clip(0, run.len() - 1)) == frame["key"]
        again = known | ~frame["key"].is_first_distinct()
        self._remember(frame["key"].filter(~again))
        return frame["row"].filter(again).sort().to_arrow().cast(pa.int64())

    def _remember(self, keys: pl.Series) -> None:
        import polars as pl

        if not keys.len():
            return
        run = keys.sort()
        while self._runs and self._runs[-1].len() <= run.len():
            run = pl.concat([self._runs.pop(), run]).sort()
        self._runs.append(run)


def _keys(columns: Sequence[pa.Array], among: pa.Array | None) -> tuple[pl.Series, pa.Array]:
    import polars as pl

    rows = pa.array(range(len(columns[0])), pa.int64()) if among is None else among
    chosen = list(columns) if among is None else [column.take(rows) for column in columns]
    if len(chosen) == 1:
        text = to_text(chosen[0])
    else:  # JSON, so that no two keys run together
        text = pc.binary_join_element_wise(*(to_json(_as_text(c)) for c in chosen), ",")
    key = pl.col("key")
    high = key.hash(_SEEDS[0]).reinterpret(signed=True).cast(pl.Int128) * pl.lit(1 << 64, dtype=pl.Int128)
    hashed = high + key.hash(_SEEDS[1]).cast(pl.Int128)
    # Polars gives null a hash as well.
    frame = pl.DataFrame({"key": pl.from_arrow(text)})
    return frame.select(pl.when(key.is_not_null()).then(hashed)).to_series(), rows


def _as_text(column: pa.Array) -> pa.Array:
    return to_text(column)
