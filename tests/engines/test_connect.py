"""What `lakeload inspect --connect` prints for Spark and Trino is run as it is printed, but for two things.

Spark takes the same connectors from files instead of fetching them, and Trino's `${ENV:…}`, which it resolves
in files only, is filled in before the catalog is made by a statement.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pytest
from engines.enginelake import EngineLake
from readers import assert_same_rows
from services import jars
from services.java import java_home
from services.postgres import PASSWORD
from services.trino import Answer, Trino

from lakeload.cli.connect import target_of
from lakeload.connect import connect, spark

ROWS = pa.table({"id": [1, 2, 3], "name": ["a", None, "it's"]})
FORMS = ("delta", "iceberg")

pytestmark = pytest.mark.timeout(600)  # the first test starts every engine


@pytest.fixture(scope="module")
def lake(engines) -> Iterator[EngineLake]:
    """One table in both formats, its Iceberg side in PostgreSQL."""
    found = EngineLake.new(engines, FORMS)
    found.load(ROWS)
    return found


def secrets(lake: EngineLake) -> Mapping[str, str]:
    """The variables the texts refer to."""
    options = dict(lake.storage or {})
    return {
        "AWS_ACCESS_KEY_ID": options["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": options["aws_secret_access_key"],
        "PGPASSWORD": PASSWORD,
    }


@pytest.mark.parametrize("form", FORMS)
def test_text_for_spark_is_a_program_that_reads_the_table(lake: EngineLake, form: str) -> None:
    text = connect("spark", target_of(lake.lake(), "t", form))
    files = ",".join(str(file) for file in jars.files("spark"))
    text = re.sub(r'"spark\.jars\.packages": "[^"]*"', f'"spark.jars": "{files}"', text)
    text += (
        "\nimport json\nprint('ROWS', json.dumps([row.asDict() for row in frame.collect()], default=str))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text],
        env={
            **os.environ, **secrets(lake), "JAVA_HOME": str(java_home(17, 21)), "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_SUBMIT_ARGS": "--master local[1] --driver-memory 1g "
            "--conf spark.ui.enabled=false --conf spark.databricks.delta.snapshotPartitions=2 pyspark-shell",
        },
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("ROWS ")]
    assert_same_rows(_rows(json.loads(line.removeprefix("ROWS "))), ROWS)


@pytest.mark.parametrize("form", FORMS)
def test_text_for_trino_is_a_catalog_and_statements_that_read_the_table(lake: EngineLake, form: str) -> None:
    text = connect("trino", target_of(lake.lake(), "t", form))
    answer = _in_trino(lake.engines.trino, text, secrets(lake))
    rows = [dict(zip(answer.names, row, strict=True)) for row in answer.rows]
    assert_same_rows(_rows(rows), ROWS)


def _in_trino(trino: Trino, text: str, variables: Mapping[str, str]) -> Answer:
    head, _, statements = text.partition("\n-- SQL\n")
    lines = [line for line in head.splitlines() if line and not line.startswith("#")]
    properties = {
        key: re.sub(r"\$\{ENV:(\w+)\}", lambda match: variables[match[1]], value)
        for key, _, value in (line.partition("=") for line in lines)
    }
    trino.catalog("lake", properties.pop("connector.name"), properties)
    plain = "\n".join(line for line in statements.splitlines() if not line.startswith("--"))
    answers = [trino.query(one.strip()) for one in plain.split(";") if one.strip()]
    return answers[-1]


def _rows(found: list[dict[str, object]]) -> pa.Table:
    kept = [{name: row[name] for name in ROWS.column_names} for row in found]
    return pa.Table.from_pylist(kept, schema=ROWS.schema)


def test_texts_name_the_versions_that_are_tested() -> None:
    assert spark._DELTA.endswith(f":{jars.version('delta')}")
    assert spark._ICEBERG.endswith(f":{jars.version('iceberg')}")
    assert spark._BUNDLES["aws"].endswith(f":{jars.version('iceberg')}")
    assert spark._HADOOP["aws"].endswith(f":{jars.version('hadoop')}")
    assert spark._DRIVERS["postgresql"].endswith(f":{jars.version('postgresql')}")
