"""Tables from hand-made records: what ranks, what does not, and what failures count as."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from bench.contract import Derived, Metric
from bench.tables import printers, statistics
from bench.tables.table import build
from tests.rows import (
    ACCURACY,
    ERROR,
    GRID,
    LOSS,
    SPREAD,
    STEPS,
    anchors,
    named,
    plan,
    sweep,
    task,
    times,
)

# --- the plain case


def test_a_plain_table():
    rows = [*anchors(), plan("mine", [0.1, 0.12, 0.09], trials=20), plan("worse", [0.4, 0.5, 0.45], trials=20)]
    table = build(task(ERROR), rows, suite="core")
    assert [row.entry for row in table.rows] == ["reference", "mine", "worse", "floor"]
    assert (table.task, table.version, table.preset, table.params) == ("toy/task", 2, "small", {"width": 8})
    mine = named(table)["mine"]
    assert (mine.value, mine.lo, mine.hi) == pytest.approx(statistics.t_interval([0.1, 0.12, 0.09], scale="log"))
    assert (mine.seeds, mine.ok, mine.missing, mine.failures, mine.trials) == (3, 3, 0, {}, 20)
    assert (mine.ok_lo, mine.ok_hi) == statistics.clopper_pearson(3, 3)
    assert mine.skill == pytest.approx(np.mean(np.log([0.1, 0.12, 0.09])) / math.log(0.01))
    assert mine.skill_lo < mine.skill < mine.skill_hi
    assert mine.provisional and mine.rank is not None and mine.rank[0] <= 2 <= mine.rank[1]
    assert (mine.costs["train"], mine.costs["setup"], mine.costs["parameters"]) == (5.0, 0.5, 1234)
    assert mine.keys == ("mine0", "mine1", "mine2")
    assert [named(table)[name].anchor for name in ("floor", "reference", "mine")] == ["floor", "reference", ""]
    assert named(table)["floor"].skill == 0 and named(table)["reference"].skill == 1


def test_five_seeds_are_not_provisional_and_two_are_not_ranked():
    assert not build(task(ERROR), anchors(5)).rows[0].provisional
    for row in build(task(ERROR), [*anchors(2), plan("mine", [0.1, 0.2])]).rows:
        assert row.rank is None and row.reason == "fewer than 3 seeds" and math.isnan(row.lo)


def test_groups_are_ranked_apart():
    rows = [*anchors(), plan("solve", [0.001, 0.0011, 0.0009], slots=("solver",))]
    rows += [plan("whole", [0.5, 0.6, 0.4], slots=("procedure",), division="open")]
    table = build(task(ERROR), rows)
    assert [row.group for row in table.rows] == ["closed", "closed", "solver", "procedure"]
    assert named(table)["solve"].rank == named(table)["whole"].rank == (1, 1)
    assert named(table)["reference"].rank == (1, 1) and named(table)["floor"].rank == (2, 2)
    assert named(table)["solve"].skill > 1


def test_better_max_and_other_metrics():
    rows = [plan("floor", [0.1] * 3, "accuracy"), plan("reference", [0.9] * 3, "accuracy")]
    for cells in rows[1].cells.values():
        cells[0].metrics |= {"nrmse": 0.2, "initial_nrmse": 9.0}
    table = build(task(ACCURACY, ERROR), rows)
    assert [row.entry for row in table.rows] == ["reference", "floor"]
    assert table.rows[0].others == pytest.approx({"nrmse": 0.2}) and table.rows[1].others == {}


# --- failures


@pytest.mark.parametrize("status", ["diverged", "failed", "timeout", "oom", "crashed"])
def test_failures_leave_median_and_range(status):
    table = build(task(ERROR), [*anchors(4), plan("mine", [0.1, 0.3, status, 0.2])])
    mine = named(table)["mine"]
    assert math.isnan(mine.value) and math.isnan(mine.lo) and math.isnan(mine.hi) and math.isnan(mine.skill_lo)
    assert (mine.median, mine.low, mine.high) == pytest.approx((0.2, 0.1, 0.3))
    assert (mine.ok, mine.seeds, mine.failures) == (3, 4, {status: 1})
    assert mine.skills[2] == 0 and mine.skill == pytest.approx(np.mean(mine.skills))
    assert mine.rank is not None
    assert f"1 {status}" in printers.terminal(table, 200)


@pytest.mark.parametrize("metric", [ERROR, LOSS, replace(ERROR, diverged=None)], ids=["number", "first", "worst"])
def test_an_entry_that_diverges_once_is_listed_below_its_twin(metric):
    steady = plan("z-steady", [0.1, 0.12, 0.09], metric.name)
    twin = plan("a-twin", [0.1, 0.12, "diverged"], metric.name)
    twin.cells[2][0].metrics = {"initial_loss": 2.3}
    table = build(task(metric), [*anchors(metric=metric.name), twin, steady])
    order = [row.entry for row in table.rows]
    assert order.index("z-steady") < order.index("a-twin")
    rows = named(table)
    assert rows["a-twin"].rank[1] >= rows["z-steady"].rank[1]  # no test separates the two: one failure is too little
    assert rows["a-twin"].skill < rows["z-steady"].skill


def test_failing_never_beats_the_value_before_training():
    lucky = plan("lucky", [0.02, 0.02, "diverged"], "loss")
    lucky.cells[2][0].metrics = {"initial_loss": 50.0}
    table = build(task(LOSS), [*anchors(metric="loss"), lucky, plan("slow", [0.1, 0.1, 0.1], "loss")])
    # geometric mean with the first value: (.02 .02 50)^(1/3) = .271, worse than .1
    assert [row.entry for row in table.rows].index("slow") < [row.entry for row in table.rows].index("lucky")


def test_a_failed_seed_has_no_skill_even_where_its_penalty_beats_the_floor():
    table = build(task(ERROR), [*anchors(floor=4.0), plan("mine", [0.1, 0.1, "timeout"])])
    assert named(table)["mine"].skills[2] == 0 < named(table)["mine"].skills[0]


def test_every_cell_failed():
    table = build(task(replace(ERROR, diverged=None)), [*anchors(), plan("mine", ["failed", "oom", "oom"])])
    mine = named(table)["mine"]
    assert (mine.ok, mine.skill, mine.failures) == (0, 0.0, {"failed": 1, "oom": 2})
    assert math.isnan(mine.median) and math.isnan(mine.costs["train"])
    alone = build(task(replace(ERROR, diverged=None)), [plan("mine", ["failed"] * 3)])
    assert alone.rows[0].rank is None and alone.rows[0].reason == "metric undefined"


# --- coverage and tuning


def test_missing_cells_stand_below_unranked():
    best = plan("best", [0.001, None, 0.001])
    table = build(task(ERROR), [best, *anchors(), plan("short", [0.002, 0.002]), plan("raw", [0.9] * 3, trials=None)])
    assert [row.entry for row in table.rows] == ["reference", "floor", "raw", "best", "short"]
    rows = named(table)
    assert rows["best"].rank is None and rows["best"].reason == "missing 1 of 3 seeds" and rows["best"].missing == 1
    assert rows["short"].missing == 1 and (rows["short"].seeds, rows["short"].ok) == (2, 2)
    assert rows["reference"].rank == (1, 1) and rows["floor"].rank == (2, 2)  # as if the others were not there


def test_unavailable_is_missing_not_failed():
    mine = named(build(task(ERROR), [*anchors(), plan("mine", [0.1, 0.1, "unavailable"])]))["mine"]
    assert mine.failures == {} and mine.missing == 1 and mine.value == pytest.approx(0.1)
    assert mine.reason == "missing 1 of 3 seeds, 1 cells unavailable"


def test_untuned_is_marked_and_unranked_but_nothing_to_tune_counts_as_tuned():
    rows = [*anchors(), plan("raw", [0.001, 0.0011, 0.001], trials=None), plan("tuned", [0.1, 0.12, 0.1], trials=5)]
    table = build(task(ERROR), [*rows, plan("more", [0.1, 0.12, 0.11], trials=9)])
    assert named(table)["raw"].rank is None and named(table)["raw"].reason == "untuned"
    assert table.rows[-1].entry == "raw" and named(table)["floor"].rank is not None
    assert table.notes == ("tuning trials differ: 5, 9",)


def test_one_that_trains_and_stays_behind_the_floor_is_undertrained_where_the_task_says_so():
    rows = [
        *anchors(),
        plan("slow", [1.2, 1.3, 1.1]),
        plan("quick", [0.5, 0.6, 0.5]),
        plan("coarse", [1.5] * 3, slots=("solver",)),
    ]
    asks = task(ERROR)
    assert all(row.rank for row in build(asks, rows).rows)
    asks.outgrows_floor = True
    table = named(build(asks, rows))
    assert table["slow"].rank is None and table["slow"].reason == "undertrained: no better than the floor"
    assert all(table[name].rank for name in ("quick", "coarse", "floor", "reference"))


def test_an_undefined_metric_is_no_failure():
    mine = plan("mine", [0.1, 0.1, 0.1])
    mine.cells[1][0].metrics = {}
    row = named(build(task(ERROR), [*anchors(), mine]))["mine"]
    assert row.rank is None and row.reason == "metric undefined" and row.ok == 3 and row.failures == {}


def test_skill_needs_both_anchors_in_the_right_order():
    table = build(task(ERROR), [plan("mine", [0.1] * 3), plan("floor", [1.0] * 3)])
    assert math.isnan(table.rows[0].skill) and table.notes == ("no skill: an anchor has no records",)
    table = build(task(ERROR), [*anchors(floor=0.01, top=1.0), plan("mine", [0.1, 0.1, "failed"])])
    assert all(math.isnan(row.skill) for row in table.rows)
    assert table.notes == ("no skill: the reference does not beat the floor",)
    without = task(ERROR)
    without.reference, without.unanchored = "", "nothing solves it"
    table = build(without, [*anchors(), plan("mine", [0.1] * 3)])
    assert table.notes == ("no skill: nothing solves it",) and all(math.isnan(row.skill) for row in table.rows)
    assert {row.entry: row.anchor for row in table.rows} == {"floor": "floor", "reference": "", "mine": ""}


def test_conflicting_records_are_reported():
    rows = anchors()
    stored = [cells[0] for row in rows for cells in row.cells.values()]
    rows[0].both = [*stored, *stored]
    assert build(task(ERROR), rows).notes == ()
    rows[0].both = [*stored, msgspec.structs.replace(stored[0], metrics={"nrmse": 0.7})]
    assert build(task(ERROR), rows).notes == ("conflict: records disagree for floor0",)


def test_an_entry_that_read_what_no_key_covers_is_not_ranked():
    mine = plan("mine", [0.5, 0.5, 0.5])
    mine.cells[1][0].unkeyed_reads = ["/home/rates.json"]
    row = named(build(task(ERROR), [*anchors(), mine]))["mine"]
    assert row.rank is None and row.reason == "unkeyed reads"


def test_an_empty_plan_and_an_empty_store():
    assert build(task(ERROR), []).rows == ()
    table = build(task(ERROR), [plan("mine", [None, None, None])])
    assert table.params == {"width": 8} and table.rows[0].reason == "missing 3 of 3 seeds"
    assert "—" in printers.terminal(table, 100)


# --- time to target


def test_time_to_target():
    rows = [times("floor", [100, 100, 100]), times("reference", [10, 12, 11])]
    table = build(task(STEPS), [*rows, times("some", [20, 100, "diverged"]), times("most", [20, 30, 100])])
    got = named(table)
    assert (got["some"].reached, got["some"].seeds, got["some"].ok) == (1, 3, 2)
    assert got["some"].value == pytest.approx(220 / 3) and got["some"].median == math.inf
    assert math.isnan(got["some"].lo)  # beyond the budget nobody knows
    assert (got["most"].reached, got["most"].value, got["most"].median) == (2, 50, 30)
    assert got["reference"].reached == 3 and got["reference"].lo < 11 < got["reference"].hi
    assert [row.entry for row in table.rows] == ["reference", "most", "some", "floor"]
    assert got["floor"].skill == 0 and got["some"].skills[2] == 0
    text = printers.terminal(table, 200)
    assert re.search(r"1/3 · 73.3 +> 100 ", text) and re.search(r"2/3 · 50.0 +30.0 ", text)
    assert math.isnan(got["most"].skill_lo) and not math.isnan(got["reference"].skill_lo)
    flat = {row["entry"]: row for row in json.loads(printers.json([table]))}
    assert flat["some"]["median"] is None and flat["some"]["budget"] == 100


def test_a_date_is_good_to_the_steps_between_evaluations():
    rows = [times("floor", [100, 100, 100]), times("reference", [10, 10, 10]), times("mine", [20, 30, 30])]
    for cell in (cell for row in rows for cell in row.cells.values()):
        cell[0].params["every"] = 5
    got = named(build(task(replace(STEPS, step="every")), rows))
    assert (got["reference"].value, got["reference"].lo, got["reference"].hi) == (10, 5, 10)
    centre, lo, hi = statistics.t_interval([20, 30, 30])
    assert (got["mine"].value, got["mine"].lo, got["mine"].hi) == pytest.approx((centre, lo - 5, hi))
    assert got["reference"].skill_lo == 1 and got["reference"].skill_hi == pytest.approx(1 + math.log(2) / math.log(10))


# --- values that are good to something


def test_equal_seeds_show_no_interval_but_that_of_their_samples():
    table = build(task(ERROR), [*anchors(), plan("mine", [0.1, 0.1, 0.1])])
    mine = named(table)["mine"]
    assert mine.all_equal and math.isnan(mine.lo) and math.isnan(mine.skill_lo) and mine.rank == (2, 2)
    assert "0.100 (all equal)" in printers.terminal(table, 200)
    rows = [plan("floor", [0.1] * 3, "accuracy"), plan("reference", [1.0] * 3, "accuracy")]
    for cell in (cell for row in rows for cell in row.cells.values()):
        cell[0].params["test"] = 500
    got = named(build(task(replace(ACCURACY, sample="test")), rows))
    assert (got["reference"].lo, got["reference"].hi) == pytest.approx((0.025 ** (1 / 1500), 1))
    assert not got["reference"].all_equal and got["reference"].skill_lo < 1 == got["reference"].skill_hi
    assert not named(build(task(ERROR), [*anchors(), plan("few", [0.1, 0.1])]))["few"].all_equal


def test_rows_within_the_resolution_tie_and_stand_by_name():
    rows = [*anchors(top=8e-8), plan("z-exact", [7e-8] * 3), plan("near", [0.01] * 3)]
    table = build(task(replace(ERROR, resolution=4.8e-7)), rows)
    got = named(table)
    assert [row.entry for row in table.rows] == ["reference", "z-exact", "near", "floor"]
    assert got["reference"].rank == got["z-exact"].rank == (1, 2) and got["near"].rank == (3, 3)
    assert got["reference"].skill == got["z-exact"].skill == 1
    assert "reference, z-exact tie: their means differ by at most 4.8e-07, the resolution of nrmse" in table.notes
    assert named(build(task(ERROR), rows))["z-exact"].rank == (1, 1)


def test_a_value_off_a_grid_reaches_to_the_next_point():
    largest = Derived(
        Metric("stable", "", "max", "Largest rate that stays.", diverged=0.0, step="lr"), "lr", {"small": GRID},
        lambda grid, rows: max((x for x, row in zip(grid, rows, strict=True) if row["loss"] < 5), default=0.0),
    )  # fmt: skip
    rows = [sweep("floor", [[9.0] * 3] * 3), sweep("reference", [[1.0, 1.0, 9.0]] * 3), sweep("all", [[1.0] * 3] * 3)]
    got = named(build(task(LOSS, rank="stable", derived=(largest,)), rows))
    edges = [edge for name in ("floor", "reference", "all") for edge in (got[name].lo, got[name].hi)]
    assert edges == pytest.approx([0, 0.1, 1, 10, 10, math.inf])


# --- derived metrics


def test_derived_metrics_reduce_each_seed_over_the_grid():
    flat, steep = [[1.0, 1.0, 1.1]] * 3, [[1.0, 2.0, 4.0], [1.0, 2.0, 3.0], [1.0, 2.0, "diverged"]]
    toy = task(LOSS, rank="spread", derived=(SPREAD,))
    rows = [sweep("reference", flat), sweep("floor", [[1.0, 2.0, 9.0]] * 3), sweep("steep", steep)]
    rows += [sweep("hole", [[1.0, 1.0, 1.0], None, [1.0, None, 1.0]])]
    rows += [sweep("dead", [["diverged"] * 3, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])]
    table = build(toy, rows)
    got = named(table)
    assert table.metric.name == "spread" and table.params == {"width": 8, "lr": list(GRID)}
    assert got["steep"].value == pytest.approx((4 * 3 * 8) ** (1 / 3))  # the diverged cell counts as its first loss
    assert (got["steep"].ok, got["steep"].failures, len(got["steep"].keys)) == (3, {"diverged": 1}, 9)
    assert got["steep"].others["loss"] == pytest.approx(statistics.t_interval([1, 2, 4, 1, 2, 3, 1, 2], scale="log")[0])
    assert got["hole"].rank is None and got["hole"].missing == 2
    assert (got["dead"].ok, got["dead"].skills[0]) == (2, 0.0) and got["dead"].median == 1.0
    # a group of which nothing is left does not pass for an insensitive one
    assert [row.entry for row in table.rows] == ["reference", "steep", "floor", "dead", "hole"]


def test_a_group_shorter_than_its_grid_is_missing():
    toy = task(LOSS, rank="spread", derived=(SPREAD,))
    assert build(toy, [sweep("mine", [[1.0, 2.0]] * 3)]).rows[0].missing == 3
