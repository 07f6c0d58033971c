"""The contract suite: every task with every entry of the suites, at `smoke`, in its own process.

What it holds tasks and entries to: the same seed twice gives the same record; pipe and call agree; another seed differs;
metrics are finite or the status says why; public data stay as they were; probes on or off, scores agree bit for bit.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench import execute, wire
from bench.checking import contract_suite
from bench.checking.contract_suite import scores
from bench.checking.task_check import flaws
from bench.contract import BenchError, Entry, Unavailable
from bench.data import cache_dir
from bench.planning import config
from bench.planning.plan import absent_of, axis_of
from bench.records.store import Store
from bench.running import numerics
from bench.running.pool import Pool
from bench.seeds import Seeds
from tests.conftest import ROOT

TASKS = sorted(config.names("task"))


def core_pairs() -> list[tuple[str, str]]:
    """Every (task, entry) of the suites, and every other entry once, on the first task that it fits."""
    pairs = {(p.task, e) for s in config.names("suite") for p in config.suite(s).pairs for e in p.entries}
    seen = {part for _, entry in pairs for part in entry.split("+")}
    for name in config.names("entry"):
        if name not in seen:
            fits = [
                t for t in TASKS if set(config.entry(name).parts) <= {s.name for s in config.task_spec(t).cls.slots}
            ]
            assert fits, f"entry {name} fits no task"
            pairs.add((fits[0], name))
    return sorted(pairs)


def sampled(pairs: list[tuple[str, str]]) -> Iterator[Any]:
    """Pairs as parameters. Every entry on its first task of each family, and a task's own floors and reference, are run by
    `make test`; the others, of which a family has many alike, by `make check-small`."""
    families: set[tuple[str, str]] = set()
    for task, entry in pairs:
        cls, family = config.task_spec(task).cls, (task.split("/")[0], entry)
        alike = family in families and entry not in (cls.reference, *cls.floors)
        families.add(family)
        yield pytest.param(task, entry, marks=[pytest.mark.small] * alike)


PAIRS = core_pairs()


@cache
def data_there(task: str) -> str:
    """Empty, or why the task's data are not here."""
    spec = config.task_spec(task)
    one = spec.cls(spec.cls.Params(**job_params(task)))
    try:
        one.prepare(cache_dir(), 0)
    except Unavailable as error:
        return str(error)
    return ""


def job_params(task: str) -> dict[str, Any]:
    return config.parameters(config.task_spec(task), "smoke", {})


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    numerics.pin()  # cells by call get the arithmetic of those by pipe
    with Pool(1) as running:
        yield running


@pytest.fixture(scope="module")
def second() -> Iterator[Pool]:
    with Pool(1) as running:
        yield running


@pytest.mark.parametrize(("task", "entry"), sampled(PAIRS), ids=lambda x: x)
def test_a_cell_keeps_the_contract(pool, second, task, entry):
    if reason := data_there(task):
        pytest.skip(reason.splitlines()[0])
    if absent := absent_of(config.entry(entry).needs):
        pytest.skip(f"{entry} needs {', '.join(absent)}, which is not installed")
    cls, one = config.task_spec(task).cls, contract_suite.smoke_job(task, entry)
    piped, wrong = contract_suite.check(pool, second, task, entry)
    assert not wrong, "\n".join([*wrong, piped.traceback])
    called = execute.call(replace(one, probes=False))
    assert scores(cls, called) == scores(cls, piped), "pipe and call must agree bit for bit"
    assert called.status == piped.status and called.costs.counts.get("steps") == piped.costs.counts.get("steps")


@pytest.mark.parametrize("task", TASKS)
def test_another_seed_is_another_problem_or_another_run(task):
    if reason := data_there(task):
        pytest.skip(reason.splitlines()[0])
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, Entry("default", {}), {})
    outcomes = [execute.call(replace(job_default(task, parts), seed=seed)) for seed in (0, 1)]
    assert outcomes[0].metrics != outcomes[1].metrics


def job_default(task: str, parts: dict[str, Any]) -> execute.Job:
    spec = config.task_spec(task)
    params = job_params(task)
    derived = axis_of(spec.cls)
    if derived is not None:
        params[derived.axis] = derived.grid["smoke"][0]
    return execute.Job(spec.target, params, parts, 0, str(cache_dir()))


@pytest.mark.parametrize("task", TASKS)
def test_public_data_stay_as_they_were(task, monkeypatch):
    if reason := data_there(task):
        pytest.skip(reason.splitlines()[0])
    parts = config.resolve_parts(config.task_spec(task), Entry("default", {}), {})
    kept: list[Any] = []
    run_entry = execute.run_entry

    def watched(one, public, channel, seeds):
        before = wire.encode(dict(public))
        result = run_entry(one, public, channel, seeds)
        kept.append(before == wire.encode(dict(public)))
        return result

    monkeypatch.setattr(execute, "run_entry", watched)
    execute.call(job_default(task, parts))
    assert kept == [True]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_complete(task):
    assert flaws(task) == []
    spec = config.task_spec(task)
    for name, text in {"doc": spec.doc, **msgspec.structs.asdict(spec.sheet)}.items():
        assert len(text) > 3, f"{task} says next to nothing under {name}"
    assert len(spec.doc) <= 120, "doc is one line of a list"
    assert (Path(config.PROJECT) / "tasks" / task.split("/")[0] / "README.md").is_file()


@pytest.mark.parametrize("task", TASKS)
def test_the_entrys_side_cannot_derive_the_data_seed(task):
    seeds = Seeds(0, task).of_entry()
    for axis in ("data", "split"):
        with pytest.raises(KeyError, match="no seed axis"):
            seeds(axis)
    assert seeds("init") != seeds("order") and seeds("init") == Seeds(0, task)("init") != Seeds(1, task)("init")
    assert not hasattr(seeds, "stream") and Seeds(0, task).stream("data", "test").key not in seeds.numbers.values()


def test_every_entry_of_a_published_suite_was_tuned_here_at_equal_trials():
    """Equal in each table of a suite. A task of which no entry was tuned, as where only claims have records, ranks nobody yet."""
    trials: dict[tuple[str, str], set[int]] = {}
    for suite in config.names("suite"):
        published = [pair for pair in config.suite(suite).pairs if (ROOT / "results" / "ledger" / pair.task).is_dir()]
        for pair in published:
            if not any(config.tuned(pair.task, config.canonical(entry)) for entry in pair.entries):
                continue
            for entry in pair.entries:
                if config.entry(entry).search:
                    found = config.tuned(pair.task, config.canonical(entry))
                    assert found is not None, f"suite {suite}: {entry} on {pair.task} was never tuned; run `make tune`"
                    assert found.preset == config.suite(suite).preset
                    assert found.objective == config.task_spec(pair.task).cls.objective
                    assert min(found.seeds) >= 1000
                    trials.setdefault((suite, pair.task), set()).add(found.trials)
    assert trials and all(len(counts) == 1 for counts in trials.values()), trials


@pytest.mark.parametrize("task", TASKS)
def test_golden_digests_hold(task):
    import json

    from bench.upkeep import golden

    if reason := data_there(task):
        pytest.skip(reason.splitlines()[0])
    path = golden.FOLDER / f"{task.replace('/', '.')}.json"
    assert path.is_file(), "no golden digest; run `python -m bench.upkeep.golden --write`"
    old = json.loads(path.read_text())
    lines = golden.differences(old, golden.golden(task))
    assert not lines, (
        "the task changed; raise its version, then `python -m bench.upkeep.golden --write`:\n" + "\n".join(lines)
    )


def test_the_golden_check_can_fail():
    from bench.upkeep.golden import differences

    assert differences({"a": {"norm": 1.0}}, {"a": {"norm": 1.001}}) == ["a.norm: 1.0 became 1.001"]
    assert differences({"a": {"norm": 1.0}}, {"a": {"norm": 1.00001}}) == []


def test_task_modules_import_without_torch(environment):
    """In one process, which names the first task that brings one in."""
    modules = {task: config.task_spec(task).target.rpartition(".")[0] for task in TASKS}
    code = (
        f"import importlib, sys\nfor task, module in {modules!r}.items():\n    importlib.import_module(module)\n"
        "    heavy = {'torch', 'numpy', 'pandas'} & set(sys.modules)\n    assert not heavy, f'{task} imports {heavy}'"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.small
@pytest.mark.parametrize("task", TASKS)
def test_at_small_the_reference_beats_the_floor_by_the_margin(task, tmp_path):
    if reason := data_there(task):
        pytest.skip(reason.splitlines()[0])
    from bench.planning import plan
    from bench.running import sweep
    from bench.tables import statistics
    from bench.tables.join import join
    from bench.tables.table import build

    cls = config.task_spec(task).cls
    if not cls.reference:
        pytest.skip(cls.unanchored)
    request = config.parse([f"task={task}", f"entry={cls.reference},{cls.floors[0]}", "seed=range(3)"])
    store = Store(Path(os.environ.get("SWEEPSTAKES_RESULTS", tmp_path)))
    made = plan.make(request, store)
    assert sweep.run(made, store, request.settings).ok
    rows = join(made, store)
    first = next(iter(rows[0].row.planned.values()))[0]
    table = build(cls(cls.Params(**first.params)), rows)
    values = {row.entry: statistics.transform(row.value, table.metric.scale) for row in table.rows}
    gain = float(values[cls.floors[0]] - values[cls.reference])
    gain = gain if table.metric.better == "min" else -gain
    assert gain >= cls.margin, f"{cls.reference} beats {cls.floors[0]} by {gain:.3g}, not by {cls.margin}"


def test_a_misfit_part_is_an_error_in_the_record():
    target = "grokking/modular_addition"
    wrong = {"model": {"_target_": "collections.OrderedDict.fromkeys"}}
    outcome = execute.call(replace(job_default(target, {**wrong}), parts=wrong))
    assert outcome.status == "failed" and "does not fit slot 'model'" in outcome.reason
    assert issubclass(execute.Diverged, BenchError)
