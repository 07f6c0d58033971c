"""Tuning: spaces, equal trials, seeds apart, chosen on validation, resumed, paid for."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from bench.contract import BenchError
from bench.planning.plan import TUNING_FROM
from bench.records.record import Costs
from bench.tuning.search import _trial, drawn, given, grid
from tasks.instability.lm_proxy import LanguageModel

RATES = "optimizer: {lr: 0.1}\nsearch: {optimizer.lr: {values: [1.0e-5, 0.2, 1.0e+9]}}\n"
BOUNDS = "optimizer: {lr: 0.1}\nsearch: {optimizer.lr: [1.0e-3, 0.5]}\n"


@pytest.fixture
def entries(tmp_path):
    """entries(mine="YAML") writes configuration files into the test's own folder."""

    def write(**texts: str) -> None:
        (tmp_path / "configs" / "entry").mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (tmp_path / "configs" / "entry" / f"{name}.yaml").write_text(text)

    return write


def tuned(folder, entry: str = "mine"):
    return OmegaConf.to_container(OmegaConf.load(folder / "configs" / "tuned" / "toy" / "line" / f"{entry}.yaml"))


def attempts(folder) -> list[str]:
    """Names of the records' files: key, attempt."""
    return sorted(path.name for path in (folder / "results" / "local").glob("*/*.json"))


# --- spaces


def test_a_log_grid_spans_its_bounds():
    rates = [setting["optimizer.lr"] for setting in grid({"optimizer.lr": [1e-3, 1e1]}, 5)]
    assert rates == pytest.approx([1e-3, 1e-2, 1e-1, 1.0, 10.0])


def test_two_paths_each_see_every_value():
    found = grid({"a.x": [1, 16], "b.y": {"values": [0, 1, 2, 3, 4]}}, 5)
    assert len(found) == 5 and sorted(s["b.y"] for s in found) == [0, 1, 2, 3, 4]
    assert len({s["a.x"] for s in found}) == 5


def test_a_list_shorter_than_the_trials_is_walked_whole_beside_bounds():
    settings = grid({"a.x": [1e-3, 1e1], "b.y": {"values": [True, False]}, "c.z": {"values": [3, 5, 10]}}, 8)
    assert len({s["a.x"] for s in settings}) == 8 and sum(s["b.y"] for s in settings) == 4
    assert sorted(s["c.z"] for s in settings) == [3, 3, 3, 5, 5, 5, 10, 10]
    low = [s["b.y"] for s in settings if s["a.x"] < 0.1]
    assert {*low} == {True, False}, "not one value at low rates and the other at high ones"
    with pytest.raises(BenchError, match="search of c.z: 3 values for 8 trials"):
        grid({"b.y": {"values": [True, False]}, "c.z": {"values": [3, 5, 10]}}, 8)


@pytest.mark.parametrize("space", [[0, 1], [2, 1], {"values": [1]}])
def test_a_space_that_cannot_be_searched_is_an_error(space):
    with pytest.raises(BenchError, match="search of a.x"):
        grid({"a.x": space}, 4)


def test_draws_are_log_uniform_within_bounds_and_the_same_everywhere():
    search = {"b.y": [1e-4, 1e2], "a.x": {"values": ["p", "q", "r"]}}
    found = drawn(search, 2000, "toy/line", "mine")
    logs = np.log10([one["b.y"] for one in found])
    assert logs.min() >= -4 and logs.max() <= 2
    assert np.histogram(logs, 6, (-4, 2))[0] == pytest.approx([2000 / 6] * 6, rel=0.2)
    names = [one["a.x"] for one in found]
    assert [names.count(name) for name in "pqr"] == pytest.approx([2000 / 3] * 3, rel=0.15)
    assert drawn(search, 5, "toy/line", "mine") == found[:5]  # more trials add to fewer
    assert drawn(search, 5, "toy/line", "other") != found[:5] != drawn(search, 5, "toy/other", "mine")
    fixed = [one["b.y"] for one in drawn({"b.y": [1e-4, 1e2]}, 3, "toy/line", "mine")]
    assert fixed == [0.116, 0.6844, 4.446]  # on any machine, any day
    assert sorted(one["a.x"] for one in drawn({"a.x": search["a.x"]}, 3, "toy/line", "mine")) == ["p", "q", "r"]
    with pytest.raises(BenchError, match="3 combinations of given values for 4 trials"):
        drawn({"a.x": search["a.x"]}, 4, "toy/line", "mine")  # no setting is tried twice
    with pytest.raises(BenchError, match="search of b.y"):
        drawn({"b.y": [0, 1]}, 2, "toy/line", "mine")


def test_given_values_are_combined_and_too_few_are_an_error():
    search = {"a.x": {"values": [1, 2]}, "b.y": {"values": ["p", "q", "r"]}}
    every = given(search, 6, "toy/line", "mine")
    assert every == [{"a.x": x, "b.y": y} for x in (1, 2) for y in "pqr"]
    some = given(search, 4, "toy/line", "mine")
    assert len(some) == 4 and some == [one for one in every if one in some]
    assert some == given(search, 4, "toy/line", "mine")
    with pytest.raises(BenchError, match="6 combinations of given values for 7 trials"):
        given(search, 7, "toy/line", "mine")
    with pytest.raises(BenchError, match="a.x: --space given wants a list"):
        given({"a.x": [1, 2]}, 2, "toy/line", "mine")


# --- the verb


def test_tuning_chooses_by_validation_on_its_own_seeds_and_a_second_call_runs_nothing(bench, tmp_path, entries):
    entries(mine=RATES)
    first = bench("tune", "task=toy/line", "entry=mine", "--trials", "3", "--format", "json")
    assert first.returncode == 0 and json.loads(first.stdout)["ran"] == 6, first.stderr
    chosen = tuned(tmp_path)
    assert chosen["values"]["optimizer.lr"] == 0.2 and chosen["trials"] == 3 and chosen["objective"] == "val_error"
    assert min(chosen["seeds"]) == TUNING_FROM
    told = bench("plan", "task=toy/line", "entry=mine")
    assert "untuned" not in told.stdout
    assert "untuned" in bench("plan", "task=toy/line", "entry=mine", "entry.optimizer.lr=0.3").stdout
    assert bench("tune", "task=toy/line", "entry=mine", "seed=0").returncode == 2
    fixed = bench("tune", "task=toy/line", "entry=mine", "task.steps=5")
    assert fixed.returncode == 2 and "leave out task.steps=" in fixed.stderr

    # a trial keeps its seeds and costs
    values = [json.loads(p.read_text()) for p in (tmp_path / "results" / "local").glob("*/*.json")]
    for trial in chosen["table"]:
        own = [r for r in values if r["config"]["optimizer"]["lr"] == trial["optimizer.lr"]]
        own.sort(key=lambda record: record["seed"])
        assert trial["cpu_seconds"] == pytest.approx(sum(r["costs"]["cpu_total"] for r in own), rel=1e-3)
        if trial["optimizer.lr"] < 1:
            errors = [r["metrics"]["val_error"] for r in own]
            assert trial["seeds"] == pytest.approx(errors, rel=1e-4)
            assert trial["objective"] == pytest.approx(
                np.exp(np.mean(np.log(errors))), rel=1e-4
            )  # on the metric's scale
    before, text = attempts(tmp_path), (tmp_path / "configs/tuned/toy/line/mine.yaml").read_text()
    again = json.loads(bench("tune", "task=toy/line", "entry=mine", "--trials", "3", "--format", "json").stdout)
    assert (again["ran"], again["fresh"], again["files"]) == (0, 6, ["configs/tuned/toy/line/mine.yaml"])
    assert attempts(tmp_path) == before and (tmp_path / "configs/tuned/toy/line/mine.yaml").read_text() == text


def test_more_random_trials_add_to_those_already_run(bench, tmp_path, entries):
    entries(mine=BOUNDS)
    words = ["tune", "task=toy/line", "entry=mine", "--seeds", "1", "--space", "random", "--format", "json"]
    assert json.loads(bench(*words, "--trials", "3").stdout)["ran"] == 3
    more = json.loads(bench(*words, "--trials", "5").stdout)
    assert (more["ran"], more["fresh"]) == (2, 3) and tuned(tmp_path)["space"] == "random"


def test_an_interrupted_call_goes_on(bench, environment, tmp_path, entries):
    (tmp_path / "naps.py").write_text("import time\n\ndef nap(model, log):\n    time.sleep(0.4)\n")
    entries(mine=BOUNDS + "extra: {_target_: naps.nap}\n")
    words = ["tune", "task=toy/line", "entry=mine", "--trials", "4", "--seeds", "2", "workers=1"]
    sweep = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench", *words], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test in the background ignores it
    )  # fmt: skip
    while not attempts(tmp_path):
        assert sweep.poll() is None, sweep.stderr and sweep.stderr.read()
        time.sleep(0.02)
    sweep.send_signal(signal.SIGINT)
    sweep.communicate(timeout=60)
    there = attempts(tmp_path)
    assert sweep.returncode == 130 and 0 < len(there) < 8 and not (tmp_path / "configs" / "tuned").exists()
    done = json.loads(bench(*words, "--format", "json").stdout)
    assert (done["ran"], done["fresh"]) == (8 - len(there), len(there)) and done["files"]
    assert len(attempts(tmp_path)) == 8 and set(there) < set(attempts(tmp_path))


def test_a_rate_that_diverges_does_not_make_a_trial_that_learns_nothing_look_steady():
    """The diverged cell has no `bar`; filled in as infinite, it would switch the bar off for the whole trial."""
    rates = LanguageModel.derived[1].grid["small"]
    cells = [SimpleNamespace(key=str(lr), params={"lr": lr}) for lr in rates]
    row = SimpleNamespace(planned={TUNING_FROM: cells}, cells=lambda: cells)

    def value(*losses: float) -> float:
        first = {"initial_val_loss": 3.8}
        metrics = [first | {"val_loss": x, "bar": 1.7} if math.isfinite(x) else first for x in losses]
        records = {c.key: SimpleNamespace(metrics=m, costs=Costs()) for c, m in zip(cells, metrics, strict=True)}
        return _trial({}, row, records, LanguageModel)["objective"]

    assert value(3.3, 3.3, 3.3, math.nan) == pytest.approx((3 * 3.3 + 3.8) / 4 - 1.7)
    assert value(1.5, 1.6, 1.8, math.nan) == pytest.approx((1.5 + 1.6 + 1.8 + 3.8) / 4 - 1.5)


def test_nothing_is_chosen_from_trials_without_a_result(bench, tmp_path, entries):
    entries(mine=BOUNDS + "needs: [no_such_package]\n", other=RATES)  # other settings, or the two would share cells
    done = bench("tune", "task=toy/line", "entry=mine,other", "--trials", "2", "--seeds", "1")
    assert done.returncode == 1 and "mine on toy/line: trials without a result" in done.stderr
    assert not (tmp_path / "configs/tuned/toy/line/mine.yaml").exists() and tuned(tmp_path, "other")["trials"] == 2


def test_a_budget_pays_the_same_number_of_trials_for_every_entry(bench, tmp_path, entries):
    entries(mine=BOUNDS, other=RATES)
    words = ["tune", "task=toy/line", "entry=mine,other", "--seeds", "1", "--space", "random", "--format", "json"]
    unknown = bench(*words, "--budget", "5")
    assert unknown.returncode == 2 and "no stored cost of mine, other on toy/line" in unknown.stderr
    for name, rate in (("mine", 0.1), ("other", 0.2)):  # another rate, or the two would be one cell
        assert bench("run", "task=toy/line", f"entry={name}", "seed=0", f"entry.optimizer.lr={rate}").returncode == 0
    paths = sorted((tmp_path / "results" / "local").glob("*/*.json"))
    for path, cost in zip(paths, (2.0, 3.0), strict=True):  # a round of one trial each costs 5 CPU s
        record = json.loads(path.read_text())
        record["costs"]["cpu_total"] = cost
        path.write_text(json.dumps(record))
    short = bench(*words, "--budget", "9")
    assert short.returncode == 2 and "costs about 5 CPU s" in short.stderr and "give 10 or more" in short.stderr
    done = json.loads(bench(*words, "--budget", "19").stdout)
    assert done["trials"] == {"toy/line": 3} and done["ran"] == 6
    assert tuned(tmp_path, "mine")["trials"] == tuned(tmp_path, "other")["trials"] == 3
    again = json.loads(bench(*words, "--budget", "19").stdout)  # the trials' own costs do not change the plan
    assert (again["trials"], again["ran"]) == ({"toy/line": 3}, 0)
    assert bench(*words, "--budget", "19", "--trials", "4").returncode == 2
