"""The contract suite: runs the smoke cell of a task and an entry over the pipe, and lists what it breaks of the contract."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.contract import Task
from bench.data import cache_dir
from bench.execute import Job
from bench.outcome import SETTLED, Outcome
from bench.planning import config, plan
from bench.records import ledger
from bench.records.record import Record
from bench.records.store import Store
from bench.running.pool import Pool, job_of
from bench.running.reads import ADVICE


def smoke_job(task: str, entry: str) -> Job:
    """The smoke cell of a pair at seed 0 and the first value of a derived metric's axis. Misfit if the entry does not fit."""
    settings = config.parse(["preset=smoke", "limits.seconds=60"]).settings
    planner = plan.Planner(Store(cache_dir()), settings)  # which keeps its digests beside the data
    row = planner.row(task, entry, [0], {}, {})
    planner.digests.save()
    return job_of(next(row.cells()), settings)


def scores(task: type[Task], outcome: Outcome) -> dict[str, float]:
    """An outcome's metrics without those that probes measure."""
    probes = {metric.name for metric in task.metrics if metric.source == "probe"}
    return {name: value for name, value in outcome.metrics.items() if name not in probes}


def metrics_wrong(task: type[Task], outcome: Outcome | Record) -> list[str]:
    """Flaws in the names of an outcome's or a record's metrics: undeclared ones, and a missing one that ranks."""
    known = {f"{prefix}{metric.name}" for metric in task.metrics for prefix in ("", "initial_")}
    undeclared = ", ".join(sorted(set(outcome.metrics) - known))
    wrong = [f"metrics the task does not declare: {undeclared}"] if undeclared else []
    if outcome.status == "ok" and plan.axis_of(task) is None and task.rank not in outcome.metrics:
        wrong.append(f"{task.rank}, which ranks, is undefined")
    return wrong


def _unequal_arrays(first: bytes, again: bytes) -> list[str]:
    """Names of the arrays that only one of two .npz files holds, or that differ."""
    a, b = ({**np.load(io.BytesIO(body))} if body else {} for body in (first, again))
    return sorted({*a} ^ {*b} | {name for name in {*a} & {*b} if not np.array_equal(a[name], b[name], equal_nan=True)})


def check_all(tasks: Iterable[str], entry: str, withheld: Sequence[Path]) -> Iterator[tuple[str, Outcome, list[str]]]:
    """(task, outcome, what it breaks of the contract) of every task's smoke cell. withheld: folders that cells may not read."""
    with Pool(1, withheld) as pool, Pool(1, withheld) as second:
        for task in tasks:
            yield task, *check(pool, second, task, entry)


def check(pool: Pool, second: Pool, task: str, entry: str) -> tuple[Outcome, list[str]]:
    """(the smoke cell's outcome, what it breaks of the contract) from a run in `pool` and others in `second`.

    The contract: the same seed gives the same results from another fork server (draws from the machine's entropy, the time, or
    addresses of objects would differ); a probe changes no score; every metric is declared, and the one that ranks is defined;
    the cell reads only what its key covers. An outcome that is neither ok nor diverged breaks it too, except `unavailable`.
    """
    cls, job = config.task_spec(task).cls, smoke_job(task, entry)
    ((_, first, curves),) = pool.run([("first", "cell", job)])
    if first.status == "unavailable":
        return first, []
    if first.status not in SETTLED:
        return first, [f"{task}: {first.status} at smoke: {first.reason or 'no reason given'}"]
    ((_, again, other_curves),) = second.run([("again", "cell", job)])
    ((_, quiet, _),) = second.run([("quiet", "cell", replace(job, probes=False))]) if cls.probes else [("", again, b"")]
    wrong = metrics_wrong(cls, first)
    unequal = [f"{name} ({old}, {new})" for name, old, new in ledger.differences(first, again)]
    unequal = unequal or [f"the curve {name}" for name in _unequal_arrays(curves, other_curves)]
    if unequal:
        advice = "draw from `seeds`, torch, random or numpy's global generator, which the harness sets"
        wrong.append(f"the same seed gave another result from another server: {', '.join(unequal[:5])}; {advice}")
    elif scores(cls, first) != scores(cls, quiet):
        wrong.append("scores change when probes are off; an entry must not depend on them")
    if first.unkeyed_reads:
        paths = ", ".join(first.unkeyed_reads[:5])
        wrong.append(f"the cell read {paths}, which its key does not cover; {ADVICE}")
    return first, [f"{task}: {flaw}" for flaw in wrong]
