"""Reading a published table with Spark: a PySpark program that fetches its connectors from Maven."""

from __future__ import annotations

from lakeload.connect.dialects import for_hadoop, for_iceberg_java, for_spark
from lakeload.connect.target import Place, Target, mapping, python

_CATALOG = "lake"
_DELTA = "io.delta:delta-spark_4.1_2.13:4.4.0"
_ICEBERG = "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0"
_HADOOP = {
    "aws": "org.apache.hadoop:hadoop-aws:3.4.2",
    "google": "com.google.cloud.bigdataoss:gcs-connector:hadoop3-2.2.26",
    "azure": "org.apache.hadoop:hadoop-azure:3.4.2",
}
_BUNDLES = {
    "aws": "org.apache.iceberg:iceberg-aws-bundle:1.12.0",
    "google": "org.apache.iceberg:iceberg-gcp-bundle:1.12.0",
    "azure": "org.apache.iceberg:iceberg-azure-bundle:1.12.0",
}
_DRIVERS = {"postgresql": "org.postgresql:postgresql:42.7.7", "sqlite": "org.xerial:sqlite-jdbc:3.50.3.0"}


def snippet(target: Target) -> str:
    """PySpark 4.1 that reads the table; other versions of Spark need other connectors.

    Example:
        >>> print(snippet(Target("t", "default", "delta", "/lake/default/t")).splitlines()[-2])
        frame = spark.read.format("delta").load("/lake/default/t")
    """
    settings, read = _delta(target) if target.format == "delta" else _iceberg(target)
    lines = [
        "# Written for Spark 4.1 with Scala 2.13: other versions need other packages.",
        f"settings = {mapping(settings)}",
        'builder = SparkSession.builder.appName("lake")',
        "for key, value in settings.items():",
        "    builder = builder.config(key, value)",
        "spark = builder.getOrCreate()",
        f"frame = {read}",
        "frame.show()",
    ]
    text = "\n".join(lines)
    head = ["import os", ""] if "os.environ[" in text else []
    return "\n".join([*head, "from pyspark.sql import SparkSession", "", text])


def _delta(target: Target) -> tuple[dict[str, str], str]:
    packages = [_DELTA, *([_HADOOP[target.family]] if target.family else [])]
    settings = {
        "spark.jars.packages": ",".join(packages),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        **for_spark(target.shown, target.location),
    }
    if target.place and target.place.kind == "hive":
        settings["spark.sql.catalogImplementation"] = "hive"
        settings["spark.hadoop.hive.metastore.uris"] = target.place.thrift
        return settings, f"spark.table({python(f'{target.namespace}.`{target.name}`')})"
    where = for_hadoop(target.location, target.options)
    return settings, f'spark.read.format("delta").load({python(where)})'


def _iceberg(target: Target) -> tuple[dict[str, str], str]:
    place = target.place
    if place is None:
        raise target.refuse("Spark", "finds Iceberg tables in a catalog only", "Give the catalog's URI.")
    name, known = _catalog(place, target)
    packages = [_ICEBERG, *([_BUNDLES[target.family]] if target.family else [])]
    if place.kind == "sql":
        packages.append(_DRIVERS[place.address.partition(":")[0]])
    prefix = f"spark.sql.catalog.{name}"
    settings = {
        "spark.jars.packages": ",".join(packages),
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
        prefix: "org.apache.iceberg.spark.SparkCatalog",
        **{f"{prefix}.{key}": value for key, value in known.items()},
    }
    return settings, f"spark.table({python(f'{name}.{target.namespace}.`{target.name}`')})"


def _catalog(place: Place, target: Target) -> tuple[str, dict[str, str]]:
    """The catalog's name in Spark, and its properties."""
    properties: dict[str, str] = {}
    name = _CATALOG
    match place.kind:
        case "sql":
            # Java's JDBC catalog finds only tables that were registered under its own name.
            name = place.settings.get("catalog", "default")
            url, user, password = place.jdbc
            properties = {"type": "jdbc", "uri": url, "jdbc.schema-version": "V1"}
            properties |= {"jdbc.user": user} if user else {}
            properties |= {"jdbc.password": password} if password else {}
        case "rest":
            properties = {"type": "rest", "uri": place.address, **place.settings}
            if "credential" in place.settings:
                properties.setdefault("oauth2-server-uri", f"{place.address}/v1/oauth/tokens")
        case "hive":
            properties = {"type": "hive", "uri": place.thrift}
        case "glue":
            properties = {"type": "glue"}
            if account := place.address.partition("//")[2]:
                properties["glue.id"] = account
            if region := place.settings.get("region"):
                properties["client.region"] = region
        case _:
            raise target.refuse("Spark", f"has no settings here for {place.kind}", "See its documentation.")
    if target.warehouse:
        properties.setdefault("warehouse", for_hadoop(target.warehouse, target.options))
    return name, {**properties, **for_iceberg_java(target.shown, target.location)}
