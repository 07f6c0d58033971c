"""Speed-run records: what enters the progression, what does not, and what a proposal needs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.board import collect
from bench.checking import speedrun
from bench.checking.speedrun import Run
from bench.contract import Metric, Target
from bench.planning import config
from bench.records.store import Store
from bench.running import calibration
from tests import rows
from tests.conftest import toy_task

ROOT = Path(__file__).resolve().parent.parent
METRIC = Metric("steps_to", "steps", "min", "", target=Target("acc", 0.9))


def run(entry, values, date, how="published", **more):
    seeds = dict(enumerate(map(float, values)))
    return Run(entry, {}, seeds, sum(seeds.values()) / len(seeds), None, date, (), how, **more)


def record(seed, steps, score=None, **more):
    made = {"started": f"2030-01-0{seed + 1}"} | ({} if score is None else {"calibration": score})
    own = {"metrics": {"steps_to": steps}, "costs": {"cpu": {"train": 2.0, "setup": 1.0}}, "provenance": made}
    return rows.record("e", seed, **own | more)


SLOW, FAST = [300, 310, 320, 330, 340], [100, 112, 119, 131, 140]


def test_only_what_beats_the_standing_record_enters():
    noisy = run("noisy", [50, 520, 60, 540, 55], "2030-01-02")
    rows = speedrun.progression([run("slow", SLOW, "2030-01-01"), noisy, run("fast", FAST, "2030-01-03")], [])
    assert [row.entry for row in rows] == ["slow", "fast"]
    assert rows[0].p is None and rows[1].p < 0.01 and rows[1].against == "slow"


def test_rows_of_one_day_are_one_event_whatever_their_order():
    day = [run("slow", SLOW, "2030-01-01T01"), run("fast", FAST, "2030-01-01T02")]
    assert [row.entry for row in speedrun.progression(day, [])] == ["fast"]
    assert speedrun.progression(day, []) == speedrun.progression(day[::-1], [])


def test_an_accepted_record_stands_only_while_it_is_faster():
    accepted = run("new", [200, 201, 202], "2030-01-02", "fresh", p=0.001, against="slow")
    assert [r.entry for r in speedrun.progression([run("slow", SLOW, "2030-01-01")], [accepted])] == ["slow", "new"]
    assert [r.entry for r in speedrun.progression([run("fast", FAST, "2030-01-01")], [accepted])] == ["fast"]


def test_common_seeds_are_paired():
    """A constant gain under large seed noise: only the paired test sees it."""
    old = [100, 300, 500, 700, 900]
    new = [x - 10 - i for i, x in enumerate(old)]
    assert speedrun.p_of(run("new", new, "1"), run("old", old, "0")) < 0.001
    other = Run("new", {}, {seed + 50: float(v) for seed, v in enumerate(new)}, 0, None, "1", (), "fresh")
    assert speedrun.p_of(other, run("old", old, "0")) > 0.3
    assert speedrun.p_of(run("worse", [x + 10 + i for i, x in enumerate(old)], "1"), run("old", old, "0")) > 0.999


def test_unpaired_runs_are_compared_by_the_pooled_t_test_of_scipy():
    rng = np.random.default_rng(0)
    for n, k in ((5, 5), (3, 10), (10, 3)):
        x, y = rng.normal(size=n), rng.normal(0.3, 2.0, size=k)
        assert speedrun.p_pooled(x, y) == pytest.approx(stats.ttest_ind(x, y, alternative="less").pvalue)
    assert speedrun.p_pooled([1.0] * 3, [2.0] * 3) == 0.0 and speedrun.p_pooled([1.0] * 3, [1.0 + 1e-15] * 3) == 1.0
    assert math.isnan(speedrun.p_pooled([], [1.0, 2.0, 3.0])) and math.isnan(speedrun.p_pooled([math.nan], [1.0, 2.0]))


def test_a_run_wants_three_seeds_that_all_reach_the_target():
    three = [record(seed, 10.0 + seed) for seed in range(3)]
    made = speedrun.run_of(three, METRIC, "steps", "published")
    assert made is not None and made.mean == 11.0 and made.cpu is None and made.date == "2030-01-03"
    assert speedrun.run_of(three[:2], METRIC, "steps", "published") is None
    missed = [*three[:2], record(2, 99.0, censored=["steps_to"])]
    assert speedrun.run_of(missed, METRIC, "steps", "published") is None
    assert speedrun.run_of([*three[:2], record(2, 12.0, status="diverged")], METRIC, "steps", "published") is None


def test_cpu_seconds_are_those_of_the_entrys_whole_process_where_they_were_measured():
    spent = {"cpu": {"train": 2.0, "setup": 1.0}}
    old, new = record(0, 1.0, 0.5), record(1, 1.0, 0.5, costs=spent | {"cpu_entry": 7.0, "cpu_total": 9.0})
    assert (old.costs.own, new.costs.own) == (3.0, 7.0)
    assert (speedrun.cpu_of(old), speedrun.cpu_of(new)) == (1.5, 3.5)
    run_ = speedrun.run_of(
        [record(seed, 1.0, 1.0, costs=spent | {"cpu_entry": 7.0}) for seed in range(3)], METRIC, "cpu", "published"
    )
    assert run_ is not None and run_.mean == 7.0
    tables = [
        speedrun.Table("toy", 1, "small", "steps_to", unit, 9, by, (run_,))
        for by, unit in (("steps", "steps"), ("cpu", "CPU s"))
    ]
    for form in ("text", "markdown"):
        assert [speedrun.CPU_ENTRY in speedrun.render([one], form) for one in tables] == [False, True]


def test_cpu_seconds_want_a_calibrated_machine_and_count_times_its_score():
    some = [record(0, 1.0, 0.5), record(1, 1.0, 2.0), record(2, 1.0)]
    assert speedrun.run_of(some, METRIC, "cpu", "published") is None
    made = speedrun.run_of([record(0, 1.0, 0.5), record(1, 1.0, 2.0), record(2, 1.0, 1.0)], METRIC, "cpu", "published")
    assert made is not None and made.values == {0: 1.5, 1: 6.0, 2: 3.0} and made.cpu == 3.5


def test_how_many_seeds_a_record_needs():
    near = run("near", [295, 312, 309, 330, 331], "1")
    count = speedrun.needed(near, run("slow", SLOW, "0"))
    assert count is not None and count > 5 > (speedrun.needed(run("fast", FAST, "1"), run("slow", SLOW, "0")) or 0)
    assert speedrun.needed(run("slow", SLOW, "1"), near) is None, "it does not look faster"


def test_the_ledgers_own_table():
    found = speedrun.tables(Store(ROOT / "results"), ["grokking/modular_addition"])
    steps = next(table for table in found if table.by == "steps")
    assert steps.metric == "steps_to_monitor" and steps.budget == 1500 and steps.rows[-1].steps < 250
    assert [row.mean for row in steps.rows] == sorted((row.mean for row in steps.rows), reverse=True)
    assert "fewest steps" in speedrun.render(found, "text")
    assert json.loads(speedrun.render(found, "json"))[0]["standing"] == steps.rows[-1].entry
    shown = collect.speedruns({"grokking"}, Store(ROOT / "results"))
    assert steps.rows[-1].entry in [table["rows"][-1]["entry"] for table in shown] and json.dumps(shown)


def test_a_task_without_a_target_has_no_table():
    assert speedrun.target_metric(config.task_spec("pde/burgers_1d").cls) is None
    assert speedrun.tables(Store(ROOT / "results"), ["pde/burgers_1d"]) == []


def test_a_machine_is_measured_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(calibration, "_measure_in_subprocess", lambda: calls.append(1) or 0.5)
    assert calibration.score(tmp_path) == calibration.score(tmp_path) == calibration.NOMINAL / 0.5
    assert len(calls) == 1
    (tmp_path / "calibration.json").write_text("{ half")
    assert calibration.score(tmp_path) == 0.5 and len(calls) == 2


TIMED = '''"""The toy task with a target."""

from bench.contract import Metric, Target
from toy_package.task import Line


class Timed(Line):
    """Steps until the validation error is small."""

    name = "toy/timed"
    presets = {"smoke": {"steps": 5}, "small": {"steps": 200}, "paper": {"steps": 200}}
    metrics = (*Line.metrics, Metric("steps_to", "steps", "min", "steps to a small error",
                                     target=Target("goodness", -0.05)))
    rank = "steps_to"

    def monitor(self, problem, predict):
        found = super().monitor(problem, predict)
        return found | {"goodness": -found["val_error"]}
'''


def test_a_record_is_proposed_over_fresh_seeds(bench, tmp_path):
    for path, text in (
        ("timed.py", TIMED),
        ("configs/task/toy/timed.yaml", toy_task("timed.Timed")),
        ("configs/entry/slow.yaml", "optimizer: {lr: 0.02}\n"),
        ("results/.cache/calibration.json", "{}"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    words = ("task=toy/timed", "entry=slow", "seed=range(4)")
    assert bench("run", *words).returncode == 0 and bench("publish", *words).returncode == 0
    done = bench("speedrun", "toy/timed", "--propose", "line_sgd", "--seeds", "4", "--format", "json")
    line = json.loads(done.stdout)
    assert done.returncode == 0 and line["accepted"] and line["p"] < 0.01 and line["against"] == "slow", done.stderr
    assert min(map(int, line["values"])) >= 2**51 and line["cpu"] > 0
    shown = json.loads(bench("speedrun", "toy/timed", "--format", "json").stdout)
    assert [row["entry"] for row in shown[0]["rows"]] == ["slow", "line_sgd"] and shown[0]["standing"] == "line_sgd"
    assert shown[1]["by"] == "cpu", "its machine was measured, so its seconds count"
    again = bench("speedrun", "toy/timed", "--propose", "slow", "--seeds", "3")
    assert again.returncode == 1 and "no record" in again.stdout, again.stderr
    assert len((tmp_path / "results" / "speedrun" / "toy" / "timed.jsonl").read_text().splitlines()) == 1
    own = bench("speedrun", "toy/timed", "--propose", "line_sgd")
    assert own.returncode == 2 and "holds the record" in own.stderr


def test_only_tasks_with_a_target_are_calibrated_for():
    class Cell:
        preset = "small"

        def __init__(self, task):
            self.task = task

    assert calibration.wanted([Cell("grokking/modular_addition")]) and not calibration.wanted([Cell("pde/burgers_1d")])
    cell = Cell("grokking/modular_addition")
    cell.preset = "smoke"
    assert not calibration.wanted([cell])


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_tables_are_rendered(form):
    table = speedrun.Table("a/b", 1, "small", "steps_to", "steps", 9, "steps", (run("slow", SLOW, "2030-01-01T00"),))
    text = speedrun.render([table], form)
    assert "slow" in text and "320" in text and "2030-01-01" in text and "T00" not in text
