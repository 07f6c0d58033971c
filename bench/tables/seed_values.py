"""A plan's cells, read: one value a seed for every entry, with what failures and gaps count as.

A cell whose data, package or device was absent is missing. A failed one keeps a value for ranking, its metric's penalty,
so that nobody gains by failing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from bench.contract import Derived, Metric, Task
from bench.outcome import FAILED
from bench.records.record import Record

Group = Literal["closed", "solver", "procedure"]
State = Literal["ok", "failed", "missing", "undefined"]
NAN = math.nan


class Planned(Protocol):
    """What the plan says of one entry on one task.

    cells: seed -> records in axis order (one, unless a derived metric ranks), None for what has no record.
    trials: tuning trials made here; 0 if there is nothing to tune, None if the entry was not tuned. published: key of one's
    own record -> that of the published one that it repeats in every bit.
    """

    @property
    def entry(self) -> str: ...
    @property
    def slots(self) -> Sequence[str]: ...
    @property
    def division(self) -> str: ...
    @property
    def cells(self) -> Mapping[int, Sequence[Record | None] | None]: ...
    @property
    def trials(self) -> int | None: ...
    @property
    def published(self) -> Mapping[str, str]: ...


@dataclass
class Seed:
    """What one seed gave: `value` on the metric's own axis, penalties included for ranking."""

    state: State
    value: float = NAN
    censored: bool = False


@dataclass
class EntrySeeds:
    """A planned row with its seeds read."""

    plan: Planned
    seeds: dict[int, Seed] = field(default_factory=dict)
    rank: tuple[int, int] | None = None
    reason: str = ""

    @property
    def group(self) -> Group:
        if self.plan.division == "open":
            return "procedure"
        return "solver" if "solver" in self.plan.slots else "closed"

    @property
    def records(self) -> list[Record]:
        return [record for cell in self.plan.cells.values() for record in cell or () if record is not None]

    def values(self) -> np.ndarray:
        return np.array([seed.value for seed in self.seeds.values()])

    def count(self, state: State) -> int:
        return sum(seed.state == state for seed in self.seeds.values())


class Reader:
    """Turns cells into one value a seed."""

    def __init__(self, task: Task | type[Task], rows: Sequence[Planned]) -> None:
        self.task = task
        self.rows = rows
        self.derived: Derived | None = next((d for d in task.derived if d.metric.name == task.rank), None)
        self.metric = self.derived.metric if self.derived else next(m for m in task.metrics if m.name == task.rank)
        self.limit = getattr(getattr(task, "budget", None), "limit", None)  # a class has no budget yet, a task has

    def worst(self, metric: Metric, seed: int, position: int) -> float:
        """The worst value that any entry has at this seed and place on the axis; NaN if nobody has one."""
        cells = [(row.cells.get(seed) or ())[position : position + 1] for row in self.rows]
        good = [r.metrics for cell in cells for r in cell if r is not None and r.status == "ok"]
        return _worst([metrics[metric.name] for metrics in good if metric.name in metrics], metric)

    def penalty(self, metric: Metric, record: Record, position: int) -> float:
        """What a failed cell's metric counts as."""
        if metric.target is not None and self.limit is not None:
            return float(self.limit)
        if isinstance(metric.diverged, int | float):
            return float(metric.diverged)
        first = record.metrics.get(f"initial_{metric.name}") if metric.diverged == "first" else None
        return float(first) if first is not None else self.worst(metric, record.seed, position)

    def read(self, seed: int, cell: Sequence[Record | None] | None) -> Seed:
        """One seed's outcome. A cell whose data, package or device was absent is missing, not failed."""
        records = [record for record in cell or () if record is not None and record.status != "unavailable"]
        if not records or cell is None or len(records) != len(cell):
            return Seed("missing")
        if self.derived is not None:
            return self._reduce(self.derived, records)
        record, name = records[0], self.metric.name
        if record.status in FAILED:
            return Seed("failed", self.penalty(self.metric, record, 0), censored=True)
        if name not in record.metrics:
            return Seed("undefined")
        return Seed("ok", float(record.metrics[name]), name in record.censored)

    def _reduce(self, derived: Derived, records: Sequence[Record]) -> Seed:
        """A group of cells. A diverged one is part of what is measured; the group fails if nothing in it ended well."""
        grid, diverged = derived.grid.get(records[0].preset, ()), derived.metric.diverged
        if len(grid) != len(records):
            return Seed("missing")
        if all(record.status in FAILED for record in records):
            return Seed("failed", float(diverged) if isinstance(diverged, int | float) else NAN)
        filled = [
            record.metrics
            if record.status == "ok"
            else record.metrics | {m.name: self.penalty(m, record, place) for m in self.task.metrics}
            for place, record in enumerate(records)
        ]
        value = float(derived.reduce(grid, filled))
        return Seed("ok", value) if math.isfinite(value) else Seed("undefined")

    def entries(self) -> list[EntrySeeds]:
        """Every planned row with every planned seed; penalties that depend on the other entries are filled last."""
        seeds = sorted({seed for row in self.rows for seed in row.cells})
        entries = [EntrySeeds(row, {s: self.read(s, row.cells.get(s)) for s in seeds}) for row in self.rows]
        everywhere = _worst([s.value for e in entries for s in e.seeds.values() if s.state == "ok"], self.metric)
        for entry in entries:
            for seed, outcome in entry.seeds.items():
                if outcome.state == "failed" and math.isnan(outcome.value):
                    peers = [e.seeds[seed].value for e in entries if e.seeds[seed].state == "ok"]
                    outcome.value = _worst(peers, self.metric) if peers else everywhere
        return entries


def _worst(values: Sequence[float], metric: Metric) -> float:
    return NAN if not values else max(values) if metric.better == "min" else min(values)
