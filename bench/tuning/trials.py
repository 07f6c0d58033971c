"""How an entry was tuned, what fewer trials would have found, and `results/trials/<task>/<entry>.jsonl`: the tuning ledger of
the trials' records without curves, written by `bench publish --trials`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from bench.contract import BenchError, Metric
from bench.planning import config
from bench.planning.plan import TUNING_FROM, TUNING_SEEDS
from bench.records.ledger import file_of, fold, lines_of
from bench.records.record import Components, Record
from bench.records.spelling import canonical_json
from bench.records.store import Store
from bench.tables import comparisons, grid
from bench.tables.printers import declared, trials_text

DIVERGED: Final = "diverged"  # stands for a value that is not finite in a tuned file
REMEDY = "restore the file, or delete it and `bench publish --trials` again where the trials ran"


def objective(task: Any) -> Metric:
    """The metric, on validation data, on which a task's entries are tuned. BenchError if the task does not declare it."""
    for metric in (*task.metrics, *(derived.metric for derived in task.derived)):
        if metric.name == task.objective:
            return metric
    raise BenchError(f"{task.name}: objective {task.objective!r} is none of its metrics")


@dataclass(frozen=True)
class Tuning:
    """The tuning of an entry on a task: its tuned file, and numbers made of it.

    tried: distinct settings among the published trial records of this preset and task version, which are more than `trials`
    where the entry was tuned several times. declared: trials that the entry's authors made elsewhere. worst: of the chosen
    setting's seeds, the worst objective. best_of: expected best objective of k trials, k = 1 .. trials. sensitivity: share of
    the tried settings within 5 % of the best. cpu_seconds: of all known trials, NaN where none is known. Objectives that are not
    finite (all diverged) are inf or -inf.
    """

    task: str
    entry: str
    preset: str
    space: str
    seeds: tuple[int, ...]
    trials: int
    tried: int
    declared: int | None
    objective: str
    better: str
    value: float
    values: Mapping[str, Any]
    at_the_edge: tuple[str, ...]
    worst: float
    best_of: list[float]
    sensitivity: float
    cpu_seconds: float


def publish(store: Store, pairs: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Fold this machine's trials of the (task, entry) pairs into `results/trials/`: (trials, lines new or changed).

    A trial is a record on a tuning seed, whatever its setting and status; what would make the file large is left out. A newer
    record of the same setting and seed replaces the older; records of an older task version are dropped.
    """
    wanted, trials = set(pairs), []
    for record in store.records():
        ours = TUNING_FROM <= record.seed < TUNING_FROM + TUNING_SEEDS and (record.task, record.entry) in wanted
        if ours and record.version == config.task_spec(record.task).cls.version:
            large = {"components": Components(), "traceback": "", "output": "", "exhibits": {}}
            trials.append(msgspec.structs.replace(record, **large, attempt=1))

    def newer(record: Record, old: Record | None) -> Record:
        return old if old is not None and old.provenance.ended > record.provenance.ended else record

    newest_last = sorted(trials, key=lambda record: record.provenance.ended)
    return len(trials), fold(store, store.root / "trials", newest_last, newer, REMEDY)


def summary(task: str, entry: str, results: Path) -> Tuning | None:
    """The tuning of `entry` (a name or a composition) on `task`, by the tuned file and any published trial records; None if it
    was never tuned here. BenchError for an unknown task."""
    name = config.canonical(entry)
    tuned = config.tuned(task, name)
    if tuned is None:
        return None
    cls = config.task_spec(task).cls
    metric = objective(cls)
    worst = math.inf if metric.better == "min" else -math.inf
    chosen = next(
        (row for row in tuned.table if all(row.get(name) == value for name, value in tuned.values.items())), {}
    )
    by_seed = [worst if value == DIVERGED else float(value) for value in chosen.get("seeds", [])]
    values = [worst if row["objective"] == DIVERGED else float(row["objective"]) for row in tuned.table]
    path = file_of(results / "trials", task, name)
    published = [r for r in lines_of(path, REMEDY) if (r.preset, r.version) == (tuned.preset, cls.version)]
    settings = {canonical_json(record.config) for record in published}
    cpu_tuned = sum(row.get("cpu_seconds", math.nan) for row in tuned.table)  # NaN in files that have none
    cpu_published = sum(record.costs.cpu_total for record in published) if published else math.nan
    same = {name: getattr(tuned, name) for name in ("preset", "space", "seeds", "trials", "values", "at_the_edge")}
    return Tuning(
        **same, task=task, entry=name, tried=max(tuned.trials, len(settings)), declared=declared(name), objective=metric.name,
        better=metric.better, value=worst if tuned.value == DIVERGED else float(tuned.value),
        worst=(max if metric.better == "min" else min)(by_seed, default=math.nan),
        best_of=comparisons.best_of(values, metric.better, metric.scale),
        sensitivity=comparisons.near_best(values, metric.better),
        cpu_seconds=float(np.fmax(cpu_tuned, cpu_published)),
    )  # fmt: skip


def everywhere() -> list[tuple[str, str]]:
    """(task, entry) of every tuned file."""
    entries = {name.replace("/", "_"): name for name in config.names("entry")}
    pairs = [name.rsplit("/", 1) for name in config.names("tuned")]
    return sorted((task, entries.get(stem, stem)) for task, stem in pairs)


def as_json(tunings: Iterable[Tuning]) -> str:
    """A list of objects with `Tuning`'s fields; null stands for a number that is not finite."""
    return msgspec.json.format(msgspec.json.encode([*tunings]), indent=1).decode()


def as_text(tunings: Iterable[Tuning]) -> str:
    """A table a task, compared at the number of trials that every entry had; the best expected value first."""
    tasks: dict[str, list[Tuning]] = {}
    for tuning in tunings:
        tasks.setdefault(tuning.task, []).append(tuning)
    return "\n\n".join(_table(rows) for rows in tasks.values()) or "nothing is tuned here; `bench tune` does it"


def _table(rows: list[Tuning]) -> str:
    equal, first = min(row.trials for row in rows), rows[0]
    half = max(1, equal // 2)
    sign = 1 if first.better == "min" else -1
    lines = [
        [
            "entry",
            "trials",
            f"best of {half}",
            f"best of {equal}",
            "best",
            "worst seed",
            "within 5 %",
            "CPU s",
            "remark",
        ]
    ]
    for row in sorted(rows, key=lambda row: sign * row.best_of[equal - 1]):
        remarks = [f"{row.tried} settings tried in all"] if row.tried > row.trials else []
        remarks += [f"at the edge of {', '.join(row.at_the_edge)}"] if row.at_the_edge else []
        share = "—" if math.isnan(row.sensitivity) else f"{100 * row.sensitivity:.0f} %"
        lines.append([
            row.entry, trials_text(row.trials, row.declared), _number(row.best_of[half - 1]), _number(row.best_of[equal - 1]),
            _number(row.value), "—" if math.isnan(row.worst) else _number(row.worst), share,
            "—" if math.isnan(row.cpu_seconds) else f"{row.cpu_seconds:.0f}", "; ".join(remarks),
        ])  # fmt: skip
    head = f"{first.task} · {first.preset} · {first.objective} ({first.better}), expected best of k trials"
    return f"{head}\n{grid.text(lines, right=range(2, len(lines[0]) - 1))}"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else DIVERGED
