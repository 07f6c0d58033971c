"""The numbers of a figure's lines, from the records of its plans."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from bench.claims.claim import called
from bench.contract import BenchError, Task
from bench.planning import config
from bench.planning.files import FigureFile
from bench.records.record import Record
from bench.records.store import Store
from bench.tables.seed_values import Joined, Reader
from bench.tables.statistics import t_interval

Seeds = Mapping[int, tuple[Sequence[float], Sequence[float]]]  # seed -> x and y of one line
Piece = tuple[str, str, int, list[float], list[float]]  # series, name of the quantity on y, seed, x, y

ROOTS = ("params", "config", "costs", "metrics")  # parts of a record that a path may start with
MEASURED = ("cpu", "cpu_entry", "cpu_total", "wall", "rss_mb")  # costs that are measured, not counted


def _at(record: Record, path: str) -> Any:
    """The value at a path in a record; a bare name is a parameter. BenchError, naming what the record has, if it is absent."""
    names = path.split(".")
    costs = {**{name: getattr(record.costs, name) for name in MEASURED}, **record.costs.counts}
    whole = {"params": record.params, "config": record.config, "metrics": record.metrics, "costs": costs}
    node: Any = whole if names[0] in ROOTS and len(names) > 1 else record.params
    for place, name in enumerate(names):
        if not isinstance(node, Mapping) or name not in node:
            known = ", ".join(sorted(map(str, node))) if isinstance(node, Mapping) else repr(node)
            where = ".".join(names[:place]) or "the record"
            about = f"`{path}`: {record.task} {record.entry} has no {name!r} in {where}"
            raise BenchError(f"{about}; there is {known or 'nothing'}")
        node = node[name]
    return sum(node.values()) if path == "costs.cpu" else node  # the CPU seconds of all phases


def _x(record: Record, file: FigureFile) -> float:
    value = _at(record, file.x)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BenchError(f"`x: {file.x}` is {value!r} in {record.task} {record.entry}; an axis needs numbers")
    if file.x_scale == "log" and value <= 0:
        raise BenchError(f"`x: {file.x}` is {value:g}, which has no place on a log axis; choose `x_scale: linear`")
    return float(value)


def _label(record: Record, file: FigureFile, plan_label: str) -> str:
    parts = []
    for path in file.lines:
        if path in ("entry", "plan"):
            parts.append(record.entry if path == "entry" else plan_label)
            continue
        value = _at(record, path)
        shown = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
        parts.append(f"{path.rpartition('.')[2]}={shown}")
    return ", ".join(parts)


def pieces(
    file: FigureFile, measure: Callable[..., float] | None, plan_label: str, rows: Sequence[Joined], store: Store
) -> Iterable[Piece]:
    """The points that each record, or group of records with one measure or derived metric, gives to its line."""
    if measure is not None:
        yield from _measures(file, measure, plan_label, rows)
        return
    for row in rows:
        peers = [other for other in rows if other.row.cls is row.row.cls]
        derived = [metric.metric.name for metric in row.row.cls.derived if metric.metric.name in file.quantities]
        for seed, cell in row.cells.items():
            records = [record for record in cell if record is not None]
            for name in derived:
                y = Reader(row.row.cls, peers, name).read(records).value
                yield _label(records[0], file, plan_label), name, seed, [_x(records[0], file)], [y]
            for record in records:
                series = _label(record, file, plan_label)
                if file.x == "step":
                    yield from _curves(file, series, record, store)
                    continue
                for name in file.quantities:
                    if name not in derived:
                        yield series, name, seed, [_x(record, file)], [_value(row.row.cls, record, name)]


def _measures(
    file: FigureFile, measure: Callable[..., float], plan_label: str, rows: Sequence[Joined]
) -> Iterable[Piece]:
    """The measure of the records that share series, x and seed."""
    groups: dict[tuple[str, float, int], dict[str, list[Record]]] = {}
    for record in (record for row in rows for record in row.records):
        place = (_label(record, file, plan_label), _x(record, file), record.seed)
        groups.setdefault(place, {}).setdefault(record.entry, []).append(record)
    for (series, x, seed), given in groups.items():
        yield series, file.y_label or "", seed, [x], [called(measure, f"the measure, at seed {seed}", given)]


def _curves(file: FigureFile, series: str, record: Record, store: Store) -> Iterable[Piece]:
    curves = store.curves(record)
    for name in file.quantities:
        if name in curves:
            x, y = (list(map(float, axis)) for axis in curves[name])
            if record.status != "ok" and x:
                x, y = [*x, x[-1] + 1], [*y, math.nan]  # a NaN ends the line where the run failed
            yield series, name, record.seed, x, y
        elif record.status == "ok":
            raise config.unknown(f"curve of {record.task} {record.entry}", name, curves)


def _value(cls: type[Task], record: Record, name: str) -> float:
    """A metric, or the value at a path; for a failed cell the metric's penalty, or NaN, which is not drawn, without one."""
    if name.split(".")[0] in ROOTS:
        return float(_at(record, name)) if record.status == "ok" else math.nan
    return Reader(cls, (), name).read([record]).value


def line(file: FigureFile, seeds: Seeds) -> Any:
    """(x, centre, low, high) of a line over seeds, or (x, y, None, None) of all points of a cloud."""
    if file.draw == "points":
        x, y = (np.concatenate([np.asarray(axes[i], dtype=float) for axes in seeds.values()]) for i in (0, 1))
        return x, y, None, None
    x, table = (_on_steps if file.x == "step" else _on_values)(seeds)
    centre, low, high = (np.full(len(x), np.nan) for _ in range(3))
    for place, column in enumerate(table.T):
        values = column[np.isfinite(column)]
        if len(values):
            scale: Literal["linear", "log"] = "log" if file.y_scale == "log" and values.min() > 0 else "linear"
            centre[place], low[place], high[place] = t_interval(values, scale=scale)
            if file.centre == "median":
                centre[place] = np.median(values)
            if file.band == "range":
                low[place], high[place] = values.min(), values.max()
    return (x, centre, None, None) if file.band == "none" or len(seeds) < 2 else (x, centre, low, high)


def _on_values(seeds: Seeds) -> tuple[Any, Any]:
    """(x in order, table [seed, x]). BenchError if a seed has two values at one x."""
    x = sorted({value for xs, _ in seeds.values() for value in xs})
    table = np.full((len(seeds), len(x)), np.nan)
    for row, (seed, (xs, ys)) in enumerate(seeds.items()):
        if twice := [value for value in xs if list(xs).count(value) > 1]:
            where = f"seed {seed} share a series and x={twice[0]:g}"
            raise BenchError(f"several cells of {where}; let `series` tell them apart")
        table[row, np.searchsorted(x, xs)] = ys
    return np.array(x), table


def _on_steps(seeds: Seeds) -> tuple[Any, Any]:
    """(steps, table [seed, step]) on all steps that any seed has, linear between a seed's own.

    A run that reached its targets and stopped early keeps its last value.
    """
    for seed, (xs, _) in seeds.items():
        if any(b <= a for a, b in pairwise(xs)):
            raise BenchError(f"several cells of seed {seed} share a series; let `series` tell them apart")
    steps = np.array(sorted({step for xs, _ in seeds.values() for step in xs}))
    rows = [np.interp(steps, xs, ys, left=np.nan) for xs, ys in seeds.values() if len(xs)]
    return steps, np.array(rows).reshape(len(rows), len(steps))
