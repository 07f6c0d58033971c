"""`bench tune`: the same number of trials for every entry, on seeds apart from the reported ones, chosen on validation data.

A trial's value is the mean of the task's `objective` over all tuning seeds, on the metric's scale. The board takes tuned values
from the files that this module writes, and from nowhere else. Trials leave records like any other cells, so a second call
runs nothing, and the same command continues an interrupted one. The settings of an entry's trials are the same everywhere:

search: {optimizer.lr: [1.0e-3, 1.0]}                    two positive bounds: searched on a log scale
search: {optimizer.lr: {values: [0.01, 0.03, 0.1]}}      a list
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from omegaconf import OmegaConf

from bench.contract import BenchError, Metric
from bench.outcome import SETTLED
from bench.planning import config, plan
from bench.planning.files import TunedFile
from bench.planning.plan import TUNING_FROM, TUNING_SEEDS
from bench.records.files import write_atomically
from bench.records.record import Record
from bench.records.spelling import blake
from bench.records.store import Store
from bench.running import sweep
from bench.tables import statistics
from bench.tuning.trials import DIVERGED, objective

Setting = dict[str, Any]
Space = Literal["lattice", "random", "given"]


def _log_point(path: str, bounds: Any, share: float) -> float:
    """The point at `share` (0 to 1) of the way between two positive bounds on a log scale, to four digits."""
    low, high = bounds
    if not 0 < low < high:
        raise BenchError(f"search of {path}: bounds {low}, {high} must satisfy 0 < low < high")
    return float(f"{low * (high / low) ** share:.4g}")


def grid(search: Mapping[str, Any], trials: int) -> list[Setting]:
    """`trials` different settings. One path: a log grid between its bounds, or its given values. Several: all are walked together
    on shifted grids, so that each sees `trials` different values (a rank-1 lattice), or all of a shorter list equally often.
    BenchError if every path is a list of fewer values."""
    lists = {path: len(space["values"]) for path, space in search.items() if isinstance(space, Mapping)}
    if lists and len(lists) == len(search) and max(lists.values()) < trials:
        path, count = max(lists.items(), key=lambda item: item[1])
        raise BenchError(f"search of {path}: {count} values for {trials} trials; give as many, or bounds")
    settings: list[Setting] = [{} for _ in range(trials)]
    for number, (path, space) in enumerate(sorted(search.items())):
        if isinstance(space, Mapping):
            values = space["values"]
            step = (len(values) - 1) / max(1, trials - 1) if len(values) >= trials else 0.0
            picks = [values[round(i * step) if step else i * len(values) // trials] for i in range(trials)]
        else:
            picks = [_log_point(path, space, i / max(1, trials - 1)) for i in range(trials)]
        stride = 1 if number == 0 else next(s for s in range(2 * number, 99) if math.gcd(s, trials) == 1)
        for i, setting in enumerate(settings):
            setting[path] = picks[(i * stride) % trials]
    return settings


def _generator(task: str, entry: str) -> random.Random:
    """The same draws for a task and an entry everywhere; `random()` alone is the same in every Python."""
    return random.Random(int(blake(f"{task} {entry}")[:16], 16))


def drawn(search: Mapping[str, Any], trials: int, task: str, entry: str) -> list[Setting]:
    """`trials` different settings, log-uniform between bounds and uniform over given values; the first k of n are those of k
    trials. BenchError for lists with fewer combinations than trials."""
    lists = [len(space["values"]) for space in search.values() if isinstance(space, Mapping)]
    if len(lists) == len(search) and math.prod(lists) < trials:
        raise _too_few(search, math.prod(lists), trials, "give bounds")
    rng = _generator(task, entry)
    settings: list[Setting] = []
    while len(settings) < trials:
        setting: Setting = {}
        for path, space in sorted(search.items()):
            share, values = rng.random(), space["values"] if isinstance(space, Mapping) else ()
            setting[path] = values[int(share * len(values))] if values else _log_point(path, space, share)
        if setting not in settings:
            settings.append(setting)
    return settings


def given(search: Mapping[str, Any], trials: int, task: str, entry: str) -> list[Setting]:
    """`trials` of the combinations of the listed values, in their order; of more combinations, a seeded draw. BenchError if
    there are fewer, or if a path has bounds instead of a list."""
    for path, space in search.items():
        if not isinstance(space, Mapping):
            raise BenchError(f"search of {path}: --space given wants a list, such as {path}: {{values: [0.01, 0.1]}}")
    paths = sorted(search)
    combinations = [dict(zip(paths, values, strict=True)) for values in product(*(search[p]["values"] for p in paths))]
    if (count := len(combinations)) < trials:
        raise _too_few(search, count, trials, f"ask for --trials {count} of every entry")
    rng = _generator(task, entry)
    chosen = sorted(range(count), key=[rng.random() for _ in combinations].__getitem__)[:trials]
    return [combinations[i] for i in sorted(chosen)]


def _too_few(search: Mapping[str, Any], count: int, trials: int, advice: str) -> BenchError:
    counts = f"{count} combinations of given values for {trials} trials"
    return BenchError(f"search of {', '.join(sorted(search))}: {counts}; list more, or {advice}")


def settings_of(space: Space, task: str, entry: str, trials: int) -> list[Setting]:
    """The trials of an entry on a task."""
    search = config.entry(entry).search
    if space == "lattice":
        return grid(search, trials)
    return (drawn if space == "random" else given)(search, trials, task, entry)


def _penalty(metric: Metric, metrics: Mapping[str, float]) -> float:
    """What a metric that a record lacks counts as: its `diverged` value if it has one, else the worst."""
    if isinstance(metric.diverged, int | float):
        return float(metric.diverged)
    return metrics.get(f"initial_{metric.name}", math.inf if metric.better == "min" else -math.inf)


def _trial(setting: Setting, row: plan.Row, records: Mapping[str, Record], task: Any) -> dict[str, Any]:
    """The row of a tuned file's table, not rounded: the setting, the objective as mean and by seed, CPU seconds of all cells.

    Of what a failed cell lacks, only the penalties that metrics declare are filled in: another metric may describe the problem,
    such as the loss that counts as learned, and made infinite it would let a derived objective reward the failure.
    """
    metric = objective(task)
    derived = next((derived for derived in task.derived if derived.metric.name == metric.name), None)
    seeds = []
    for cells in row.planned.values():
        known = [records[cell.key].metrics for cell in cells]
        if derived is not None:
            penalised = [m for m in task.metrics if m.diverged is not None]
            metrics = [{m.name: _penalty(m, given) for m in penalised} | given for given in known]
            seeds.append(float(derived.reduce([cell.params[derived.axis] for cell in cells], metrics)))
        else:
            seeds.append(known[0].get(metric.name, _penalty(metric, known[0])))
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


def tune(request: config.Request, store: Store, trials: int, seeds: int, space: Space, budget: float | None) -> Tuned:
    """Tune every (task, entry) pair of the request and write their files. budget: CPU seconds a task, instead of `trials`.
    BenchError for fewer than two trials or too many seeds."""
    if trials < 2 or not 1 <= seeds <= TUNING_SEEDS:
        raise BenchError(f"tuning wants at least 2 trials and 1 to {TUNING_SEEDS} seeds, not {trials} and {seeds}")
    settings = msgspec.structs.replace(request.settings, tuned=False)
    numbers = range(TUNING_FROM, TUNING_FROM + seeds)
    planner = plan.Planner(store, settings)
    groups: dict[tuple[str, str], list[tuple[Setting, plan.Row]]] = {}
    counts: dict[str, int] = {}
    for task, entries in _pairs(request).items():
        counts[task] = trials if budget is None else affordable(planner, store, task, entries, numbers, budget)
        for entry in entries:
            tried = settings_of(space, task, entry, counts[task])
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


def _write(task: str, entry: str, table: list[dict[str, Any]], preset: str, seeds: range, space: Space) -> Path:
    """Write the tuned file of a pair, beside the configuration of its entry."""
    metric = objective(config.task_spec(task).cls)
    best = (min if metric.better == "min" else max)(table, key=lambda row: row["objective"])
    values = {name: best[name] for name in sorted(config.entry(entry).search)}
    tied = len({row["objective"] for row in table}) == 1  # then the best lies at no edge
    ranges = {name: [row[name] for row in table] for name, v in values.items() if isinstance(v, int | float)}
    edges = (name for name, tried in ranges.items() if not tied and values[name] in (min(tried), max(tried)))
    rounded = (r | {"objective": _rounded(r["objective"]), "seeds": [*map(_rounded, r["seeds"])]} for r in table)
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
