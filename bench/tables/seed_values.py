"""One value a seed for every entry of a table, read from the cells of its planned rows.

A cell whose data, package or device was absent is missing. A failed cell keeps a value for ranking, its metric's penalty,
so that nobody gains by failing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.contract import Derived, Metric, Task
from bench.outcome import FAILED
from bench.records.record import Record

if TYPE_CHECKING:
    from bench.planning.plan import Row

Group = Literal["closed", "solver", "procedure"]
State = Literal["ok", "failed", "missing", "undefined"]
NAN = math.nan


@dataclass
class Joined:
    """A row of the plan, one entry on one task, with its records.

    cells: seed -> records in axis order (a single one, unless a derived metric ranks), None where a cell has no record.
    older: how many of the records are of older code. both: this machine's and the published record where both have one key.
    published: key of this machine's record -> key of the published record that it equals in every bit.
    """

    row: Row
    cells: dict[int, list[Record | None]] = field(default_factory=dict)
    older: int = 0
    both: list[Record] = field(default_factory=list)
    published: dict[str, str] = field(default_factory=dict)

    @property
    def entry(self) -> str:
        return self.row.entry

    @property
    def slots(self) -> tuple[str, ...]:
        return self.row.slots

    @property
    def division(self) -> str:
        return self.row.division

    @property
    def trials(self) -> int | None:
        """Tuning trials made here; 0 if the entry has nothing to tune, None if it was not tuned."""
        return self.row.trials


@dataclass
class Seed:
    """What one seed gave: `value` on the metric's own axis, penalties included for ranking."""

    state: State
    value: float = NAN
    censored: bool = False


@dataclass
class EntrySeeds:
    """A planned row with the values of its seeds; `rank` and `reason` are filled when the table is ranked."""

    plan: Joined
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

    def __init__(self, task: Task | type[Task], rows: Sequence[Joined]) -> None:
        self.task = task
        self.rows = rows
        self.derived: Derived | None = next((d for d in task.derived if d.metric.name == task.rank), None)
        self.metric = self.derived.metric if self.derived else next(m for m in task.metrics if m.name == task.rank)
        self.limit = getattr(getattr(task, "budget", None), "limit", None)  # a class has no budget yet, an instance has

    def worst(self, metric: Metric, seed: int, position: int) -> float:
        """The worst value that any entry has at this seed and position on the axis; NaN if no entry has one."""
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
        """One seed's value and state. A cell whose data, package or device was absent is missing, not failed."""
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
        """The derived metric of a group of cells. A diverged cell counts with its penalty; the group fails if all cells do."""
        grid, diverged = derived.grid.get(records[0].preset, ()), derived.metric.diverged
        if len(grid) != len(records):
            return Seed("missing")
        if all(record.status in FAILED for record in records):
            return Seed("failed", float(diverged) if isinstance(diverged, int | float) else NAN)
        filled = [
            record.metrics
            if record.status == "ok"
            else record.metrics | {m.name: self.penalty(m, record, position) for m in self.task.metrics}
            for position, record in enumerate(records)
        ]
        value = float(derived.reduce(grid, filled))
        return Seed("ok", value) if math.isfinite(value) else Seed("undefined")

    def entries(self) -> list[EntrySeeds]:
        """Every planned row with every planned seed; penalties that depend on the other entries are filled last."""
        seeds = sorted({seed for row in self.rows for seed in row.cells})
        entries = [EntrySeeds(row, {s: self.read(s, row.cells.get(s)) for s in seeds}) for row in self.rows]
        everywhere = _worst([s.value for e in entries for s in e.seeds.values() if s.state == "ok"], self.metric)
        for entry in entries:
            for number, seed in entry.seeds.items():
                if seed.state == "failed" and math.isnan(seed.value):
                    peers = [e.seeds[number].value for e in entries if e.seeds[number].state == "ok"]
                    seed.value = _worst(peers, self.metric) if peers else everywhere
        return entries


def _worst(values: Sequence[float], metric: Metric) -> float:
    return NAN if not values else max(values) if metric.better == "min" else min(values)
