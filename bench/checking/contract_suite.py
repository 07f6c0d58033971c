"""The contract suite for one pair of task and entry, at `smoke`: what `bench submit` and the tests hold an entry to.

Everything runs over the pipe, so that an entry is judged from outside its own process.
"""

from __future__ import annotations

from dataclasses import replace

from bench.contract import Task
from bench.data import cache_dir
from bench.execute import Job
from bench.outcome import Outcome
from bench.planning import config
from bench.planning.plan import axis_of
from bench.records.record import Record
from bench.running.pool import Pool


def smoke_job(task: str, entry: str, seed: int = 0, seconds: float = 60.0) -> Job:
    """The smoke cell of a pair, at the first value of a derived metric's axis. Raises Misfit if it does not fit."""
    spec = config.task_spec(task)
    params = config.parameters(spec, "smoke", {})
    derived = axis_of(spec.cls)
    if derived is not None:
        params[derived.axis] = derived.grid["smoke"][0]
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return Job(spec.target, params, parts, seed, str(cache_dir()), seconds=seconds)


def scores(task: type[Task], outcome: Outcome) -> dict[str, float]:
    """An outcome's metrics without those of probes."""
    probes = {m.name for m in task.metrics if m.source == "probe"}
    return {name: value for name, value in outcome.metrics.items() if name not in probes}


def metrics_wrong(task: type[Task], outcome: Outcome | Record) -> list[str]:
    """What is wrong with the names of an outcome's metrics, or of a record's."""
    wrong = []
    known = {m.name for m in task.metrics} | {f"initial_{m.name}" for m in task.metrics}
    if strange := sorted(set(outcome.metrics) - known):
        wrong.append(f"metrics the task does not declare: {', '.join(strange)}")
    if outcome.status == "ok" and axis_of(task) is None and task.rank not in outcome.metrics:
        wrong.append(f"{task.rank}, which ranks, is undefined")
    return wrong


def check(pool: Pool, task: str, entry: str) -> tuple[Outcome, list[str]]:
    """(the smoke cell's outcome, what it breaks of the contract): runs it, runs it again, and runs it without probes.

    The same seed gives the same metrics; a probe changes no score; every metric is one the task declares; the one that
    ranks is there. An outcome that is neither ok nor diverged is a reason by itself, save `unavailable`.
    """
    cls, job = config.task_spec(task).cls, smoke_job(task, entry)
    jobs = [("first", "cell", job), ("again", "cell", job), ("quiet", "cell", replace(job, probes=False))]
    found = {name: outcome for name, outcome, _ in pool.run(jobs)}
    first, again, quiet = found["first"], found["again"], found["quiet"]
    if first.status == "unavailable":
        return first, []
    if first.status not in ("ok", "diverged"):
        return first, [f"{task}: {first.status} at smoke: {first.reason or 'no reason given'}"]
    wrong = [f"{task}: {what}" for what in metrics_wrong(cls, first)]
    if (first.metrics, first.censored) != (again.metrics, again.censored):
        wrong.append(f"{task}: the same seed gave other numbers; draw only from `seeds` and torch's seeded generator")
    if scores(cls, first) != scores(cls, quiet):
        wrong.append(f"{task}: scores change when probes are off; an entry must not depend on them")
    return first, wrong
