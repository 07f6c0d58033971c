"""The table of one task as typed values, made from a plan's rows joined with their records; printers and pages show it.

A planned cell without a record keeps its entry from being ranked. Failures are counted, kept out of intervals, and count
as penalties in rankings, so that nobody gains by failing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from bench.contract import Metric, Task
from bench.outcome import FAILED
from bench.records.record import Record
from bench.tables import statistics
from bench.tables.seed_values import NAN, EntrySeeds, Group, Joined, Reader, State

GROUPS: tuple[Group, ...] = get_args(Group)
SCOPE = "over seeds of these tasks; says nothing about new tasks"
COUNTED = ("steps", "samples", "evals", "matvecs", "parameters")
CPU_ENTRY = (
    "CPU seconds are those of the entry’s whole process, from fork to exit; records from before this was measured count "
    "the phases that the entry’s clock booked"
)
PROVISIONAL = 5  # with fewer seeds a rank is provisional


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
    matvecs: float = NAN
    parameters: float = NAN

    @property
    def own(self) -> float:
        """CPU seconds of the entry itself, all phases: neither the harness nor evaluations."""
        return self.setup + self.train + self.predict


@dataclass(frozen=True)
class Row:
    """One entry. NaN stands for an unknown number.

    rank: range of ranks within the group, or None, and `reason` says why. value, lo, hi: centre and 95 % interval over
    seeds; without failures only (a time to target: the capped mean, which counts failures). median, low, high: of the
    seeds that ended well; a time's median counts the others as beyond the budget. skills: one a seed, 0 for a failed seed.
    values, states: one a seed, as ranked (penalties included), and whether it is ok, failed, missing or undefined.
    seeds: planned seeds with a record; ok: how many of these ended well, with its Clopper-Pearson interval ok_lo, ok_hi.
    missing: planned seeds without a record. failures: status -> cells. others: means of the task's other metrics, each on
    its own scale. published: of each record the published key if both are equal in every bit, else the key in `keys`.
    badge: the verdict of `bench verify` on these records, "verified" or "disputed", or empty.
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
    values: tuple[float, ...]
    states: tuple[State, ...]
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
    published: tuple[str, ...]
    badge: str = ""


@dataclass(frozen=True)
class Table:
    """A task's rows by group: ranked rows first, those with missing cells last. budget: of a time to target only."""

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


def _unranked(entry: EntrySeeds) -> str:
    """The reason why an entry is not ranked; empty if it is ranked."""
    if missing := entry.count("missing"):
        absent = sum(record.status == "unavailable" for record in entry.records)
        return f"missing {missing} of {len(entry.seeds)} seeds" + (f", {absent} cells unavailable" if absent else "")
    if any(record.unkeyed_reads for record in entry.records):
        return "unkeyed reads"
    if entry.plan.trials is None:
        return "untuned"
    if len(entry.seeds) < statistics.MIN_SEEDS:
        return f"fewer than {statistics.MIN_SEEDS} seeds"
    return "" if np.isfinite(entry.values()).all() else "metric undefined"


def _rank(entries: Sequence[EntrySeeds], metric: Metric) -> None:
    """Give the entries of one group their rank ranges, or the reason why they have none."""
    for entry in entries:
        entry.reason = _unranked(entry)
    ranked = [entry for entry in entries if not entry.reason]
    if ranked:
        values = np.stack([statistics.transform(entry.values(), metric.scale) for entry in ranked])
        failed = [entry.count("failed") > 0 for entry in ranked]
        for entry, rank in zip(ranked, statistics.rank_ranges(values, metric.better, failed), strict=True):
            entry.rank = rank


def _mean_on_scale(values: np.ndarray, metric: Metric) -> float:
    return statistics.t_interval(values, scale=metric.scale)[0]


def _order(entry: EntrySeeds, metric: Metric) -> tuple[int, int, bool, float, str]:
    """Sort key: ranked entries, then unranked ones, then those with missing cells; within each by mean with penalties."""
    mean = _mean_on_scale(entry.values(), metric)
    standing = 0 if entry.rank else (2 if entry.count("missing") else 1)
    cost = mean if metric.better == "min" else -mean
    return GROUPS.index(entry.group), standing, math.isnan(cost), 0.0 if math.isnan(cost) else cost, entry.plan.entry


def _costs(records: Sequence[Record]) -> Costs:
    """Means over the cells that ended well."""
    costs = [record.costs for record in records if record.status == "ok"]

    def mean(values: Sequence[float | None]) -> float:
        return float(np.mean([value for value in values if value is not None] or [NAN]))

    phases = {phase: mean([cost.cpu.get(phase) for cost in costs]) for phase in ("setup", "train", "predict")}
    counted = {unit: mean([cost.counts.get(unit) for cost in costs]) for unit in COUNTED}
    measured = {name: mean([getattr(cost, name) for cost in costs]) for name in ("cpu_total", "wall", "rss_mb")}
    return Costs(**phases, **measured, **counted)


def _others(task: Task | type[Task], records: Sequence[Record], rank: str) -> dict[str, float]:
    """Means of the metrics that do not rank over the cells that ended well; a metric that no cell has is left out."""
    good = [record.metrics for record in records if record.status == "ok"]
    values = {m: [metrics[m.name] for metrics in good if m.name in metrics] for m in task.metrics if m.name != rank}
    return {metric.name: _mean_on_scale(np.array(numbers), metric) for metric, numbers in values.items() if numbers}


def _value(entry: EntrySeeds, metric: Metric, limit: float | None) -> dict[str, Any]:
    """The fields of a row that describe the ranking metric."""
    good = np.array([seed.value for seed in entry.seeds.values() if seed.state == "ok"])
    fields: dict[str, Any] = dict.fromkeys(("value", "lo", "hi", "median", "low", "high"), NAN) | {"reached": None}
    if len(good):
        fields |= {"median": float(np.median(good)), "low": float(good.min()), "high": float(good.max())}
    if metric.target is not None:
        run = [seed for seed in entry.seeds.values() if seed.state in ("ok", "failed")]
        values, missed = np.array([seed.value for seed in run]), np.array([seed.censored for seed in run], dtype=bool)
        budget = limit if limit is not None else float(values.max(initial=0))
        reached, n, mean, median = statistics.time_to_target(values, missed, budget)
        fields |= {"value": mean, "median": median, "reached": reached}
        if reached == n:  # beyond the budget nothing is measured, so a missed target leaves no interval
            fields["lo"], fields["hi"] = statistics.t_interval(values)[1:]
    elif not entry.count("failed"):
        fields["value"], fields["lo"], fields["hi"] = statistics.t_interval(good, scale=metric.scale)
    return fields


def _has_skill(anchors: tuple[float, float], metric: Metric) -> bool:
    """Whether skill is defined: both anchors (floor, reference) are known and the reference is better."""
    return math.isfinite(statistics.skill(anchors[0], *anchors, metric.scale, metric.better))


def _skills(entry: EntrySeeds, metric: Metric, anchors: tuple[float, float]) -> dict[str, Any]:
    """Skill by seed: a failed seed counts 0, a missing one is NaN. No interval if one failed or is censored."""
    skills = statistics.skill(entry.values(), *anchors, metric.scale, metric.better)
    if _has_skill(anchors, metric):
        skills = np.where([seed.state == "failed" for seed in entry.seeds.values()], 0.0, skills)
    mean, lo, hi = statistics.t_interval(skills)
    if any(seed.censored or seed.state == "failed" for seed in entry.seeds.values()):
        lo = hi = NAN
    return {"skills": tuple(map(float, skills)), "skill": mean, "skill_lo": lo, "skill_hi": hi}


def _row(task: Task | type[Task], entry: EntrySeeds, reader: Reader, anchors: tuple[float, float]) -> Row:
    """The finished row of an entry."""
    metric, plan, records = reader.metric, entry.plan, entry.records
    seeds, ok = len(entry.seeds) - entry.count("missing"), entry.count("ok") + entry.count("undefined")
    ok_lo, ok_hi = statistics.clopper_pearson(ok, seeds)
    return Row(
        entry=plan.entry,
        group=entry.group,
        slots=tuple(plan.slots),
        division=plan.division,
        anchor="reference" if plan.entry == task.reference else "floor" if plan.entry in task.floors else "",
        rank=entry.rank,
        reason=entry.reason,
        provisional=statistics.MIN_SEEDS <= seeds < PROVISIONAL,
        values=tuple(map(float, entry.values())),
        states=tuple(seed.state for seed in entry.seeds.values()),
        seeds=seeds,
        ok=ok,
        ok_lo=ok_lo,
        ok_hi=ok_hi,
        missing=entry.count("missing"),
        failures=dict(Counter(record.status for record in records if record.status in FAILED)),
        costs=_costs(records),
        trials=plan.trials,
        others=_others(task, records, metric.name),
        keys=tuple(record.key for record in records),
        published=tuple(plan.published.get(record.key, record.key) for record in records),
        **_value(entry, metric, reader.limit),
        **_skills(entry, metric, anchors),
    )


def _notes(
    entries: Sequence[EntrySeeds], anchors: tuple[float, float], metric: Metric, records: Sequence[Record]
) -> list[str]:
    """Notes under the table: unequal tuning, undefined skill, records that disagree."""
    notes = []
    trials = sorted({entry.plan.trials for entry in entries if entry.plan.trials})
    if len(trials) > 1:
        notes.append(f"tuning trials differ: {', '.join(map(str, trials))}")
    if not _has_skill(anchors, metric):
        absent = any(math.isnan(anchor) for anchor in anchors)
        notes.append(f"no skill: {'an anchor has no records' if absent else 'the reference does not beat the floor'}")
    first: dict[str, Any] = {}
    if clash := sorted({r.key for r in records if first.setdefault(r.key, r.metrics) != r.metrics}):
        notes.append(f"conflict: records disagree for {', '.join(clash)}")
    return notes


def build(task: Task | type[Task], rows: Sequence[Joined], records: Sequence[Record] = (), suite: str = "") -> Table:
    """The table of one task with one set of parameters.

    task: gives metrics, anchors and, if an instance, budget and parameters. rows: the plan, already joined with its
    records. records: those of a key that has several; two that disagree are reported as a conflict.
    """
    reader = Reader(task, rows)
    metric, entries = reader.metric, reader.entries()
    for group in GROUPS:
        _rank([entry for entry in entries if entry.group == group], metric)
    means = {entry.plan.entry: _mean_on_scale(entry.values(), metric) for entry in entries}
    anchors = (means.get(task.floors[0], NAN) if task.floors else NAN, means.get(task.reference, NAN))
    first = next((record for entry in entries for record in entry.records), None)
    params = dict(first.params if first else getattr(getattr(task, "params", None), "__dict__", {}))
    if reader.derived is not None and first:
        params[reader.derived.axis] = list(reader.derived.grid.get(first.preset, ()))
    return Table(
        task=task.name,
        version=first.version if first else task.version,
        preset=first.preset if first else "",
        params=params,
        metric=metric,
        rows=tuple(_row(task, entry, reader, anchors) for entry in sorted(entries, key=lambda e: _order(e, metric))),
        budget=reader.limit if metric.target is not None else None,
        suite=suite,
        notes=tuple(_notes(entries, anchors, metric, records)),
    )
