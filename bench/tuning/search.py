"""Tuning: the same number of trials for every entry, on seeds of its own, chosen on validation data.

Every trial runs all tuning seeds (from 1000 up, so disjoint from the reported ones); the value of a trial is the mean of the
task's `objective` on the metric's scale, a diverged cell counting as its `diverged` value. The board's rates come from the
files this module writes, `configs/tuned/<task>/<entry>.yaml`, and from nowhere else. A trial is a record like any other, so
a second call runs nothing, and an interrupted one goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from omegaconf import OmegaConf

from bench.contract import BenchError, Metric
from bench.outcome import SETTLED
from bench.planning import config, plan
from bench.planning.seeds import TUNING_FROM, TUNING_SEEDS
from bench.planning.settings import Settings
from bench.records.files import write_atomically
from bench.records.record import Record
from bench.records.store import Store
from bench.running import sweep
from bench.tables import statistics
from bench.tuning.objective import DIVERGED, objective
from bench.tuning.spaces import Setting, settings_of

TRIALS, SEEDS = 7, 2

Group = list[tuple[Setting, plan.Row]]


@dataclass(frozen=True)
class Trial:
    """One trial: its setting, the objective by tuning seed and their mean, CPU seconds of all its cells."""

    setting: Setting
    value: float
    seeds: tuple[float, ...]
    cpu_seconds: float


def _trial(setting: Setting, row: plan.Row, records: Mapping[str, Record], task: Any) -> Trial:
    """`diverged` stands in where a cell gave no objective."""
    metric = objective(task)
    derived = next((d for d in task.derived if d.metric.name == metric.name), None)
    found = []
    for cells in row.planned.values():
        metrics = [_filled(records[cell.key], task) for cell in cells]
        if derived is not None:
            grid_values = [cell.params[derived.axis] for cell in cells]
            found.append(float(derived.reduce(grid_values, metrics)))
        else:
            found.append(metrics[0].get(metric.name, _worst(metric)))
    cpu = sum(records[cell.key].costs.cpu_total for cells in row.planned.values() for cell in cells)
    with np.errstate(over="ignore"):
        mean = float(statistics.inverse(statistics.transform(found, metric.scale).mean(), metric.scale))
    return Trial(setting, mean if all(map(math.isfinite, found)) else _worst(metric), tuple(found), cpu)


def _filled(record: Record, task: Any) -> dict[str, float]:
    metrics = dict(record.metrics)
    for metric in task.metrics:
        if metric.name not in metrics and metric.diverged is not None:
            first = metrics.get(f"initial_{metric.name}", math.inf)
            metrics[metric.name] = first if metric.diverged == "first" else float(metric.diverged)
    return metrics


def _worst(metric: Metric) -> float:
    if isinstance(metric.diverged, (int, float)):
        return float(metric.diverged)
    return math.inf if metric.better == "min" else -math.inf


def affordable(
    task: str, entries: Iterable[str], store: Store, settings: Settings, seeds: Sequence[int], budget: float
) -> int:
    """Trials that `budget` CPU seconds pay for all `entries` of a task, each the same number, by stored costs.

    Costs of reported seeds count, so that an interrupted call plans the same number again; those of earlier trials only
    where there are no others. Trials that are there already count as if they were to be paid.
    Raises BenchError if some entry has no stored cost, or the budget does not pay two trials.
    """
    planner, preset = plan.Planner(store, settings), settings.preset
    known: dict[tuple[str, bool], list[float]] = {}
    for source in (store.published([task]), store.records()):
        for record in source:
            cost = record.costs.cpu_total
            if (record.task, record.preset) == (task, preset) and cost and record.status in SETTLED:
                known.setdefault((record.entry, record.seed >= TUNING_FROM), []).append(cost)
    round_, missing = 0.0, []
    for entry in entries:
        costs = known.get((entry, False)) or known.get((entry, True))
        if costs is None:
            missing.append(entry)
        else:
            row = planner.row(task, entry, seeds, {}, {})
            round_ += sum(map(len, row.planned.values())) * sum(costs) / len(costs)
    if missing:
        raise BenchError(
            f"--budget: no stored cost of {', '.join(missing)} on {task} at preset {preset}; "
            f"`bench run task={task} entry={','.join(missing)} preset={preset}` makes one, or give --trials"
        )
    trials = int(budget / round_) if round_ else 0
    if trials < 2:
        raise BenchError(
            f"--budget {budget:g}: one trial of every entry on {task} costs about {round_:.3g} CPU s, and two are the least; "
            f"give {math.ceil(2 * round_)} or more, or fewer entries or seeds"
        )
    return trials


def _pairs(request: config.Request) -> dict[str, list[str]]:
    """task -> its entries that have something to search."""
    if request.seeds:
        raise BenchError("tuning uses seeds of its own, apart from the reported ones; leave out seed=")
    fixed = [f"task.{name}" for name in request.task_overrides] + [f"entry.{name}" for name in request.entry_overrides]
    if fixed:
        raise BenchError(
            f"tuning is of a preset as it stands; leave out {fixed[0]}=, or put it into the task or the entry"
        )
    found: dict[str, list[str]] = {}
    for task, entry, _, params in plan.pairs_of(request):
        name = config.canonical(entry)
        if not params and config.entry(name).search and name not in found.setdefault(task, []):
            found[task].append(name)
    return {task: entries for task, entries in found.items() if entries}


@dataclass(frozen=True)
class Tuned:
    """How a call ended. paths: files written. unfinished: (task, entry) some of whose trials have no result."""

    ran: int = 0
    fresh: int = 0
    trials: Mapping[str, int] | None = None  # by task
    paths: tuple[Path, ...] = ()
    unfinished: tuple[tuple[str, str], ...] = ()
    interrupted: bool = False

    @property
    def code(self) -> int:
        """Exit code."""
        return 130 if self.interrupted else int(bool(self.unfinished))


def tune(
    request: config.Request, store: Store, trials: int = TRIALS, seeds: int = SEEDS, space: str = "lattice",
    budget: float | None = None,
) -> Tuned:  # fmt: skip
    """Tune every (task, entry) pair of the request. budget: CPU seconds a task, instead of `trials`."""
    if trials < 2 or not 1 <= seeds <= TUNING_SEEDS:
        raise BenchError(f"tuning wants at least 2 trials and 1 to {TUNING_SEEDS} seeds, not {trials} and {seeds}")
    settings = msgspec.structs.replace(request.settings, tuned=False)
    numbers = [TUNING_FROM + i for i in range(seeds)]
    planner = plan.Planner(store, settings)
    groups: dict[tuple[str, str], Group] = {}
    counts: dict[str, int] = {}
    for task, entries in _pairs(request).items():
        counts[task] = trials if budget is None else affordable(task, entries, store, settings, numbers, budget)
        for entry in entries:
            tried = settings_of(space, task, entry, counts[task])
            groups[task, entry] = [(one, planner.row(task, entry, numbers, {}, one)) for one in tried]
    planner.digests.save()
    summary = sweep.run(plan.Plan([row for group in groups.values() for _, row in group]), store, settings)
    if summary.interrupted:
        return Tuned(summary.ran, summary.fresh, counts, interrupted=True)
    paths, unfinished = [], []
    for (task, entry), group in groups.items():
        records = {c.key: store.get(c.key) for _, row in group for cells in row.planned.values() for c in cells}
        there = {name: r for name, r in records.items() if r is not None and r.status != "unavailable"}
        # absent packages, another sweep still at it, or nothing ran at all: no word on the entry
        settled = any(record.status in SETTLED for record in there.values())
        if len(there) < len(records) or not settled:
            unfinished.append((task, entry))
            continue
        table = [_trial(setting, row, there, config.task_spec(task).cls) for setting, row in group]
        paths.append(_write(task, entry, table, settings.preset, numbers, space))
    return Tuned(summary.ran, summary.fresh, counts, tuple(paths), tuple(unfinished))


def _shown(value: float) -> float | str:
    return float(f"{value:.5g}") if math.isfinite(value) else DIVERGED


def _write(task: str, entry: str, table: list[Trial], preset: str, seeds: list[int], space: str) -> Path:
    metric = objective(config.task_spec(task).cls)
    best = (min if metric.better == "min" else max)(table, key=lambda one: one.value)
    edges = []
    for name, value in best.setting.items():
        tried = [one.setting[name] for one in table]
        told = len({one.value for one in table}) > 1  # where all trials tie, nothing was found at an edge
        if told and isinstance(value, int | float) and value in (min(tried), max(tried)):
            edges.append(name)
    content = {
        "preset": preset,
        "trials": len(table),
        "seeds": list(seeds),
        "space": space,
        "objective": metric.name,
        "value": _shown(best.value),
        "values": best.setting,
        "at_the_edge": edges,
        "table": [
            {
                **one.setting,
                "objective": _shown(one.value),
                "seeds": [_shown(value) for value in one.seeds],
                "cpu_seconds": float(f"{one.cpu_seconds:.4g}"),
            }
            for one in table
        ],
    }
    home = config.names("entry").get(entry.split("+")[0])
    folder = home.parents[len(Path(entry.split("+")[0]).parts)] if home else config.PROJECT / "configs"
    path = folder / "tuned" / task / f"{entry.replace('/', '_')}.yaml"
    text = "# Written by `bench tune`; chosen on validation, on seeds apart from the reported ones.\n"
    write_atomically(path, (text + OmegaConf.to_yaml(OmegaConf.create(content))).encode())
    return path
