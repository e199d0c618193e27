"""Load data into lakehouses: Delta Lake and Apache Iceberg, from Python."""

__version__ = "0.1.0"
