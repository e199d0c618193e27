import pyarrow as pa
import pytest

import lakeload as ll
from lakeload.options import spec_of


@pytest.mark.parametrize("schema", [{"id": "no such type"}, {"id": 5}, [("id", pa.int64())]])
def test_hints_that_are_no_types_are_refused_with_a_hint(schema):
    with pytest.raises(ll.ConfigError, match=r"the schema cannot be read.*pa\.int64"):
        spec_of("t", schema=schema)


def test_hints_by_column_become_a_schema():
    assert spec_of("t", schema={"id": pa.int32()}).schema == pa.schema([("id", pa.int32())])
