"""From the records of a figure's plan to the numbers of its lines (see bench.figures.gallery)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.contract import BenchError, Metric, Task
from bench.planning import config
from bench.records.record import Record
from bench.records.store import Store
from bench.tables.seed_values import Joined
from bench.tables.seed_values import Reader
from bench.tables.statistics import t_interval

if TYPE_CHECKING:
    from bench.figures.gallery import FigureSpec

Seeds = Mapping[int, tuple[Sequence[float], Sequence[float]]]  # seed -> x and y of one line
Piece = tuple[str, str, int, list[float], list[float]]  # series, name of what is on y, seed, x, y
Rows = Sequence[tuple[type[Task], Joined]]

ROOTS = ("params", "config", "costs", "metrics")  # parts of a record that a path may start with
MEASURED = ("cpu", "cpu_entry", "cpu_total", "wall", "rss_mb")  # costs beside what is counted


def _at(record: Record, path: str) -> Any:
    """What stands at a path; a bare name is a parameter."""
    names = path.split(".")
    costs = {**{name: getattr(record.costs, name) for name in MEASURED}, **record.costs.counts}
    whole = {"params": record.params, "config": record.config, "metrics": record.metrics, "costs": costs}
    node: Any = whole if names[0] in ROOTS and len(names) > 1 else record.params
    for place, name in enumerate(names):
        if not isinstance(node, Mapping) or name not in node:
            there = ", ".join(sorted(map(str, node))) if isinstance(node, Mapping) else repr(node)
            where = ".".join(names[:place]) or "the record"
            raise BenchError(
                f"`{path}`: {record.task} {record.entry} has no {name!r} in {where}; there is {there or 'nothing'}"
            )
        node = node[name]
    return node


def _number(record: Record, path: str) -> Any:
    """What stands at a path, or the sum of the numbers in it: `costs.cpu` is the CPU seconds of all phases."""
    value = _at(record, path)
    return sum(value.values()) if isinstance(value, Mapping) and path.startswith("costs") else value


def _x(record: Record, figure: FigureSpec) -> float:
    value = _number(record, figure.x)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BenchError(f"`x: {figure.x}` is {value!r} in {record.task} {record.entry}; an axis needs numbers")
    if figure.x_scale == "log" and value <= 0:
        raise BenchError(f"`x: {figure.x}` is {value:g}, which has no place on a log axis; choose `x_scale: linear`")
    return float(value)


def _label(record: Record, figure: FigureSpec, plan_label: str) -> str:
    parts = []
    for path in figure.series:
        if path in ("entry", "plan"):
            parts.append(record.entry if path == "entry" else plan_label)
            continue
        value = _at(record, path)
        shown = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
        parts.append(f"{path.rpartition('.')[2]}={shown}")
    return ", ".join(parts)


def pieces(figure: FigureSpec, plan_label: str, rows: Rows, store: Store) -> Iterable[Piece]:
    """Every line's pieces."""
    if figure.measure is not None:
        yield from _measures(figure, figure.measure, plan_label, rows)
        return
    for cls, row in rows:
        peers = [one for other, one in rows if other is cls]
        derived = {one.metric.name: one for one in cls.derived if one.metric.name in figure.y}
        for seed, cell in row.cells.items():
            records = [record for record in cell if record is not None]
            for name, one in derived.items():
                reader = Reader(cls, peers)
                reader.derived, reader.metric = one, one.metric
                x, y = _x(records[0], figure), reader.read(seed, records).value
                yield _label(records[0], figure, plan_label), name, seed, [x], [y]
            for record in records:
                series = _label(record, figure, plan_label)
                if figure.x == "step":
                    for name, steps, values in _curves(figure, record, store):
                        yield series, name, seed, steps, values
                    continue
                for name in figure.y:
                    if name not in derived:
                        yield series, name, seed, [_x(record, figure)], [_value(cls, record, name)]


def _measures(figure: FigureSpec, measure: Callable[..., float], plan_label: str, rows: Rows) -> Iterable[Piece]:
    """The measure of the records that share series, x and seed."""
    groups: dict[tuple[str, float, int], dict[str, list[Record]]] = {}
    for _, row in rows:
        for seed, cell in row.cells.items():
            for record in cell:
                if record is not None:
                    place = (_label(record, figure, plan_label), _x(record, figure), seed)
                    groups.setdefault(place, {}).setdefault(record.entry, []).append(record)
    for (series, x, seed), given in groups.items():
        yield series, figure.y_label, seed, [x], [_measured(measure, given, seed)]


def _curves(figure: FigureSpec, record: Record, store: Store) -> Iterable[tuple[str, list[float], list[float]]]:
    curves = store.curves(record)
    for name in figure.y:
        if name in curves:
            x, y = (list(map(float, axis)) for axis in curves[name])
            if record.status != "ok" and x:
                x, y = [*x, x[-1] + 1], [*y, math.nan]  # it ends here, and its last value is not kept
            yield name, x, y
        elif record.status == "ok":
            raise config.unknown(f"curve of {record.task} {record.entry}", name, curves)


def _measured(measure: Callable[..., float], given: Mapping[str, Sequence[Record]], seed: int) -> float:
    try:
        return float(measure(given))
    except Exception as error:  # a measure is anybody's code; what it raises is told
        text = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        raise BenchError(f"the measure, at seed {seed}: {text}") from error


def _value(cls: type[Task], record: Record, name: str) -> float:
    """A metric, or what stands at a path; NaN, which is not drawn, where there is nothing and nothing to count it as."""
    if name.split(".")[0] in ROOTS:
        return float(_number(record, name)) if record.status == "ok" else math.nan
    metric: Metric = next(one for one in cls.metrics if one.name == name)
    if record.status == "ok":
        return float(record.metrics.get(name, math.nan))
    if metric.target is not None:
        return float(cls(cls.Params(**record.params)).budget.limit)
    if metric.diverged == "first":
        return float(record.metrics.get(f"initial_{name}", math.nan))
    return math.nan if metric.diverged is None else float(metric.diverged)


def line(figure: FigureSpec, seeds: Seeds) -> Any:
    """(x, centre, low, high) of a line over seeds, or (x, y, None, None) of all points of a cloud."""
    if figure.draw == "points":
        flat = [np.concatenate([np.asarray(one[axis], dtype=float) for one in seeds.values()]) for axis in (0, 1)]
        return flat[0], flat[1], None, None
    x, table = (_on_steps if figure.x == "step" else _on_values)(seeds)
    centre, low, high = (np.full(len(x), np.nan) for _ in range(3))
    for place, column in enumerate(table.T):
        values = column[np.isfinite(column)]
        if len(values):
            centre[place], low[place], high[place] = _over_seeds(figure, values)
    return (x, centre, None, None) if figure.band == "none" or len(seeds) < 2 else (x, centre, low, high)


def _over_seeds(figure: FigureSpec, values: Any) -> tuple[float, float, float]:
    scale: Literal["linear", "log"] = "log" if figure.y_scale == "log" and values.min() > 0 else "linear"
    mean, low, high = t_interval(values, scale=scale)
    if figure.band == "range":
        low, high = float(values.min()), float(values.max())
    return (mean if figure.centre == "mean" else float(np.median(values))), low, high


def _on_values(seeds: Seeds) -> tuple[Any, Any]:
    """(x in order, table [seed, x]); two values at one place of one seed are an error."""
    x = sorted({value for one in seeds.values() for value in one[0]})
    table = np.full((len(seeds), len(x)), np.nan)
    for row, (seed, one) in enumerate(seeds.items()):
        if len(set(one[0])) < len(one[0]):
            twice = next(value for value in one[0] if list(one[0]).count(value) > 1)
            raise BenchError(
                f"several cells of seed {seed} share a series and x={twice:g}; let `series` tell them apart"
            )
        for value, y in zip(*one, strict=True):
            table[row, x.index(value)] = y
    return np.array(x), table


def _on_steps(seeds: Seeds) -> tuple[Any, Any]:
    """(steps, table [seed, step]) on all steps that any seed has, linear between a seed's own.

    A run that stopped early, its targets reached, keeps its last value.
    """
    for seed, one in seeds.items():
        if any(b <= a for a, b in zip(one[0], one[0][1:], strict=False)):
            raise BenchError(f"several cells of seed {seed} share a series; let `series` tell them apart")
    steps = np.array(sorted({step for one in seeds.values() for step in one[0]}))
    rows = [np.interp(steps, one[0], one[1], left=np.nan) for one in seeds.values() if len(one[0])]
    return steps, np.array(rows).reshape(len(rows), len(steps))
