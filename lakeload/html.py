"""Reports, tables and lakes as small HTML tables, for notebooks, as `str` is for terminals."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table; whatever stands in a cell is shown as text.

    Example:
        >>> table("t", ["a"], [["<1>"]])
        '<table><caption>t</caption><tr><th>a</th></tr><tr><td>&lt;1&gt;</td></tr></table>'
    """
    heads = "".join(f"<th>{_cell(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><caption>{_cell(caption)}</caption><tr>{heads}</tr>{body}</table>"


def _cell(value: object) -> str:
    return html.escape(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))
