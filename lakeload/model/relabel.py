"""Arrow data under another type of the same layout.

Names, nullability and metadata inside nested types are part of the type, so giving them anew means another
type over the same buffers. Every stage after extract does so.
"""

from __future__ import annotations

import pyarrow as pa


def relabel(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """The same buffers under a type of the same layout, over the Arrow C data interface. Copies nothing.

    Example:
        >>> relabel(pa.array([{"a": 1}]), pa.struct([("b", pa.int64())])).to_pylist()
        [{'b': 1}]
    """
    return pa.array(_Labelled(array, kind))


class _Labelled:
    """Exports the data of an array with another type."""

    def __init__(self, data: pa.Array, kind: pa.DataType) -> None:
        self._data, self._kind = data, kind

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        del requested_schema
        return self._kind.__arrow_c_schema__(), self._data.__arrow_c_array__()[1]
