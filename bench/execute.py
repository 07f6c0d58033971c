"""Running one cell, which gives one `Outcome`.

A cell has two sides. The *scorer* owns the problem with its hidden targets, evaluates and scores. The *entry's side* gets
the public part, trains, and predicts on request. `call` runs both sides in this process (for debugging); the pool
(`bench.running.pool`) runs each in its own, and only `bench.wire` frames cross. The sweep makes a record of the outcome.
"""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import chance, exhibits, wire
from bench.contract import BenchError, Diverged, Exhausted, Problem, Solution, Task, Unavailable
from bench.outcome import Costs, Outcome
from bench.parts import build, locate
from bench.run_log import Channel, RunLog
from bench.seeds import EntrySeeds, Seeds


@dataclass(frozen=True)
class Job:
    """A cell as its processes receive it: plain values only. reads: the files that its key covers; they read nothing else but
    installed packages."""

    target: str  # dotted path of the Task class
    params: Mapping[str, Any]
    parts: Mapping[str, Any]  # slot -> resolved part configuration
    seed: int
    cache: str
    probes: bool = True
    seconds: float = 600.0
    memory_mb: int = 4000
    reads: tuple[str, ...] = ()

    def task(self) -> Task:
        """The task with its parameters."""
        cls: type[Task] = locate(self.target)
        return cls(cls.Params(**self.params))


def run_entry(
    job: Job, public: Mapping[str, Any], channel: Channel, seeds: EntrySeeds
) -> tuple[dict[str, Any], Solution, RunLog | None]:
    """Run the entry's side: (report of status, reason and traceback, solution, log). seeds: of the entry's axes; `job.seed` is
    not read, since an isolated entry must not know it."""
    log: RunLog | None = None
    solution: Solution | None = None
    try:
        task = job.task()
        log = RunLog(task, channel, seeds, job.probes)
        chance.seed(seeds("init"))
        parts = build(task.slots, job.parts)
        procedure = parts.get("procedure")
        try:
            with log.phase("train"):
                if procedure is not None:
                    solution = procedure(public=public, log=log, seeds=seeds)
                else:
                    solution = task.run(public, parts, log, seeds)
        except Exhausted:
            solution = log.incumbent
        if not isinstance(solution, Solution):
            raise BenchError("the run ended without a Solution; return one, or keep `log.incumbent` up to date")
        report: dict[str, Any] = {"status": "ok", "reason": "; ".join(log.notes)}
    except Diverged as error:
        report = {"status": "diverged", "reason": str(error)}
    except Unavailable as error:
        report = {"status": "unavailable", "reason": str(error)}
    except Exception as error:  # whatever an entry raises becomes its record
        oom = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
        report = {"status": "oom" if oom else "failed", "reason": f"{type(error).__name__}: {error}"}
        report["traceback"] = traceback.format_exc(limit=-12)
    if log is not None:
        log.book()
    solution = solution if isinstance(solution, Solution) else Solution()
    return report, solution, log


def report_of(report: dict[str, Any], solution: Solution, log: RunLog | None) -> dict[str, Any]:
    """The report with the solution's tensors and the log's counts, CPU seconds and curves, as it is sent to the scorer."""
    logged: dict[str, Any] = {"counts": {}, "cpu": {}, "curves": {}}
    if log is not None:
        curves = {name: [list(points) for points in zip(*rows, strict=True)] for name, rows in log.curves.items()}
        logged = {"counts": dict(log.counts), "cpu": dict(log.cpu), "curves": curves}
    return {**report, "tensors": solution.tensors, "predicts": solution.predict is not None, **logged}


@dataclass
class Scorer:
    """The harness's side of a cell: it computes monitored metrics, dates targets and scores."""

    task: Task
    problem: Problem
    counts: dict[str, int] = field(default_factory=dict)
    curves: dict[str, tuple[list[int], list[float]]] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    tensors: dict[str, Any] = field(default_factory=dict)  # of the entry's solution

    def curve(self, name: str) -> tuple[list[int], list[float]]:
        return self.curves.get(name, ([], []))

    def evaluate(
        self, step: int, spent: int, predict: Callable[..., Any], stage: str = ""
    ) -> tuple[dict[str, float], bool]:
        """(monitored metrics at `step`, whether every target is reached). A target that is reached is dated by `spent`."""
        scores = {name: float(value) for name, value in self.task.monitor(self.problem, predict).items()}
        staged = {f"{stage}/{name}": value for name, value in scores.items()} if stage else {}
        for name, value in {**scores, **staged}.items():
            steps, values = self.curves.setdefault(name, ([], []))
            steps.append(step)
            values.append(value)
        targets = [metric for metric in self.task.metrics if metric.target is not None]
        for metric in targets:
            assert metric.target is not None
            if metric.name not in self.reached and scores.get(metric.target.curve, -math.inf) >= metric.target.value:
                self.reached[metric.name] = spent
        return scores, bool(targets) and len(self.reached) == len(targets)

    def finish(self, report: Mapping[str, Any], predict: Callable[..., Any] | None) -> Outcome:
        """The outcome of what the entry's side reported; predict: the final one, None if there is none."""
        self.counts = dict(report.get("counts", {}))
        for name, (steps, values) in report.get("curves", {}).items():
            self.curves.setdefault(name, (list(map(int, steps)), list(values)))
        outcome = Outcome(
            status=report["status"],
            reason=report.get("reason", ""),
            traceback=report.get("traceback", ""),
            costs=Costs(cpu=dict(report.get("cpu", {}))),
            origin=self.problem.origin,
        )
        if outcome.status == "ok":
            self.tensors = dict(report.get("tensors", {}))
            self._score(outcome, Solution(predict, self.tensors))
        for metric in self.task.metrics:
            _, values = self.curve(metric.name)
            if metric.diverged == "first" and values and math.isfinite(values[0]):
                outcome.metrics[f"initial_{metric.name}"] = values[0]
        outcome.costs.counts = dict(self.counts)  # those of the final `predict` too
        outcome.curves = {name: ([float(s) for s in steps], values) for name, (steps, values) in self.curves.items()}
        return outcome

    def show(self, outcome: Outcome, predict: Callable[..., Any] | None) -> None:
        """Add the task's exhibits to the outcome of a scored run. A failure is noted and changes nothing else."""
        try:
            task_exhibits = self.task.exhibit(self.problem, Solution(predict, self.tensors))
        except Exception as error:  # the result stands without a picture
            exhibits.left_out(outcome, "", error)
        else:
            exhibits.keep(outcome, task_exhibits)

    def _score(self, outcome: Outcome, solution: Solution) -> None:
        """Fill in the final metrics and the dates of targets, or the reason why there are none."""
        try:
            outcome.settle(self.task.score(self.problem, solution, self))
        except Exception as error:  # a malformed solution is the entry's failure
            outcome.status, outcome.reason = "failed", f"scoring: {type(error).__name__}: {error}"
            outcome.traceback = traceback.format_exc(limit=-8)
        for metric in self.task.metrics:
            if metric.target is not None and outcome.status == "ok":
                outcome.metrics[metric.name] = float(self.reached.get(metric.name, self.task.budget.limit))
                if metric.name not in self.reached:
                    outcome.censored.append(metric.name)


def open_problem(job: Job) -> tuple[Task, Problem]:
    """The task and this seed's problem; raises whatever `prepare` and `problem` raise."""
    task = job.task()
    seeds = Seeds(job.seed, task.name)
    return task, task.problem(task.prepare(Path(job.cache), seeds.pool), seeds)


def opened(job: Job) -> Scorer | Outcome:
    """A scorer with the problem, or the outcome of a cell whose problem could not be made."""
    try:
        return Scorer(*open_problem(job))
    except Unavailable as error:
        return Outcome.failure("unavailable", str(error))
    except Exception as error:  # a fault of the task is recorded too
        return Outcome.failure("failed", f"problem: {type(error).__name__}: {error}", traceback.format_exc(limit=-12))


class _Direct:
    """The call transport: both sides in this process; values are copied as if they crossed a pipe."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer

    def evaluate(self, step: int, spent: int, predict: Callable[..., Any], stage: str) -> tuple[dict[str, float], bool]:
        return self.scorer.evaluate(step, spent, crossing(predict), stage)

    def predict(self, predict: Callable[..., Any], log: RunLog) -> Callable[..., Any]:
        """The final `predict`, whose time and counts are booked on `log`'s predict phase."""
        crossed = crossing(predict)

        def served(*inputs: Any) -> Any:
            log.paused_until_now()
            with log.phase("predict"):
                outputs = crossed(*inputs)
            self.scorer.counts = dict(log.counts)
            return outputs

        return served


def crossing(predict: Callable[..., Any]) -> Callable[..., Any]:
    """`predict` with arguments and results copied as if they crossed a pipe."""

    def served(*inputs: Any) -> Any:
        return wire.roundtrip(predict(*wire.roundtrip(list(inputs))))

    return served


def call(job: Job) -> Outcome:
    """Run a cell in this process, for debugging and for the contract suite, which compares the transports."""
    start_cpu, start = time.process_time(), time.monotonic()
    scorer = opened(job)
    if isinstance(scorer, Outcome):
        outcome = scorer
    else:
        public = wire.roundtrip(dict(scorer.problem.public))
        seeds = Seeds(job.seed, scorer.task.name).of_entry()
        direct = _Direct(scorer)
        report, solution, log = run_entry(job, public, direct, seeds)
        crossed = wire.roundtrip(report_of(report, solution, log))
        outcome = scorer.finish(crossed, direct.predict(solution.predict, log) if solution.predict and log else None)
        outcome.costs.cpu = dict(log.cpu) if log else {}
        if outcome.status == "ok" and log:
            with log.paused():
                scorer.show(outcome, crossing(solution.predict) if solution.predict else None)
    outcome.costs.cpu_total, outcome.costs.wall = time.process_time() - start_cpu, time.monotonic() - start
    return outcome
