"""The contract suite for one pair of task and entry, at `smoke`: what `bench submit` and the tests hold an entry to.

Everything runs over the pipe, so that an entry is judged from outside its own process.
"""

from __future__ import annotations

import io
from dataclasses import replace

from bench.contract import Task
from bench.data import cache_dir
from bench.execute import Job
from bench.outcome import SETTLED, Outcome
from bench.planning import config
from bench.planning.plan import axis_of, reads_of
from bench.records import identity
from bench.records.record import Record
from bench.running.pool import Pool
from bench.running.reads import ADVICE


def smoke_job(task: str, entry: str, seed: int = 0, seconds: float = 60.0) -> Job:
    """The smoke cell of a pair, at the first value of a derived metric's axis. Raises Misfit if it does not fit."""
    spec = config.task_spec(task)
    params = config.parameters(spec, "smoke", {})
    derived = axis_of(spec.cls)
    if derived is not None:
        params[derived.axis] = derived.grid["smoke"][0]
    parts = config.resolve_parts(spec, config.entry(entry), {})
    cache = cache_dir()
    digests = identity.Digests(cache / "digests.json")
    reads = reads_of(digests, spec.target, parts, spec.cls(spec.cls.Params(**params)).data_files(cache))
    digests.save()
    return Job(spec.target, params, parts, seed, str(cache), seconds=seconds, reads=reads)


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


def differences(first: Outcome, first_curves: bytes, again: Outcome, again_curves: bytes) -> list[str]:
    """What two runs of one cell do not agree about, to the bit."""
    found = [f"status ({first.status}, {again.status})"] if first.status != again.status else []
    for name in sorted({*first.metrics, *again.metrics}):
        values = first.metrics.get(name), again.metrics.get(name)
        found += [f"{name} ({values[0]}, {values[1]})"] if values[0] != values[1] else []
    found += ["which targets were reached"] if first.censored != again.censored else []
    found += ["what it counts"] if first.costs.counts != again.costs.counts else []
    return found or [f"the curve {name}" for name in _unlike(first_curves, again_curves)]


def _unlike(first: bytes, again: bytes) -> list[str]:
    """Names of the arrays that two .npz files do not have in common."""
    import numpy as np

    if first == again:
        return []
    one, other = ({**np.load(io.BytesIO(body))} if body else {} for body in (first, again))
    return [
        name
        for name in sorted({*one, *other})
        if name not in one or name not in other or not np.array_equal(one[name], other[name], equal_nan=True)
    ]


def check(pool: Pool, second: Pool, task: str, entry: str) -> tuple[Outcome, list[str]]:
    """(the smoke cell's outcome, what it breaks of the contract): runs it, again in `second`, and without probes.

    The same seed gives the same results, from another fork server too: what an entry draws from the machine's entropy, the time,
    or where its objects lie in memory would differ. A probe changes no score; every metric is one the task declares; the one that
    ranks is there; it reads what its key covers. An outcome that is neither ok nor diverged is a reason by itself, save
    `unavailable`.
    """
    cls, job = config.task_spec(task).cls, smoke_job(task, entry)
    ((_, first, curves),) = pool.run([("first", "cell", job)])
    if first.status == "unavailable":
        return first, []
    if first.status not in SETTLED:
        return first, [f"{task}: {first.status} at smoke: {first.reason or 'no reason given'}"]
    ((_, again, other_curves),) = second.run([("again", "cell", job)])
    ((_, quiet, _),) = pool.run([("quiet", "cell", replace(job, probes=False))])
    wrong = [f"{task}: {what}" for what in metrics_wrong(cls, first)]
    if unlike := differences(first, curves, again, other_curves):
        told = f"{task}: the same seed gave another result from another server: {', '.join(unlike[:5])}"
        wrong.append(f"{told}; draw from `seeds`, torch, random or numpy's global generator, which the harness sets")
    if scores(cls, first) != scores(cls, quiet):
        wrong.append(f"{task}: scores change when probes are off; an entry must not depend on them")
    if first.unkeyed_reads:
        wrong.append(f"{task}: it read {', '.join(first.unkeyed_reads[:5])}, which its key does not cover; {ADVICE}")
    return first, wrong
