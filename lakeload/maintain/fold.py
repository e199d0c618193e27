"""Fold small files left by small loads into bigger ones, in a commit that changes no row.

Files fall into size classes, each eight times the last, counted down from the target size, or from the
bytes one folding may read where that is less. Eight files of one class in one partition become one of the
next; files that fill a target-sized file together become that. So a row is rewritten once per class it
climbs: a load of a sixteenth of the target twice before it rests. The idea is that of size-tiered
compaction (O'Neil et al., "The Log-Structured Merge-Tree", 1996).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from lakeload.errors import LakeloadError
from lakeload.model.changes import Changeset, Conflict, RemoveFiles
from lakeload.model.files import LiveFile, Value
from lakeload.model.protocols import Table
from lakeload.model.table import TableState
from lakeload.write.rewrite import rewrite_live
from lakeload.write.store import Store
from lakeload.write.writer import WriteOptions

STEP = 8
"""How much bigger the files of the next size class are."""
RESTING = 0.9
"""Share of the target size from which a file is left alone."""
LARGEST = 1.1
"""Share of the target size a folded file may reach."""
BUDGET = 64 << 20
"""Bytes read by one folding, by default."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What one folding did.

    Args:
        removed: Files replaced.
        added: Files written instead.
        bytes: Bytes written.
    """

    removed: int
    added: int
    bytes: int


def fold(
    table: Table, store: Store, state: TableState, options: WriteOptions, budget: int = BUDGET
) -> Folded | None:
    """Fold what is worth folding now; `None` when nothing is, or another writer was faster.

    Args:
        table: The table.
        store: Rooted at the table.
        state: The version to look at; the folding is given up when files of it are gone.
        options: How to write; `target_file_size` decides the size classes.
        budget: Bytes to read at most.
    """
    chosen = plan_fold(table.files(state), options.target_file_size, budget)
    if not chosen:
        return None
    paths = [file.path for file in chosen]
    added = rewrite_live(store, chosen, state.schema, replace(options, layout=state.layout))
    changeset = Changeset(
        load_id=options.load_id,
        operation="replace",
        schema=state.schema,
        add=tuple(added),
        remove=RemoveFiles(frozenset(paths)),
        partition_by=state.layout.partition_by,
    )
    try:
        result = table.commit(changeset, state)
    except LakeloadError:
        result = Conflict("the table moved on")
    if isinstance(result, Conflict):
        for file in added:
            store.delete(file.path)
        return None
    return Folded(len(paths), len(added), sum(file.size for file in added))


def plan_fold(files: Iterable[LiveFile], target: int, budget: int = BUDGET) -> Sequence[LiveFile]:
    """The files to rewrite now: whole groups, smallest classes first, within the budget.

    Args:
        files: Live files; those that cannot be rewritten are passed over.
        target: Target size of data files in bytes; a folded file aims at it, or at the budget if less.
        budget: Bytes to read at most.

    Example:
        >>> small = [LiveFile(f"data/{n}.parquet", 1 << 20, 10) for n in range(8)]
        >>> len(plan_fold(small, target=16 << 20)), len(plan_fold(small[:7], target=16 << 20))
        (8, 0)
    """
    target = min(target, budget)
    classes: dict[tuple[int, tuple[Value | None, ...]], list[LiveFile]] = defaultdict(list)
    for file in files:
        foldable = file.current and not file.deletes and "://" not in file.path
        if foldable and not file.path.startswith("/") and file.size < target * RESTING:
            classes[size_class(file.size, target), file.partition].append(file)
    # A group that is over the budget by itself would wait for ever.
    largest = min(target * LARGEST, budget)
    chosen: list[LiveFile] = []
    left = budget
    for (_level, _partition), members in sorted(classes.items(), key=lambda item: -item[0][0]):
        group = _group(members, target, largest)
        size = sum(file.size for file in group)
        if group and size <= left:
            chosen += group
            left -= size
    return chosen


def size_class(size: int, target: int) -> int:
    """0 for files within a factor of eight below the resting size, 1 for the next eight, and so on."""
    return max(0, math.floor(math.log(target * RESTING / max(size, 1), STEP)))


def _group(members: list[LiveFile], target: int, largest: float) -> list[LiveFile]:
    """As many files of one class as fit one file, if they are enough to climb a class; or none."""
    group: list[LiveFile] = []
    size = 0
    for file in sorted(members, key=lambda file: (file.size, file.path)):
        if size + file.size > largest:
            break
        group.append(file)
        size += file.size
    return group if len(group) >= STEP or size >= target * RESTING else []
