"""`Expectation`: what a decoder is told before the first value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from lakeload.model.contract import Outcome
from lakeload.model.nesting import Nesting


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is known about a source's columns before it is read.

    Args:
        hint: Type a top-level column must have, by its name in the source, if known.
        known: Columns as they were decoded before, in the source's names, nested; a decoder begins with
            this, so that a second run infers nothing.
        apart: Rows whose values do not have the types decoded so far come in batches of their own, with
            their own types and a `SOURCE_ROW` column, instead of turning columns into text.
        judges: The contract judges values that do not fit, so that they are taken out of lists and objects
            which hold others that do; what was taken out is sent along.
        misfits: What the contract says of values that do not fit their type.
        nesting: Paths kept as JSON text or as maps, how deep types go, and how many keys make a map.
    """

    hint: Callable[[str], pa.DataType | None] = lambda _name: None
    known: pa.Schema | None = None
    apart: bool = False
    judges: bool = False
    misfits: Outcome = "evolve"
    nesting: Nesting = field(default_factory=Nesting)
