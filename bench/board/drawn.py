"""The figures a task names for itself, drawn from the joined rows of its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.contract import Figure, Task
from bench.figures import drawing
from bench.records.store import Store
from bench.tables.join import Joined


def draw(figure: Figure, rows: Sequence[Joined], task: Task, store: Store) -> str:
    """The figure as SVG from the first seed's curves, or every seed's points; empty without records."""
    good = [
        (j.entry, [r for cell in j.cells.values() for r in cell if r is not None and r.status == "ok"]) for j in rows
    ]
    good = [(entry, records) for entry, records in good if records]
    if not good:
        return ""
    name = figure.names[0]
    if figure.kind == "delay":
        curves = {entry: store.curves(records[0]) for entry, records in good}
        pair = [{e: _series(c[n]) for e, c in curves.items() if n in c} for n in figure.names]
        return drawing.delay(pair[0], pair[1], level=_level(task))
    if figure.kind == "horizon":
        curves = {entry: store.curves(records[0]) for entry, records in good}
        return drawing.horizon({e: _series(c[name]) for e, c in curves.items() if name in c})
    if figure.kind == "sensitivity":
        axis = task.derived[0].axis
        points = {e: _means([(r.params[axis], r.metrics.get(name, math.nan)) for r in rs]) for e, rs in good}
        return drawing.sensitivity(points)
    cost = {e: [sum(r.costs.cpu.get(p, 0.0) for p in ("setup", "train", "predict")) for r in rs] for e, rs in good}
    return drawing.ladder({e: (cost[e], [r.metrics.get(name, math.nan) for r in rs]) for e, rs in good})


def _series(points: Any) -> tuple[list[float], list[float]]:
    return list(points[0]), list(points[1])


def _level(task: Task) -> float:
    return next((metric.target.value for metric in task.metrics if metric.target is not None), 0.99)


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """x values in order, and the mean of their finite y values."""
    found: dict[float, list[float]] = {}
    for x, y in pairs:
        if math.isfinite(y):
            found.setdefault(x, []).append(y)
    xs = sorted(found)
    return xs, [sum(found[x]) / len(found[x]) for x in xs]
