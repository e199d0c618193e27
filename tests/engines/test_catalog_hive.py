"""A Hive Metastore shared by lakeload, Spark, Trino and pyiceberg: names, faults, and readers by name."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from arrow_data import STRUCT_LIST if False else pa
