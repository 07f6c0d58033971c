"""`bench tune`: the same number of trials for every entry, on seeds apart from the reported ones, chosen on validation data.

Every trial runs all tuning seeds (from 1000 up); its value is the mean of the task's `objective` on the metric's scale, where a
diverged cell counts as its `diverged` value. The board takes tuned values from the files that this module writes,
`configs/tuned/<task>/<entry>.yaml`, and from nowhere else. Trials leave records like any other cells, so a second call runs
nothing, and the same command continues an interrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from msgspec import to_builtins
from omegaconf import OmegaConf

from bench.contract import BenchError, Metric
from bench.outcome import SETTLED
from bench.planning import config, plan
from bench.planning.files import TunedFile
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
    """The trial of a setting from its cells' records; a cell without the objective counts as its penalty."""
    metric = objective(task)
    derived = next((derived for derived in task.derived if derived.metric.name == metric.name), None)
    seeds = []
    for cells in row.planned.values():
        metrics = [_with_penalties(records[cell.key], task) for cell in cells]
        if derived is not None:
            seeds.append(float(derived.reduce([cell.params[derived.axis] for cell in cells], metrics)))
        else:
            seeds.append(metrics[0].get(metric.name, _worst(metric)))
    cpu = sum(records[cell.key].costs.cpu_total for cell in row.cells())
    with np.errstate(over="ignore"):
        mean = float(statistics.inverse(statistics.transform(seeds, metric.scale).mean(), metric.scale))
    return Trial(setting, mean if all(map(math.isfinite, seeds)) else _worst(metric), tuple(seeds), cpu)


def _with_penalties(record: Record, task: Any) -> dict[str, float]:
    """A record's metrics, with the `diverged` value of each that it lacks."""
    metrics = dict(record.metrics)
    for metric in task.metrics:
        if metric.name not in metrics and metric.diverged is not None:
            first = metrics.get(f"initial_{metric.name}", math.inf)
            metrics[metric.name] = first if metric.diverged == "first" else float(metric.diverged)
    return metrics


def _worst(metric: Metric) -> float:
    """What a trial without a result counts as."""
    if isinstance(metric.diverged, (int, float)):
        return float(metric.diverged)
    return math.inf if metric.better == "min" else -math.inf


def affordable(
    task: str, entries: Iterable[str], store: Store, settings: Settings, seeds: Sequence[int], budget: float
) -> int:
    """Trials that `budget` CPU seconds pay for all `entries` of a task, each the same number, by stored costs.

    Costs of reported seeds count, so that an interrupted call plans the same number again; those of earlier trials only
    where there are no others. Trials that have run already count in full.
    Raises BenchError if some entry has no stored cost, or the budget does not pay two trials.
    """
    planner, preset = plan.Planner(store, settings), settings.preset
    known: dict[tuple[str, bool], list[float]] = {}  # (entry, whether of a tuning seed) -> CPU seconds of its cells
    for source in (store.published([task]), store.records()):
        for record in source:
            cost = record.costs.cpu_total
            if (record.task, record.preset) == (task, preset) and cost and record.status in SETTLED:
                known.setdefault((record.entry, record.seed >= TUNING_FROM), []).append(cost)
    once, missing = 0.0, []  # CPU seconds of one trial of every entry
    for entry in entries:
        costs = known.get((entry, False)) or known.get((entry, True))
        if costs is None:
            missing.append(entry)
        else:
            cells = [*planner.row(task, entry, seeds, {}, {}).cells()]
            once += len(cells) * sum(costs) / len(costs)
    if missing:
        raise BenchError(
            f"--budget: no stored cost of {', '.join(missing)} on {task} at preset {preset}; "
            f"`bench run task={task} entry={','.join(missing)} preset={preset}` makes one, or give --trials"
        )
    trials = int(budget / once) if once else 0
    if trials < 2:
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
        raise BenchError(
            f"tuning is of a preset as it stands; leave out {fixed[0]}=, or put it into the task or the entry"
        )
    pairs: dict[str, dict[str, None]] = {}
    for task, entry, _, params in plan.pairs_of(request):
        name = config.canonical(entry)
        if not params and config.entry(name).search:
            pairs.setdefault(task, {})[name] = None
    return {task: [*entries] for task, entries in pairs.items()}


@dataclass(frozen=True)
class Tuned:
    """How tuning ended. paths: files written. unfinished: (task, entry) some of whose trials have no result."""

    ran: int = 0
    fresh: int = 0
    trials: Mapping[str, int] | None = None  # of each entry, by task
    paths: tuple[Path, ...] = ()
    unfinished: tuple[tuple[str, str], ...] = ()
    interrupted: bool = False

    @property
    def code(self) -> int:
        """Exit code: 130 if interrupted, 1 if trials have no result."""
        return 130 if self.interrupted else int(bool(self.unfinished))


def tune(
    request: config.Request, store: Store, trials: int = TRIALS, seeds: int = SEEDS, space: str = "lattice",
    budget: float | None = None,
) -> Tuned:  # fmt: skip
    """Tune every (task, entry) pair of the request and write their files. budget: CPU seconds a task, instead of `trials`.

    space: "lattice", "random" or "given" (`bench.tuning.spaces`). BenchError for fewer than two trials or too many seeds.
    """
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
            groups[task, entry] = [(setting, planner.row(task, entry, numbers, {}, setting)) for setting in tried]
    planner.digests.save()
    summary = sweep.run(plan.Plan([row for group in groups.values() for _, row in group]), store, settings)
    if summary.interrupted:
        return Tuned(summary.ran, summary.fresh, counts, interrupted=True)
    paths, unfinished = [], []
    for (task, entry), group in groups.items():
        records = store.latest(cell.key for _, row in group for cell in row.cells())
        # Absent packages, cells that another sweep still runs, and a group without any result are no verdict on the entry.
        run = all(c.key in records and records[c.key].status != "unavailable" for _, row in group for c in row.cells())
        if not run or not any(record.settled for record in records.values()):
            unfinished.append((task, entry))
            continue
        table = [_trial(setting, row, records, config.task_spec(task).cls) for setting, row in group]
        paths.append(_write(task, entry, table, settings.preset, numbers, space))
    return Tuned(summary.ran, summary.fresh, counts, tuple(paths), tuple(unfinished))


def _rounded(value: float) -> float | Literal["diverged"]:
    return float(f"{value:.5g}") if math.isfinite(value) else DIVERGED


def _write(task: str, entry: str, trials: list[Trial], preset: str, seeds: list[int], space: Any) -> Path:
    """Write the tuned file of a pair, beside the configuration of its entry."""
    metric = objective(config.task_spec(task).cls)
    best = (min if metric.better == "min" else max)(trials, key=lambda trial: trial.value)
    edges = []
    for name, value in best.setting.items():
        tried = [trial.setting[name] for trial in trials]
        if isinstance(value, int | float) and value in (min(tried), max(tried)):
            edges.append(name)
    if len({trial.value for trial in trials}) == 1:
        edges = []  # where all trials tie, the best lies at no edge
    table = [
        {**trial.setting, "objective": _rounded(trial.value), "seeds": [*map(_rounded, trial.seeds)],
         "cpu_seconds": float(f"{trial.cpu_seconds:.4g}")}
        for trial in trials
    ]  # fmt: skip
    content = TunedFile(
        preset=preset, trials=len(trials), seeds=tuple(seeds), space=space, objective=metric.name,
        value=_rounded(best.value), values=best.setting, at_the_edge=tuple(edges), table=tuple(table),
    )  # fmt: skip
    first = entry.split("+")[0]
    home = config.names("entry").get(first)
    folder = home.parents[len(Path(first).parts)] if home else config.PROJECT / "configs"
    path = folder / "tuned" / task / f"{entry.replace('/', '_')}.yaml"
    text = "# Written by `bench tune`; chosen on validation, on seeds apart from the reported ones.\n"
    write_atomically(path, (text + OmegaConf.to_yaml(OmegaConf.create(to_builtins(content)))).encode())
    return path
