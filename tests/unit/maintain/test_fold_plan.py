import random

from hypothesis import given
from hypothesis import strategies as st

from lakeload.maintain.fold import RESTING, plan_fold, size_class
from lakeload.model.files import LiveFile

MIB = 1 << 20
TARGET = 16 * MIB


def live(name, size, **options):
    return LiveFile(f"data/{name}.parquet", size, 1, **options)


def test_files_of_the_target_size_are_left_alone():
    assert plan_fold([live(n, TARGET) for n in range(20)], TARGET) == []


def test_eight_files_of_a_class_become_one():
    assert len(plan_fold([live(n, MIB) for n in range(8)], TARGET)) == 8


def test_files_that_fill_a_target_file_are_folded_before_they_are_eight():
    assert len(plan_fold([live(n, 7.5 * MIB) for n in range(2)], TARGET)) == 2


def test_partitions_are_folded_apart():
    files = [live(n, MIB, partition=(n % 2,)) for n in range(10)]
    assert plan_fold(files, TARGET) == []


def test_files_with_deleted_rows_of_another_partitioning_or_outside_the_table_stay():
    files = [live(n, MIB, deletes=True) for n in range(8)]
    files += [live(n, MIB, current=False) for n in range(8)]
    files += [LiveFile(f"s3://elsewhere/{n}.parquet", MIB, 1) for n in range(8)]
    files += [LiveFile(f"/elsewhere/{n}.parquet", MIB, 1) for n in range(8)]
    assert plan_fold(files, TARGET) == []


def test_eight_files_slightly_over_the_budget_together_do_not_wait_for_ever():
    files = [live(n, 8.5 * MIB) for n in range(8)]
    assert len(plan_fold(files, target=128 * MIB, budget=64 * MIB)) == 7


@given(st.lists(st.integers(1, TARGET), max_size=60), st.integers(MIB, 4 * TARGET))
def test_a_folding_stays_within_its_budget_and_the_target(sizes, budget):
    files = [live(n, size) for n, size in enumerate(sizes)]
    chosen = plan_fold(files, TARGET, budget)
    assert sum(file.size for file in chosen) <= budget
    assert {file.path for file in chosen} <= {file.path for file in files}


def test_a_thousand_small_loads_are_rewritten_little_and_leave_few_files():
    rng = random.Random(7)
    files, written, loaded = [], 0, 0
    for n in range(1000):
        size = int(MIB * rng.uniform(0.9, 1.1))
        files.append(live(n, size))
        loaded, written = loaded + size, written + size
        chosen = plan_fold(files, TARGET)
        if chosen:
            total = sum(file.size for file in chosen)
            written += total
            files = [file for file in files if file not in chosen] + [live(f"f{n}", total)]
    assert len(files) <= 90
    assert written <= 4 * loaded
    assert sum(file.size >= TARGET * RESTING for file in files) >= 55


def test_classes_count_down_from_the_target():
    assert [size_class(size, TARGET) for size in (TARGET, 8 * MIB, MIB, 100_000)] == [0, 0, 1, 2]
