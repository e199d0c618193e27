from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pytest

from lakeload.sources.decode.expectation import Expectation
from lakeload.sources.read import ReadOptions, read

Reader = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def batches() -> Callable[..., list[pa.RecordBatch]]:
    """Reads data into batches: `batches(data, hint={...}, workers=2, format=...)`."""

    def run(
        data: object, *, hint: Mapping[str, pa.DataType] | None = None, workers: int = 2, **options: Any
    ) -> list[pa.RecordBatch]:
        expectation = Expectation(dict(hint or {}).get)
        return list(read(data, expectation=expectation, options=ReadOptions(**options), workers=workers))

    return run


@pytest.fixture
def rows(batches: Callable[..., list[pa.RecordBatch]]) -> Reader:
    """Reads data into rows."""

    def run(data: object, **options: Any) -> list[dict[str, Any]]:
        return [row for batch in batches(data, **options) for row in batch.to_pylist()]

    return run


@pytest.fixture
def types(batches: Callable[..., list[pa.RecordBatch]]) -> Callable[..., dict[str, str]]:
    """Reads data into the types of the first batch."""

    def run(data: object, **options: Any) -> dict[str, str]:
        return {field.name: str(field.type) for field in batches(data, **options)[0].schema}

    return run
