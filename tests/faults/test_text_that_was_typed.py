"""Text that was read as a moment and must be text after all comes back as it was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import lakeload
from lakeload.errors import SchemaError
from lakeload.sources import again

AT = "2024-05-01T10:00:00+02:00"
MANY = 600
"""More rows than a first batch has, so that types are settled when the odd one comes."""

LATE: list[tuple[object, object]] = [
    (AT, "n/a"),
    (AT, 7),
    ("2024-05-01 10:00:00", "2024-05-01"),
    ("2024-05-01T10:00:00.50", AT),
    ([AT], ["soon"]),
    ({"a": AT}, {"a": "soon"}),
    ([{"a": AT}], "none"),
]


def loaded(tmp_path: Path, data: object, **options: Any) -> list[dict[str, Any]]:
    lakeload.load(data, lakeload.Lakehouse(tmp_path / "lake"), table="t", load_columns=False, **options)
    rows: list[dict[str, Any]] = (
        lakeload.Lakehouse(tmp_path / "lake").table("t").scan().read_all().to_pylist()
    )
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.parametrize(("usual", "late"), LATE)
@pytest.mark.parametrize("source", ["rows", "generator", "files"])
def test_text_a_late_value_makes_of_moments_is_the_text_that_came(
    tmp_path: Path, usual: object, late: object, source: str
) -> None:
    rows = [{"id": i, "at": usual} for i in range(MANY)] + [{"id": MANY, "at": late}]
    data: object = rows if source == "rows" else iter(rows)
    if source == "files":
        for name, part in (("a", rows[:-1]), ("b", rows[-1:])):
            (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, part)))
        data = str(tmp_path / "*.jsonl")
    found = loaded(tmp_path, data)
    assert len(found) == MANY + 1
    text = [found[0]["at"], found[-1]["at"]]
    if isinstance(late, str | int) and not isinstance(usual, str):
        assert [json.loads(text[0]), text[1]] == [usual, str(late)]
    else:
        assert text == [usual, str(late) if isinstance(late, int) else late]


def test_what_a_long_generator_gave_is_refused_rather_than_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "KEPT", 1000)

    def rows() -> Iterator[dict[str, object]]:
        yield from ({"id": i, "at": AT} for i in range(50_000))
        yield {"id": -1, "at": "n/a"}

    with pytest.raises(SchemaError, match="n/a") as error:
        loaded(tmp_path, rows())
    assert (error.value.table, error.value.column) == ("t", "at")
    assert loaded(tmp_path, rows(), schema={"at": pa.string()})[1]["at"] == AT


def test_a_contract_judges_late_text_without_another_reading(tmp_path: Path) -> None:
    rows = [{"id": i, "at": AT} for i in range(MANY)] + [{"id": MANY, "at": "n/a"}]
    assert len(loaded(tmp_path, iter(rows), contract={"types": "quarantine"})) == MANY
