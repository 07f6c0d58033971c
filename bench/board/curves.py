"""The learning curves of a table for its page: a median and a band over seeds, with few points and short numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.board.numbers import several
from bench.records.ledger import thin
from bench.records.record import Record
from bench.tables.seed_values import Joined

POINTS = 60


def band(runs: Sequence[tuple[Sequence[float], Sequence[float], bool]]) -> tuple[list[float], Any, Any, Any]:
    """(steps, median, lowest, highest over seeds) on at most `POINTS` of all steps that any run has.

    runs: (steps, values, ended well), linear between a run's own steps. A run that reached its targets and stopped early
    keeps its last value; a failed run has no value after its end.
    """
    steps = sorted({float(step) for xs, _, _ in runs for step in xs})
    if len(steps) > POINTS:
        steps = thin([steps, steps], POINTS)[0]
    table = np.array([np.interp(steps, xs, ys, left=np.nan, right=None if ok else np.nan) for xs, ys, ok in runs])
    table = table[:, known := np.isfinite(table).any(axis=0)]
    bands = np.full((3, len(steps)), np.nan)
    bands[:, known] = np.nanmedian(table, 0), np.nanmin(table, 0), np.nanmax(table, 0)
    return steps, *bands


def of_table(
    rows: Sequence[Joined], order: Mapping[str, int], axis: str | None, read: Callable[[Record], Mapping[str, Any]]
) -> dict[str, Any]:
    """Every curve of every row.

    order: entry -> its place in the table. axis: of a derived metric, whose values `at` keep the curves of its cells apart.
    read: a record's curves, name -> (steps, values). Returns names, at, xs (each list of steps once), and lines, each
    [place, name, at, x, median, low, high, seeds] where name, at and x are indices and low and high are 0 for a single seed.
    """
    groups: dict[tuple[int, str, Any], list[tuple[Any, Any, bool]]] = {}
    for row in rows:
        for records in row.cells.values():
            for record in records or ():
                if record is None:
                    continue
                at = record.params.get(axis) if axis else None
                for name, (xs, ys) in read(record).items():
                    if len(xs):
                        run = (np.asarray(xs, float), np.asarray(ys, float), record.status == "ok")
                        groups.setdefault((order[row.entry], name, at), []).append(run)
    names, ats = (list(dict.fromkeys(key[i] for key in groups)) for i in (1, 2))
    grids: dict[tuple[float, ...], int] = {}  # lists of steps, each with its index
    lines = []
    for (place, name, at), runs in groups.items():
        steps, mid, low, high = band(runs)
        x = grids.setdefault(tuple(steps), len(grids))
        edges = [several(low), several(high)] if len(runs) > 1 else [0, 0]
        lines.append([place, names.index(name), ats.index(at), x, several(mid), *edges, len(runs)])
    return {"names": names, "axis": axis, "at": ats, "xs": [list(steps) for steps in grids], "lines": lines}
