"""`bench tune`: the same number of trials for every entry, on seeds apart from the reported ones, chosen on validation data.

A trial's value is the mean of the task's `objective` over all tuning seeds, on the metric's scale. The board takes tuned values
from the files that this module writes, and from nowhere else. Trials leave records like any other cells, so a second call
runs nothing, and the same command continues an interrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from omegaconf import OmegaConf

from bench.contract import BenchError, Metric
from bench.outcome import SETTLED
from bench.planning import config, plan
from bench.planning.files import TunedFile
from bench.planning.seeds import TUNING_FROM, TUNING_SEEDS
from bench.records.files import write_atomically
from bench.records.record import Record
from bench.records.store import Store
from bench.running import sweep
from bench.tables import statistics
from bench.tuning import spaces
from bench.tuning.trials import DIVERGED, objective


def _penalty(metric: Metric, metrics: Mapping[str, float]) -> float:
    """What a metric that a record lacks counts as: its `diverged` value if it has one, else the worst."""
    if isinstance(metric.diverged, int | float):
        return float(metric.diverged)
    return metrics.get(f"initial_{metric.name}", math.inf if metric.better == "min" else -math.inf)


def _trial(setting: spaces.Setting, row: plan.Row, records: Mapping[str, Record], task: Any) -> dict[str, Any]:
    """The row of a tuned file's table, not rounded: the setting, the objective as mean and by seed, CPU seconds of all cells."""
    metric = objective(task)
    derived = next((derived for derived in task.derived if derived.metric.name == metric.name), None)
    seeds = []
    for cells in row.planned.values():
        known = [records[cell.key].metrics for cell in cells]
        metrics = [{m.name: _penalty(m, given) for m in task.metrics} | given for given in known]
        if derived is not None:
            seeds.append(float(derived.reduce([cell.params[derived.axis] for cell in cells], metrics)))
        else:
            seeds.append(metrics[0][metric.name])
    with np.errstate(over="ignore"):
        mean = float(statistics.inverse(statistics.transform(seeds, metric.scale).mean(), metric.scale))
    value = mean if all(map(math.isfinite, seeds)) else _penalty(metric, {})
    cpu = sum(records[cell.key].costs.cpu_total for cell in row.cells())
    return {**setting, "objective": value, "seeds": seeds, "cpu_seconds": float(f"{cpu:.4g}")}


def affordable(
    planner: plan.Planner, store: Store, task: str, entries: Iterable[str], seeds: Sequence[int], budget: float
) -> int:
    """Trials that `budget` CPU seconds pay for all `entries` of a task, each the same number, by stored costs.

    Costs of reported seeds count, so that an interrupted call plans the same number again; those of earlier trials only
    where there are no others. BenchError if some entry has no stored cost, or the budget does not pay two trials.
    """
    preset = planner.settings.preset
    known: dict[tuple[str, bool], list[float]] = {}  # (entry, whether of a tuning seed) -> CPU seconds of its cells
    for record in (*store.published([task]), *store.records()):
        cost = record.costs.cpu_total
        if (record.task, record.preset) == (task, preset) and cost and record.status in SETTLED:
            known.setdefault((record.entry, record.seed >= TUNING_FROM), []).append(cost)
    costs = {entry: known.get((entry, False)) or known.get((entry, True), []) for entry in entries}
    if missing := [entry for entry, cells in costs.items() if not cells]:
        raise BenchError(
            f"--budget: no stored cost of {', '.join(missing)} on {task} at preset {preset}; "
            f"`bench run task={task} entry={','.join(missing)} preset={preset}` makes one, or give --trials"
        )
    rows = {entry: planner.row(task, entry, seeds, {}, {}) for entry in costs}
    once = sum(len([*rows[entry].cells()]) * sum(cells) / len(cells) for entry, cells in costs.items())
    if (trials := int(budget / once)) < 2:
        raise BenchError(
            f"--budget {budget:g}: one trial of every entry on {task} costs about {once:.3g} CPU s, and two are the least; "
            f"give {math.ceil(2 * once)} or more, or fewer entries or seeds"
        )
    return trials


def _pairs(request: config.Request) -> dict[str, list[str]]:
    """task -> its entries that have something to search. BenchError if the request sets seeds, parameters or arguments."""
    if request.seeds:
        raise BenchError("tuning uses seeds of its own, apart from the reported ones; leave out seed=")
    fixed = [f"task.{name}" for name in request.task_overrides] + [f"entry.{name}" for name in request.entry_overrides]
    if fixed:
        advice = f"leave out {fixed[0]}=, or put it into the task or the entry"
        raise BenchError(f"tuning is of a preset as it stands; {advice}")
    pairs: dict[str, list[str]] = {}
    for task, entry, _, params in plan.pairs_of(request):
        name, entries = config.canonical(entry), pairs.setdefault(task, [])
        if not params and config.entry(name).search and name not in entries:
            entries.append(name)
    return {task: entries for task, entries in pairs.items() if entries}


@dataclass(frozen=True)
class Tuned:
    """How tuning ended. trials: of each entry, by task. unfinished: (task, entry) some of whose trials have no result."""

    sweep: sweep.Progress
    trials: Mapping[str, int]
    paths: list[Path] = field(default_factory=list)
    unfinished: list[tuple[str, str]] = field(default_factory=list)


def tune(
    request: config.Request, store: Store, trials: int, seeds: int, space: spaces.Name, budget: float | None
) -> Tuned:
    """Tune every (task, entry) pair of the request and write their files. budget: CPU seconds a task, instead of `trials`.

    BenchError for fewer than two trials or too many seeds.
    """
    if trials < 2 or not 1 <= seeds <= TUNING_SEEDS:
        raise BenchError(f"tuning wants at least 2 trials and 1 to {TUNING_SEEDS} seeds, not {trials} and {seeds}")
    settings = msgspec.structs.replace(request.settings, tuned=False)
    numbers = range(TUNING_FROM, TUNING_FROM + seeds)
    planner = plan.Planner(store, settings)
    groups: dict[tuple[str, str], list[tuple[spaces.Setting, plan.Row]]] = {}
    counts: dict[str, int] = {}
    for task, entries in _pairs(request).items():
        counts[task] = trials if budget is None else affordable(planner, store, task, entries, numbers, budget)
        for entry in entries:
            tried = spaces.settings(space, task, entry, counts[task])
            groups[task, entry] = [(setting, planner.row(task, entry, numbers, {}, setting)) for setting in tried]
    planner.digests.save()
    summary = sweep.run(plan.Plan([row for group in groups.values() for _, row in group]), store, settings)
    tuned = Tuned(summary, counts)
    for (task, entry), group in () if summary.interrupted else groups.items():
        records = store.latest(cell.key for _, row in group for cell in row.cells())
        # Absent packages, cells that another sweep still runs, and a group without any result are no verdict on the entry.
        run = all(c.key in records and records[c.key].status != "unavailable" for _, row in group for c in row.cells())
        if run and any(record.settled for record in records.values()):
            table = [_trial(setting, row, records, config.task_spec(task).cls) for setting, row in group]
            tuned.paths.append(_write(task, entry, table, settings.preset, numbers, space))
        else:
            tuned.unfinished.append((task, entry))
    return tuned


def _rounded(value: float) -> float | Literal["diverged"]:
    return float(f"{value:.5g}") if math.isfinite(value) else DIVERGED


def _write(task: str, entry: str, table: list[dict[str, Any]], preset: str, seeds: range, space: spaces.Name) -> Path:
    """Write the tuned file of a pair, beside the configuration of its entry."""
    metric = objective(config.task_spec(task).cls)
    best = (min if metric.better == "min" else max)(table, key=lambda row: row["objective"])
    values = {name: best[name] for name in sorted(config.entry(entry).search)}
    edges = []
    if len({row["objective"] for row in table}) > 1:  # where all trials tie, the best lies at no edge
        for name, value in values.items():
            tried = [row[name] for row in table]
            if isinstance(value, int | float) and value in (min(tried), max(tried)):
                edges.append(name)
    rounded = [
        row | {"objective": _rounded(row["objective"]), "seeds": [*map(_rounded, row["seeds"])]} for row in table
    ]
    content = TunedFile(
        preset=preset, trials=len(table), seeds=tuple(seeds), space=space, objective=metric.name,
        value=_rounded(best["objective"]), values=values, at_the_edge=tuple(edges), table=tuple(rounded),
    )  # fmt: skip
    first = entry.split("+")[0]
    folder = config.names("entry")[first].parents[len(Path(first).parts)]
    path = folder / "tuned" / task / f"{entry.replace('/', '_')}.yaml"
    text = "# Written by `bench tune`; chosen on validation, on seeds apart from the reported ones.\n"
    text += OmegaConf.to_yaml(OmegaConf.create(msgspec.to_builtins(content)))
    write_atomically(path, text.encode())
    return path
