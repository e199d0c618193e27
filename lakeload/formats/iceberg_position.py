"""Where every pipeline stands, kept in an Iceberg table. Part of commit.

The map travels in the summary of every snapshot lakeload makes, because a rollback of the table must roll
the positions back; it is mirrored in a table property, because other engines expire snapshots and because
a commit without files makes none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakeload.formats.iceberg_document import Document
    from lakeload.model.changes import Token

SEQUENCES_KEY = "lakeload.sequences"
"""Snapshot summary and table property: last sequence number of every pipeline, as JSON."""
SEQUENCES_AT_KEY = "lakeload.sequences-at"
"""Table property: the snapshot the mirrored map was written on, empty when there was none yet."""


def sequences(document: Document) -> dict[str, int]:
    """Last committed sequence number of every pipeline, as of the current snapshot.

    Of the current snapshot and its ancestors the newest that tells decides, by its summary or because the
    property was written on it. When none tells, as after an expiry, the property does.
    """
    mirrored = document.properties.get(SEQUENCES_KEY)
    at = document.properties.get(SEQUENCES_AT_KEY, "")
    for snapshot in document.ancestors():
        if mirrored is not None and str(snapshot["snapshot-id"]) == at:
            return _numbers(mirrored)
        carried = snapshot.get("summary", {}).get(SEQUENCES_KEY)
        if carried is not None:
            return _numbers(carried)
    return _numbers(mirrored or "{}")


def summary_entry(known: Mapping[str, int], token: Token | None) -> dict[str, str]:
    """What a snapshot's summary says of positions, the token's included."""
    numbers = {**known, token.pipeline: token.sequence} if token is not None else dict(known)
    return {SEQUENCES_KEY: json.dumps(numbers, separators=(",", ":"), sort_keys=True)}


def properties_entry(known: Mapping[str, int], token: Token | None, snapshot: int | None) -> dict[str, str]:
    """What the table's properties say of positions; `snapshot` is the current one after the commit."""
    return {**summary_entry(known, token), SEQUENCES_AT_KEY: "" if snapshot is None else str(snapshot)}


def _numbers(text: str) -> dict[str, int]:
    return {str(name): int(number) for name, number in json.loads(text).items()}
