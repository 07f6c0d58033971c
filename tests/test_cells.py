"""What one cell does, over the pipe and by call: budgets of any unit, probes, generators, odd numbers, the compiler."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import execute
from bench.contract import Budget
from bench.execute import Job
from bench.outcome import Outcome
from bench.records.identity import Digests, components
from bench.run_log import RunLog
from bench.running import numerics
from bench.running.pool import Pool
from bench.running.scorer_process import npz

TARGET = "tests.odd_tasks.Solves"
BOTH = pytest.mark.parametrize("transport", ["pipe", "call"])


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    numerics.pin()  # cells by call get the arithmetic of those by pipe
    with Pool(1) as running:
        yield running


@pytest.fixture(scope="module")
def job() -> Job:
    params = {"limit": 10, "trained": 4, "rounds": 3, "evaluations": 4, "dtype": "float32", "probe_until": 100}
    return Job(TARGET, params, {}, 0, "/nowhere", reads=components(Digests(), TARGET, {}, {})[1])


@pytest.fixture
def cell(pool, job) -> Callable[..., tuple[Outcome, dict[str, Any]]]:
    """cell("pipe", rounds=20) -> the outcome and its curves."""

    def run(transport: str, seed: int = 0, probes: bool = True, **params: Any) -> tuple[Outcome, dict[str, Any]]:
        one = replace(job, params={**job.params, **params}, seed=seed, probes=probes)
        if transport == "call":
            outcome = execute.call(one)
            body = npz(outcome)
        else:
            ((_, outcome, body),) = pool.run([("cell", "cell", one)])
        return outcome, dict(np.load(io.BytesIO(body))) if body else {}

    return run


# ---------------------------------------------------------------- budgets


@BOTH
def test_counts_made_by_predict_reach_the_record(cell, transport):
    """Four products in training, one a prediction that is scored; evaluations are not charged."""
    outcome, _ = cell(transport, rounds=3)
    assert outcome.status == "ok", outcome.traceback
    assert outcome.costs.counts == {"matvecs": 7} and outcome.metrics["spent"] == 7


@BOTH
def test_a_predict_that_overdraws_the_budget_fails_the_cell(cell, transport):
    outcome, _ = cell(transport, rounds=20)
    assert outcome.status == "failed" and "Exhausted: the budget of 10 matvecs is spent" in outcome.reason


@BOTH
def test_a_target_is_dated_in_the_budgets_unit(cell, transport):
    """Good at the second score, when one product is spent: there is one in all."""
    outcome, _ = cell(transport, trained=1)
    assert outcome.metrics["matvecs_to_good"] == 1 and outcome.censored == []
    never, _ = cell(transport, evaluations=1)
    assert never.metrics["matvecs_to_good"] == 10 and never.censored == ["matvecs_to_good"]


def test_scores_are_no_more_than_the_budget_of_any_unit(cell):
    outcome, _ = cell("pipe", evaluations=13, limit=10)
    assert outcome.status == "failed" and "the budget is 10 matvecs, with a score at most after each" in outcome.reason


@pytest.mark.parametrize("unit", ["steps", "samples", "evals", "matvecs"])
def test_a_tracked_curve_has_about_two_hundred_points_of_any_budget(unit, job):
    from bench.seeds import Seeds

    task, each = job.task(), 32 if unit == "samples" else 1
    type(task).budget, kept = property(lambda _: Budget(unit, 5000 * each)), type(task).budget
    try:
        log = RunLog(task, None, Seeds(0, "toy"), probes=False)
    finally:
        type(task).budget = kept
    for step in range(1, 5001):
        log.count(**{unit: each})
        log.track(step, loss=1.0)
    steps = [step for step, _ in log.curves["loss"]]
    assert steps[:10] == list(range(1, 11)) and 200 <= len(steps) <= 215
    assert steps[10:] == list(range(25, 5001, 25))


# ---------------------------------------------------------------- probes and chance


@BOTH
def test_a_failing_probe_ends_its_curve_only(cell, transport):
    outcome, curves = cell(transport, probe_until=3)
    assert outcome.status == "ok" and list(curves["gauge"][0]) == [1, 2] and len(curves["good"][0]) == 4
    assert outcome.reason == "probe gauge ended at step 3: ZeroDivisionError: the gauge broke"


@BOTH
@pytest.mark.parametrize("until", [3, 100])
def test_scores_agree_bit_for_bit_whatever_a_probe_draws_from(cell, transport, until):
    probed, curves = cell(transport, probe_until=until)
    quiet, _ = cell(transport, probes=False, probe_until=until)
    assert probed.metrics == quiet.metrics and len(set(curves["gauge"][1])) == 1, "its own stream, each time anew"


def test_every_generator_is_set_from_the_seed(cell):
    drawn = {(t, seed): cell(t, seed=seed)[0].metrics["drawn"] for t in ("pipe", "call") for seed in (0, 1)}
    assert drawn["pipe", 0] == drawn["call", 0] != drawn["pipe", 1] == drawn["call", 1]


DRAWS = {  # name -> (code of an entry, whether two runs of a cell agree)
    "by_numpy": ("import numpy as np; value = np.random.rand()", True),
    "by_random": ("import random; value = random.random()", True),
    "by_words": ("value = float(hash('a word') % 1000) / 1000", True),
    "by_order": ("value = float(str(list({'a', 'b', 'c', 'd', 'e'})).find('a'))", True),
    "by_entropy": ("import os; value = os.urandom(1)[0] / 256 + os.urandom(7)[0] / 1e5", False),
    "by_place": ("value = (id(object()) // 4096) % 99991 / 99991", False),
    "by_time": ("import time; value = time.time() % 1", False),
}
CHECK = """
import json, os, sys
sys.path.append(os.getcwd())
from bench.checking import contract_suite
from bench.run_log import RunLog
from bench.running import numerics
from bench.running.pool import Pool
from bench.running.scorer_process import npz
with Pool(1) as pool, Pool(1) as second:
    print(json.dumps({name: contract_suite.check(pool, second, "toy/line", name)[1] for name in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def draws(tmp_path_factory) -> Path:
    """A user's folder with an entry for each way to draw."""
    made = tmp_path_factory.mktemp("draws")
    (made / "entries").mkdir()
    (made / "configs" / "entry").mkdir(parents=True)
    for name, (code, _) in DRAWS.items():
        text = f"def use(model, log):\n    {code}\n    model.weight.data.fill_(value)\n"
        (made / "entries" / f"{name}.py").write_text(text)
        (made / "configs" / "entry" / f"{name}.yaml").write_text(f"extra: {{_target_: entries.{name}.use}}\n")
    return made


def test_the_contract_suite_repeats_a_cell_from_another_server(draws, environment):
    command = [sys.executable, "-P", "-c", CHECK, *DRAWS]
    done = subprocess.run(command, cwd=draws, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    for name, wrong in json.loads(done.stdout).items():
        assert bool(wrong) is not DRAWS[name][1], f"{name}: {wrong}"
        assert not wrong or "another result from another server: " in wrong[0] and "error (" in wrong[0]


def test_two_commands_agree_and_seeds_differ_whatever_is_drawn_from(bench, draws, tmp_path):
    from bench.records import record

    found = []
    for results in ("one", "two"):
        words = ["task=toy/line", "entry=by_numpy,by_random,by_order", "preset=smoke", "seed=0,1"]
        done = bench("run", *words, f"results={tmp_path / results}", cwd=draws)
        assert done.returncode == 0, done.stderr
        records = [record.decode(path.read_bytes()) for path in (tmp_path / results / "local").glob("*/*.json")]
        found.append({(one.entry, one.seed): one.metrics for one in records})
    assert found[0] == found[1]
    assert all(found[0][name, 0] != found[0][name, 1] for name in ("by_numpy", "by_random"))


# ---------------------------------------------------------------- exhibits


@BOTH
def test_exhibits_are_stored_beside_the_curves_and_not_charged(cell, transport):
    outcome, arrays = cell(transport, shown="some")
    assert outcome.status == "ok" and outcome.costs.counts == {"matvecs": 7}
    assert list(outcome.exhibits) == ["fits"] and outcome.exhibits["fits"].arrays == {"y": [3], "x": [3]}
    assert (outcome.exhibits["fits"].kind, outcome.exhibits["fits"].axes) == ("series", ["x"])
    shown = {name: array for name, array in arrays.items() if name.startswith("exhibit/")}
    assert {name: str(array.dtype) for name, array in shown.items()} == {
        "exhibit/fits/y": "float32", "exhibit/fits/x": "float16",
    }  # fmt: skip
    assert list(shown["exhibit/fits/y"]) == [0, 2, 4]
    assert "exhibit big is left out: BenchError: it holds 131072 bytes" in outcome.reason
    assert "exhibit words is left out: BenchError: an exhibit holds real numbers" in outcome.reason


@BOTH
def test_a_failing_exhibit_changes_no_result(cell, transport):
    outcome, arrays = cell(transport, shown="raises")
    assert outcome.status == "ok" and outcome.metrics["error"] == 0 and "good" in arrays
    assert outcome.exhibits == {} and outcome.reason == "no exhibits: no picture"


# ---------------------------------------------------------------- odd numbers and the compiler


@BOTH
@pytest.mark.parametrize("dtype", ["bfloat16", "float64", "complex64", "complex128"])
def test_predictions_of_any_precision_are_scored(cell, transport, dtype):
    outcome, _ = cell(transport, dtype=dtype)
    assert outcome.status == "ok" and outcome.metrics["error"] == 0, outcome.traceback


def test_a_value_that_cannot_cross_is_an_error_that_names_it(cell):
    outcome, _ = cell("pipe", dtype="float8_e4m3fn")
    assert outcome.status == "failed" and "type float8_e4m3fn cannot cross" in outcome.reason


def compiled(pool: Pool, backend: str) -> Outcome:
    parts = {"extra": {"_target_": "tests.odd_tasks.compiles", "backend": backend}}
    parts["optimizer"] = {"_target_": "bench.optim.named", "name": "SGD", "lr": 0.1}
    target = "tests.toy.toy_package.task.Line"
    params = {"steps": 5, "noise": 0.1, "nap": 0.0}
    job = Job(target, params, parts, 0, "/nowhere", seconds=120, reads=components(Digests(), target, parts, {})[1])
    ((_, outcome, _),) = pool.run([("cell", "cell", job)])
    return outcome


def test_torch_compile_traces_in_a_cell(pool):
    outcome = compiled(pool, "aot_eager")
    assert outcome.status == "ok", outcome.traceback


@pytest.mark.small  # ten seconds of a compiler
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler here")
def test_torch_compile_builds_in_a_cell(pool):
    outcome = compiled(pool, "inductor")
    assert outcome.status == "ok", outcome.reason + outcome.traceback + outcome.output


@pytest.mark.small
def test_without_a_compiler_the_record_has_torchs_error(monkeypatch):
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    with Pool(1) as bare:
        outcome = compiled(bare, "inductor")
    assert outcome.status == "failed" and "C++ compiler" in outcome.reason, outcome.reason
