"""Tuning: the same number of trials for every entry, on seeds of its own, chosen on validation data.

Every trial runs all tuning seeds (from 1000 up, so disjoint from the reported ones); the value of a trial is the mean of the
task's `objective` on the metric's scale, a diverged cell counting as its `diverged` value. The board's rates come from the
files this module writes, `configs/tuned/<task>/<entry>.yaml`, and from nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from bench import config, plan, runner
from bench.contract import BenchError, Metric
from bench.store import Store, write_atomically

FIRST_SEED = 1000


def grid(search: Mapping[str, Any], trials: int) -> list[dict[str, float]]:
    """`trials` settings. One path: a log grid between its bounds, or its given values. Several: bounds are walked
    together on shifted grids, so that each path sees `trials` different values (a rank-1 lattice).

    Raises BenchError for bounds that are no two positive numbers, or fewer given values than trials.
    """
    settings: list[dict[str, float]] = [{} for _ in range(trials)]
    for number, (path, space) in enumerate(sorted(search.items())):
        if isinstance(space, Mapping):
            values = list(space["values"])
            if len(values) < trials:
                raise BenchError(f"search of {path}: {len(values)} values for {trials} trials; give as many, or bounds")
            picks = [values[round(i * (len(values) - 1) / max(1, trials - 1))] for i in range(trials)]
        else:
            low, high = space
            if not 0 < low < high:
                raise BenchError(f"search of {path}: bounds {low}, {high} must satisfy 0 < low < high")
            ratio = math.log(high / low) / max(1, trials - 1)
            picks = [float(f"{low * math.exp(i * ratio):.4g}") for i in range(trials)]
        stride = 1 if number == 0 else next(s for s in range(2 * number, 99) if math.gcd(s, trials) == 1)
        for i, setting in enumerate(settings):
            setting[path] = picks[(i * stride) % trials]
    return settings


def _objective(task: Any) -> Metric:
    for metric in (*task.metrics, *(derived.metric for derived in task.derived)):
        if metric.name == task.objective:
            return metric
    raise BenchError(f"{task.name}: objective {task.objective!r} is none of its metrics")


def _values(row: plan.Row, store: Store, task: Any) -> list[float]:
    """The objective of each tuning seed of one trial; `diverged` stands in where a cell gave none."""
    metric = _objective(task)
    derived = next((d for d in task.derived if d.metric.name == metric.name), None)
    found = []
    for cells in row.planned.values():
        records = [store.get(cell.key) for cell in cells]
        metrics = [_filled(record, task) for record in records]
        if derived is not None:
            grid_values = [cell.params[derived.axis] for cell in cells]
            found.append(float(derived.reduce(grid_values, metrics)))
        else:
            found.append(metrics[0].get(metric.name, _worst(metric)))
    return found


def _filled(record: Mapping[str, Any] | None, task: Any) -> dict[str, float]:
    metrics = dict(record["metrics"]) if record else {}
    for metric in task.metrics:
        if metric.name not in metrics and metric.diverged is not None:
            first = metrics.get(f"initial_{metric.name}", math.inf)
            metrics[metric.name] = first if metric.diverged == "first" else float(metric.diverged)
    return metrics


def _worst(metric: Metric) -> float:
    if isinstance(metric.diverged, (int, float)):
        return float(metric.diverged)
    return math.inf if metric.better == "min" else -math.inf


def _mean(values: Sequence[float], metric: Metric) -> float:
    if metric.scale == "log":
        return (
            math.exp(sum(math.log(max(v, 1e-300)) for v in values) / len(values))
            if all(map(math.isfinite, values))
            else math.inf
        )
    return sum(values) / len(values)


def tune(request: config.Request, store: Store, trials: int, seeds: int) -> int:
    """Tune every (task, entry) pair of the request; returns an exit code."""
    if trials < 2 or seeds < 1:
        raise BenchError(f"tuning wants at least 2 trials and 1 seed, not {trials} and {seeds}")
    given = request.seeds
    if given:
        raise BenchError("tuning uses seeds of its own, apart from the reported ones; leave out seed=")
    settings = request.settings
    settings.tuned = False
    request.seeds = [FIRST_SEED + i for i in range(seeds)]
    pairs: dict[tuple[str, str], dict[str, Any]] = {}
    for task, entry, _, params in plan.pairs_of(request):
        pairs[(task, config.canonical(entry))] = params
    planner = plan.Planner(store, settings)
    rows: dict[tuple[str, str], list[tuple[dict[str, float], plan.Row]]] = {}
    for (task, entry), params in pairs.items():
        search = config.entry(entry).search
        for setting in grid(search, trials) if search else ():
            row = planner.row(task, entry, request.seeds, params, setting)
            rows.setdefault((task, entry), []).append((setting, row))
    planner.digests.save()
    whole = plan.Plan([row for group in rows.values() for _, row in group])
    summary = runner.run(whole, store, settings)
    if summary.interrupted:
        return 130
    for (task, entry), group in rows.items():
        path = _write(task, entry, group, store, str(settings.preset), request.seeds)
        print(f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")
    return 0


def _write(
    task: str, entry: str, group: list[tuple[dict[str, float], plan.Row]], store: Store, preset: str, seeds: list[int]
) -> Path:
    spec = config.task_spec(task)
    metric = _objective(spec.cls)
    table = [(setting, _mean(_values(row, store, spec.cls), metric)) for setting, row in group]
    choose = min if metric.better == "min" else max
    best, value = choose(table, key=lambda item: item[1])
    edges = [
        path
        for path in best
        if len({value for _, value in table}) > 1  # where all trials tie, nothing was found at an edge
        and best[path] in (min(s[path] for s, _ in table), max(s[path] for s, _ in table))
    ]
    content = {
        "preset": preset,
        "trials": len(table),
        "seeds": list(seeds),
        "objective": metric.name,
        "value": float(f"{value:.5g}"),
        "values": best,
        "at_the_edge": edges,
        "table": [
            {**setting, "objective": float(f"{v:.5g}") if math.isfinite(v) else "diverged"} for setting, v in table
        ],
    }
    home = config.names("entry").get(entry.split("+")[0])
    folder = home.parents[len(Path(entry.split("+")[0]).parts)] if home else config.PROJECT / "configs"
    path = folder / "tuned" / task / f"{entry.replace('/', '_')}.yaml"
    text = "# Written by `bench tune`; chosen on validation, on seeds apart from the reported ones.\n"
    write_atomically(path, (text + OmegaConf.to_yaml(OmegaConf.create(content))).encode())
    return path
