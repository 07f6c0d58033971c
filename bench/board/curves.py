"""The learning curves of a table as a page draws them: a line and a band over seeds, few points, short numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.records.ledger import thin
from bench.records.record import Record
from bench.tables.seed_values import Joined

POINTS = 60


def plain(values: Any) -> list[float | None]:
    """Four significant digits; None for what is not finite."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in map(float, values)]


def band(runs: Sequence[tuple[Sequence[float], Sequence[float], bool]]) -> tuple[list[float], Any, Any, Any]:
    """(steps, median, lowest, highest over seeds) on at most `POINTS` of all steps that any run has.

    runs: (steps, values, ended well), linear between a run's own steps. A run that stopped early, its targets reached,
    keeps its last value; one that failed has none after its end.
    """
    steps = sorted({float(step) for xs, _, _ in runs for step in xs})
    if len(steps) > POINTS:
        steps = thin([steps, steps], POINTS)[0]
    table = np.array([np.interp(steps, xs, ys, left=np.nan, right=None if ok else np.nan) for xs, ys, ok in runs])
    there = np.isfinite(table).any(axis=0)
    out = np.full((3, len(steps)), np.nan)
    out[:, there] = np.nanmedian(table[:, there], 0), np.nanmin(table[:, there], 0), np.nanmax(table[:, there], 0)
    return steps, *out


def of_table(
    rows: Sequence[Joined], order: Mapping[str, int], axis: str | None, read: Callable[[Record], Mapping[str, Any]]
) -> dict[str, Any]:
    """Every curve of every row.

    order: entry -> its place in the table. axis: of a derived metric; its cells' curves stay apart, by `at`. read: a
    record's curves, name -> (steps, values). Returns names, at, xs (each list of steps once), and lines, each
    [place, name, at, x, median, low, high, seeds] where name, at and x are indices and low is 0 for a single seed.
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
    xs_known: dict[tuple[float, ...], int] = {}
    lines = []
    for (place, name, at), runs in groups.items():
        steps, mid, low, high = band(runs)
        x = xs_known.setdefault(tuple(steps), len(xs_known))
        edges = [plain(low), plain(high)] if len(runs) > 1 else [0, 0]
        lines.append([place, names.index(name), ats.index(at), x, plain(mid), *edges, len(runs)])
    return {"names": names, "axis": axis, "at": ats, "xs": [list(xs) for xs in xs_known], "lines": lines}
