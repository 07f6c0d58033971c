"""A plan joined with its records: one table for one task, typed, before anybody thinks of how it looks.

The table holds what was planned, never "all records": a planned cell without a record keeps its entry from being
ranked. Failures are counted, kept out of intervals, and valued in rankings, so that nobody gains by failing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

from bench import stats
from bench.contract import Derived, Metric, Task

Record = Mapping[str, Any]
Group = Literal["closed", "solver", "procedure"]
State = Literal["ok", "failed", "missing", "undefined"]
GROUPS: tuple[Group, ...] = ("closed", "solver", "procedure")
FAILED = ("diverged", "failed", "timeout", "oom", "crashed")
SCOPE = "over seeds of these tasks; says nothing about new tasks"
PROVISIONAL = 5  # with fewer seeds a rank is provisional
NAN = math.nan


class Planned(Protocol):
    """What the plan says of one entry on one task.

    cells: seed -> records in axis order (one, unless a derived metric ranks), None for what has no record.
    trials: tuning trials made here; 0 if there is nothing to tune, None if the entry was not tuned.
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


@dataclass(frozen=True)
class Costs:
    """Means over the cells that ended well; NaN where unknown. CPU and wall in seconds, memory in MB, others counts."""

    setup: float = NAN
    train: float = NAN
    predict: float = NAN
    cpu_total: float = NAN
    wall: float = NAN
    rss_mb: float = NAN
    steps: float = NAN
    samples: float = NAN
    evals: float = NAN
    parameters: float = NAN

    @property
    def own(self) -> float:
        """CPU seconds of the entry itself, all phases: neither the harness nor evaluations."""
        return self.setup + self.train + self.predict


@dataclass(frozen=True)
class Row:
    """One entry. NaN stands for what cannot be told.

    rank: range of ranks within the group, or None, and `reason` says why. value, lo, hi: centre and 95 % interval over
    seeds; without failures only (a time to target: the capped mean, which counts failures). median, low, high: of the
    seeds that ended well; a time's median counts the others as beyond the budget. skills: one a seed, a failed one 0.
    seeds: with a record; ok: of these, ended well, with its Clopper-Pearson interval. missing: planned seeds without.
    failures: cells by reason. others: means of the task's other metrics, each on its own scale.
    """

    entry: str
    group: Group
    slots: tuple[str, ...]
    division: str
    anchor: Literal["", "floor", "reference"]
    rank: tuple[int, int] | None
    reason: str
    provisional: bool
    value: float
    lo: float
    hi: float
    median: float
    low: float
    high: float
    skill: float
    skill_lo: float
    skill_hi: float
    skills: tuple[float, ...]
    seeds: int
    ok: int
    ok_lo: float
    ok_hi: float
    missing: int
    reached: int | None
    failures: Mapping[str, int]
    costs: Costs
    trials: int | None
    others: Mapping[str, float]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A task's rows by group, ranked ones first, those with missing cells last. budget: of a time to target only."""

    task: str
    version: int
    preset: str
    params: Mapping[str, Any]
    metric: Metric
    rows: tuple[Row, ...]
    budget: float | None = None
    suite: str = ""
    scope: str = SCOPE
    notes: tuple[str, ...] = ()

    def group(self, name: Group) -> tuple[Row, ...]:
        """The rows of one group, in order."""
        return tuple(row for row in self.rows if row.group == name)


@dataclass
class _Seed:
    """What one seed gave: `value` on the metric's own axis, penalties included for ranking."""

    state: State
    value: float = NAN
    censored: bool = False


@dataclass
class _Entry:
    """A planned row with its seeds read."""

    plan: Planned
    seeds: dict[int, _Seed] = field(default_factory=dict)
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


class _Reader:
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
        good = [r["metrics"] for cell in cells for r in cell if r is not None and r["status"] == "ok"]
        return _worst([metrics[metric.name] for metrics in good if metric.name in metrics], metric)

    def penalty(self, metric: Metric, record: Record, position: int) -> float:
        """What a failed cell's metric counts as."""
        if metric.target is not None and self.limit is not None:
            return float(self.limit)
        if isinstance(metric.diverged, int | float):
            return float(metric.diverged)
        first = record["metrics"].get(f"initial_{metric.name}") if metric.diverged == "first" else None
        return float(first) if first is not None else self.worst(metric, record["seed"], position)

    def read(self, seed: int, cell: Sequence[Record | None] | None) -> _Seed:
        """One seed's outcome. A cell whose data, package or device was absent is missing, not failed."""
        records = [record for record in cell or () if record is not None and record["status"] != "unavailable"]
        if not records or cell is None or len(records) != len(cell):
            return _Seed("missing")
        if self.derived is not None:
            return self._reduce(self.derived, records)
        record, name = records[0], self.metric.name
        if record["status"] in FAILED:
            return _Seed("failed", self.penalty(self.metric, record, 0), censored=True)
        if name not in record["metrics"]:
            return _Seed("undefined")
        return _Seed("ok", float(record["metrics"][name]), name in record["censored"])

    def _reduce(self, derived: Derived, records: Sequence[Record]) -> _Seed:
        """A group of cells. A diverged one is part of what is measured; the group fails if nothing in it ended well."""
        grid, diverged = derived.grid.get(records[0]["preset"], ()), derived.metric.diverged
        if len(grid) != len(records):
            return _Seed("missing")
        if all(record["status"] in FAILED for record in records):
            return _Seed("failed", float(diverged) if isinstance(diverged, int | float) else NAN)
        filled = [
            record["metrics"]
            if record["status"] == "ok"
            else record["metrics"] | {m.name: self.penalty(m, record, place) for m in self.task.metrics}
            for place, record in enumerate(records)
        ]
        value = float(derived.reduce(grid, filled))
        return _Seed("ok", value) if math.isfinite(value) else _Seed("undefined")

    def entries(self) -> list[_Entry]:
        """Every planned row with every planned seed; penalties that depend on the other entries are filled last."""
        seeds = sorted({seed for row in self.rows for seed in row.cells})
        entries = [_Entry(row, {s: self.read(s, row.cells.get(s)) for s in seeds}) for row in self.rows]
        everywhere = _worst([s.value for e in entries for s in e.seeds.values() if s.state == "ok"], self.metric)
        for entry in entries:
            for seed, outcome in entry.seeds.items():
                if outcome.state == "failed" and math.isnan(outcome.value):
                    peers = [e.seeds[seed].value for e in entries if e.seeds[seed].state == "ok"]
                    outcome.value = _worst(peers, self.metric) if peers else everywhere
        return entries


def _worst(values: Sequence[float], metric: Metric) -> float:
    return NAN if not values else max(values) if metric.better == "min" else min(values)


def _unranked(entry: _Entry) -> str:
    """Why an entry is not ranked; empty if it is."""
    if missing := entry.count("missing"):
        absent = sum(record["status"] == "unavailable" for record in entry.records)
        return f"missing {missing} of {len(entry.seeds)} seeds" + (f", {absent} cells unavailable" if absent else "")
    if entry.plan.trials is None:
        return "untuned"
    if len(entry.seeds) < stats.MIN_SEEDS:
        return f"fewer than {stats.MIN_SEEDS} seeds"
    return "" if np.isfinite(entry.values()).all() else "metric undefined"


def _rank(entries: Sequence[_Entry], metric: Metric) -> None:
    """Give the entries of one group their rank ranges, or the reason why they have none."""
    for entry in entries:
        entry.reason = _unranked(entry)
    ranked = [entry for entry in entries if not entry.reason]
    if ranked:
        values = np.stack([stats.transform(entry.values(), metric.scale) for entry in ranked])
        failed = [entry.count("failed") > 0 for entry in ranked]
        for entry, rank in zip(ranked, stats.rank_ranges(values, metric.better, failed), strict=True):
            entry.rank = rank


def _mean_on_scale(values: np.ndarray, metric: Metric) -> float:
    return stats.t_interval(values, scale=metric.scale)[0]


def _order(entry: _Entry, metric: Metric) -> tuple[int, int, bool, float, str]:
    """Ranked first, then what could not be ranked, then what has missing cells; by mean with penalties within."""
    mean = _mean_on_scale(entry.values(), metric)
    standing = 0 if entry.rank else (2 if entry.count("missing") else 1)
    cost = mean if metric.better == "min" else -mean
    return GROUPS.index(entry.group), standing, math.isnan(cost), 0.0 if math.isnan(cost) else cost, entry.plan.entry


def _costs(records: Sequence[Record]) -> Costs:
    """Means over the cells that ended well."""
    costs = [record["costs"] for record in records if record["status"] == "ok"]

    def mean(values: Sequence[float | None]) -> float:
        return float(np.mean([value for value in values if value is not None] or [NAN]))

    phases = {phase: mean([cost["cpu"].get(phase) for cost in costs]) for phase in ("setup", "train", "predict")}
    counted = ("cpu_total", "wall", "rss_mb", "steps", "samples", "evals", "parameters")
    return Costs(**phases, **{name: mean([cost.get(name) for cost in costs]) for name in counted})


def _others(task: Task | type[Task], records: Sequence[Record], rank: str) -> dict[str, float]:
    """Means of the other metrics over the cells that ended well, for those that any cell has."""
    good = [record["metrics"] for record in records if record["status"] == "ok"]
    found = {m: [metrics[m.name] for metrics in good if m.name in metrics] for m in task.metrics if m.name != rank}
    return {metric.name: _mean_on_scale(np.array(values), metric) for metric, values in found.items() if values}


def _value(entry: _Entry, metric: Metric, limit: float | None) -> dict[str, Any]:
    """The fields of a row that describe the ranking metric."""
    good = np.array([seed.value for seed in entry.seeds.values() if seed.state == "ok"])
    fields: dict[str, Any] = dict.fromkeys(("value", "lo", "hi", "median", "low", "high"), NAN) | {"reached": None}
    if len(good):
        fields |= {"median": float(np.median(good)), "low": float(good.min()), "high": float(good.max())}
    if metric.target is not None:
        seen = [seed for seed in entry.seeds.values() if seed.state in ("ok", "failed")]
        values, missed = np.array([seed.value for seed in seen]), np.array([seed.censored for seed in seen], dtype=bool)
        budget = limit if limit is not None else float(values.max(initial=0))
        reached, n, mean, median = stats.time_to_target(values, missed, budget)
        fields |= {"value": mean, "median": median, "reached": reached}
        if reached == n:  # an interval cannot tell how far beyond the budget the others lie
            fields["lo"], fields["hi"] = stats.t_interval(values)[1:]
    elif not entry.count("failed"):
        fields["value"], fields["lo"], fields["hi"] = stats.t_interval(good, scale=metric.scale)
    return fields


def _told(anchors: tuple[float, float], metric: Metric) -> bool:
    """Whether the anchors (floor, reference) can tell skill: both are known and the second is better."""
    return math.isfinite(stats.skill(anchors[0], *anchors, metric.scale, metric.better))


def _skills(entry: _Entry, metric: Metric, anchors: tuple[float, float]) -> dict[str, Any]:
    """Skill by seed: a failed seed counts 0, a missing one is NaN. No interval if one failed or is censored."""
    skills = stats.skill(entry.values(), *anchors, metric.scale, metric.better)
    if _told(anchors, metric):
        skills = np.where([seed.state == "failed" for seed in entry.seeds.values()], 0.0, skills)
    mean, lo, hi = stats.t_interval(skills)
    if any(seed.censored or seed.state == "failed" for seed in entry.seeds.values()):
        lo = hi = NAN
    return {"skills": tuple(map(float, skills)), "skill": mean, "skill_lo": lo, "skill_hi": hi}


def _row(task: Task | type[Task], entry: _Entry, reader: _Reader, anchors: tuple[float, float]) -> Row:
    """The finished row of an entry."""
    metric, plan, records = reader.metric, entry.plan, entry.records
    seeds, ok = len(entry.seeds) - entry.count("missing"), entry.count("ok") + entry.count("undefined")
    ok_lo, ok_hi = stats.clopper_pearson(ok, seeds)
    return Row(
        entry=plan.entry,
        group=entry.group,
        slots=tuple(plan.slots),
        division=plan.division,
        anchor="reference" if plan.entry == task.reference else "floor" if plan.entry in task.floors else "",
        rank=entry.rank,
        reason=entry.reason,
        provisional=stats.MIN_SEEDS <= seeds < PROVISIONAL,
        seeds=seeds,
        ok=ok,
        ok_lo=ok_lo,
        ok_hi=ok_hi,
        missing=entry.count("missing"),
        failures=dict(Counter(record["status"] for record in records if record["status"] in FAILED)),
        costs=_costs(records),
        trials=plan.trials,
        others=_others(task, records, metric.name),
        keys=tuple(record["key"] for record in records),
        **_value(entry, metric, reader.limit),
        **_skills(entry, metric, anchors),
    )


def _notes(
    entries: Sequence[_Entry], anchors: tuple[float, float], metric: Metric, records: Sequence[Record]
) -> list[str]:
    """What a reader has to know beside the rows."""
    notes = []
    trials = sorted({entry.plan.trials for entry in entries if entry.plan.trials})
    if len(trials) > 1:
        notes.append(f"tuning trials differ: {', '.join(map(str, trials))}")
    if not _told(anchors, metric):
        absent = any(math.isnan(anchor) for anchor in anchors)
        notes.append(f"no skill: {'an anchor has no records' if absent else 'the reference does not beat the floor'}")
    seen: dict[str, Any] = {}
    clash = {r["key"] for r in records if seen.setdefault(r["key"], r["metrics"]) != r["metrics"]}
    if clash:
        notes.append(f"conflict: records disagree for {', '.join(sorted(clash))}")
    return notes


def build(task: Task | type[Task], rows: Sequence[Planned], records: Sequence[Record] = (), suite: str = "") -> Table:
    """The table of one task with one set of parameters.

    task: its metrics, anchors and, if an instance, budget and parameters. rows: the plan, already joined with its
    records. records: everything the store has; two of one key that disagree are reported as a conflict.
    """
    reader = _Reader(task, rows)
    metric, entries = reader.metric, reader.entries()
    for group in GROUPS:
        _rank([entry for entry in entries if entry.group == group], metric)
    means = {entry.plan.entry: _mean_on_scale(entry.values(), metric) for entry in entries}
    anchors = (means.get(task.floors[0], NAN) if task.floors else NAN, means.get(task.reference, NAN))
    first = next((record for entry in entries for record in entry.records), None)
    params = dict(first["params"] if first else getattr(getattr(task, "params", None), "__dict__", {}))
    if reader.derived is not None and first:
        params[reader.derived.axis] = list(reader.derived.grid.get(first["preset"], ()))
    return Table(
        task=task.name,
        version=first["version"] if first else task.version,
        preset=first["preset"] if first else "",
        params=params,
        metric=metric,
        rows=tuple(_row(task, entry, reader, anchors) for entry in sorted(entries, key=lambda e: _order(e, metric))),
        budget=reader.limit if metric.target is not None else None,
        suite=suite,
        notes=tuple(_notes(entries, anchors, metric, records)),
    )
