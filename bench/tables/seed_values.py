"""One value a seed for every entry of a table, read from the cells of its planned rows.

A cell whose data, package or device was absent is missing. A failed cell keeps a value for ranking, its metric's penalty,
so that nobody gains by failing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bench.contract import Metric, Task
from bench.outcome import FAILED
from bench.records.record import Record
from bench.tables import statistics

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
    def group(self) -> Group:
        if self.row.division == "open":
            return "procedure"
        return "solver" if "solver" in self.row.slots else "closed"

    @property
    def records(self) -> list[Record]:
        return [record for cell in self.cells.values() for record in cell if record is not None]


@dataclass
class Seed:
    """What one seed gave: `value` on the metric's own axis, penalties included for ranking."""

    state: State
    value: float = NAN
    censored: bool = False


class Reader:
    """Turns the cells of a task's rows into one value a seed of the metric `name`, by default the one that ranks."""

    def __init__(self, task: Task | type[Task], rows: Sequence[Joined], name: str = "") -> None:
        self.task, self.rows, name = task, rows, name or task.rank
        self.derived = next((derived for derived in task.derived if derived.metric.name == name), None)
        self.metric = self.derived.metric if self.derived else next(m for m in task.metrics if m.name == name)

    def interval(self, values: Sequence[float]) -> tuple[float, float, float]:
        """(centre, lo, hi) of one entry over the seeds that gave `values`, with the metric's sample and step.

        On the metric's scale, but for a time to target, whose mean counts the unreached at the budget.
        """
        metric, record = self.metric, next((record for row in self.rows for record in row.records), None)
        params, preset = (record.params, record.preset) if record else ({}, "")
        size, step = (params.get(x, 0) if isinstance(x, str) else x for x in (metric.sample, metric.step))
        sign = 1 if metric.better == "max" else -1
        away = float(step)  # from a value to the next better one that could have been read
        if self.derived is not None and metric.step == self.derived.axis and values:
            grid = sorted(sign * point for point in self.derived.grid.get(preset, ()))
            nearest = [next((point for point in grid if point > sign * x), math.inf) - sign * x for x in values]
            away = sum(nearest) / len(nearest)
        edges = (0.0, away) if metric.better == "max" else (away, 0.0)
        return statistics.interval(values, "linear" if metric.target else metric.scale, sample=int(size), step=edges)

    def read(self, cell: Sequence[Record | None]) -> Seed:
        """One seed's value and state. A cell whose data, package or device was absent is missing, not failed."""
        records = [record for record in cell if record is not None and record.status != "unavailable"]
        if not records or len(records) != len(cell):
            return Seed("missing")
        if self.derived is not None:
            return self._reduce(records)
        record, name = records[0], self.metric.name
        if record.status in FAILED:
            return Seed("failed", self._penalty(self.metric, record, 0), censored=True)
        if name not in record.metrics:
            return Seed("undefined")
        return Seed("ok", float(record.metrics[name]), name in record.censored)

    def _reduce(self, records: Sequence[Record]) -> Seed:
        """The derived metric of a group of cells. A diverged cell counts with its penalty; the group fails if all cells do."""
        assert self.derived is not None
        grid = self.derived.grid.get(records[0].preset, ())
        if len(grid) != len(records):
            return Seed("missing")
        if all(record.status in FAILED for record in records):
            return Seed("failed", self._penalty(self.metric, records[0], 0))
        filled = [record.metrics for record in records]
        for place, record in enumerate(records):
            if record.status != "ok":
                filled[place] = record.metrics | {m.name: self._penalty(m, record, place) for m in self.task.metrics}
        value = float(self.derived.reduce(grid, filled))
        return Seed("ok", value) if math.isfinite(value) else Seed("undefined")

    def _penalty(self, metric: Metric, record: Record, place: int) -> float:
        """What a failed cell's metric counts as: a time its budget's limit, others what they declare, or else the worst value
        of any entry at the cell's seed and place on the axis; NaN if there is none."""
        if metric.target is not None:
            task = self.task(self.task.Params(**record.params)) if isinstance(self.task, type) else self.task
            return float(task.budget.limit)
        declared = record.metrics.get(f"initial_{metric.name}") if metric.diverged == "first" else metric.diverged
        if declared is not None:
            return float(declared)
        cells = [cell for row in self.rows for cell in row.cells.get(record.seed, ())[place : place + 1]]
        good = [cell.metrics for cell in cells if cell is not None and cell.status == "ok"]
        return _worst((metrics[metric.name] for metrics in good if metric.name in metrics), metric)

    def seeds(self) -> list[list[Seed]]:
        """[rows][seeds that any row has]; penalties that depend on the other entries are filled last."""
        numbers = sorted({number for row in self.rows for number in row.cells})
        seeds = [[self.read(row.cells.get(number, ())) for number in numbers] for row in self.rows]
        everywhere = _worst((seed.value for row in seeds for seed in row if seed.state == "ok"), self.metric)
        for column in zip(*seeds, strict=True):
            worst = _worst((seed.value for seed in column if seed.state == "ok"), self.metric)
            for seed in column:
                if seed.state == "failed" and math.isnan(seed.value):
                    seed.value = everywhere if math.isnan(worst) else worst
        return seeds


def _worst(values: Iterable[float], metric: Metric) -> float:
    return (max if metric.better == "min" else min)(values, default=NAN)
