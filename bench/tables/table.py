"""The table of one task as typed values, made from a plan's rows joined with their records; printers and pages show it.

A planned cell without a record keeps its entry from being ranked. Failures are counted, kept out of intervals, and count
as penalties in rankings, so that nobody gains a rank by failing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import msgspec
import numpy as np

from bench.contract import Metric, Task
from bench.outcome import FAILED
from bench.records.record import Record
from bench.tables import statistics
from bench.tables.seed_values import NAN, Group, Joined, Reader, Seed, State

GROUPS: tuple[Group, ...] = get_args(Group)
SCOPE = "over seeds of these tasks; says nothing about new tasks"
PHASES = ("setup", "train", "predict")
COSTS = (*PHASES, "cpu_total", "wall", "rss_mb", "steps", "samples", "evals", "matvecs", "parameters")
CPU_ENTRY = (
    "CPU seconds are those of the entry’s whole process, from fork to exit; records from before this was measured count "
    "the phases that the entry’s clock booked"
)
OLDER = "older code"
PROVISIONAL = 5  # with fewer seeds a rank is provisional


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry. NaN stands for an unknown number.

    rank: range of ranks within the group, or None, and `reason` says why. value, lo, hi: centre and 95 % interval over
    seeds; without failures only (a time to target: the capped mean, which counts failures). median, low, high: of the
    seeds that ended well; a time's median counts the others as beyond the budget. skills: one a seed, 0 for a failed seed.
    values, states: one a seed, as ranked (penalties included), and whether it is ok, failed, missing or undefined.
    seeds: planned seeds with a record; ok: how many of these ended well, with its Clopper-Pearson interval ok_lo, ok_hi.
    edges: arguments that are tuned to the end of what was tried.
    missing: planned seeds without a record. failures: status -> cells. costs: means over the cells that ended well, CPU and
    wall in seconds, memory in MB, others counts. others: means of the task's other metrics, each on its own scale.
    published: of each record the published key if both are equal in every bit, else the key in `keys`.
    badge: the verdict of `bench verify` on these records, "verified" or "disputed", or empty. fresh: the fresh seeds behind it.
    """

    entry: str
    group: Group
    slots: tuple[str, ...]
    division: str
    anchor: Literal["", "floor", "reference"]
    rank: tuple[int, int] | None = None
    reason: str
    provisional: bool
    value: float = NAN
    lo: float = NAN
    hi: float = NAN
    median: float = NAN
    low: float = NAN
    high: float = NAN
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
    reached: int | None = None
    failures: Mapping[str, int]
    costs: Mapping[str, float]
    trials: int | None
    edges: tuple[str, ...] = ()
    others: Mapping[str, float]
    keys: tuple[str, ...]
    published: tuple[str, ...]
    badge: str = ""
    fresh: int = 0

    @property
    def standing(self) -> str:
        """The badge with the number of fresh seeds behind it: "verified (5 fresh seeds)"; empty for a claim."""
        return f"{self.badge} ({self.fresh} fresh seeds)" if self.badge else ""

    @property
    def all_equal(self) -> bool:
        """Whether all seeds ended well with one value, and so tell no interval: it is shown in its place."""
        whole = math.isnan(self.lo) and not math.isnan(self.value) and self.ok == self.seeds >= statistics.MIN_SEEDS
        return whole and self.reached in (None, self.seeds) and statistics.all_equal([self.low, self.high])

    @property
    def cpu(self) -> float:
        """CPU seconds of the entry itself, all phases: neither the harness nor evaluations."""
        return sum(self.costs[phase] for phase in PHASES)


@dataclass(frozen=True)
class Table:
    """A task's rows by group: ranked rows first, those with missing cells last. budget: of a time to target only. anchored:
    whether the task has a reference, and so a skill."""

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
    anchored: bool = True

    def group(self, name: Group) -> tuple[Row, ...]:
        """The rows of one group, in order."""
        return tuple(row for row in self.rows if row.group == name)

    def groups(self) -> list[tuple[Group, tuple[Row, ...]]]:
        """Each group that has rows, with them."""
        return [(name, rows) for name in GROUPS if (rows := self.group(name))]


def _unranked(task: Task, joined: Joined, seeds: Sequence[Seed], metric: Metric, floor: float) -> str:
    """The reason why an entry is not ranked; empty if it is ranked. floor: the mean of the first floor."""
    if missing := sum(seed.state == "missing" for seed in seeds):
        absent = sum(record.status == "unavailable" for record in joined.records)
        return f"missing {missing} of {len(seeds)} seeds" + (f", {absent} cells unavailable" if absent else "")
    if any(record.unkeyed_reads for record in joined.records):
        return "unkeyed reads"
    if joined.row.trials is None:
        return "untuned"
    if len(seeds) < statistics.MIN_SEEDS:
        return f"fewer than {statistics.MIN_SEEDS} seeds"
    if not all(math.isfinite(seed.value) for seed in seeds):
        return "metric undefined"
    mean = _mean_on_scale([seed.value for seed in seeds], metric)
    behind = mean >= floor if metric.better == "min" else mean <= floor
    trains = joined.group == "closed" and joined.entry not in task.floors
    return "undertrained: no better than the floor" if task.outgrows_floor and trains and behind else ""


def _ranked(rows: Sequence[Row], metric: Metric) -> list[Row]:
    """The rows of one group with their rank ranges: ranked ones first, those with missing cells last, each by the mean."""
    ranked = [row for row in rows if not row.reason]
    if ranked:
        values = np.stack([statistics.transform(row.values, metric.scale) for row in ranked])
        failed = np.array([row.states for row in ranked]) == "failed"
        ranges = statistics.rank_ranges(values, metric.better, failed, _tied(ranked, metric))
        ranked = [replace(row, rank=rank) for row, rank in zip(ranked, ranges, strict=True)]

    def place(row: Row) -> tuple[int, bool, float, str]:
        mean = _mean_on_scale(row.values, metric)
        cost = 0.0 if math.isnan(mean) else mean if metric.better == "min" else -mean
        if metric.resolution and math.isfinite(cost):
            cost = round(cost / metric.resolution) * metric.resolution  # rows that tie stand in order of their names
        return 2 if row.missing else int(row.reason != ""), math.isnan(mean), cost, row.entry

    return sorted([*ranked, *(row for row in rows if row.reason)], key=place)


def _tied(rows: Sequence[Row], metric: Metric) -> Any:
    """[rows, rows]: whether two rows differ by no more than the metric resolves."""
    return statistics.tied([row.values for row in rows], metric.scale, metric.resolution)


def _ties(rows: Sequence[Row], metric: Metric) -> list[str]:
    """A note for each set of ranked rows of one group whose means lie within the metric's resolution."""
    rows = [row for row in rows if row.rank] if metric.resolution else []
    tied = {tuple(np.flatnonzero(line).tolist()) for line in _tied(rows, metric)} if rows else ()
    end = f"tie: their means differ by at most {metric.resolution:.2g}, the resolution of {metric.name}"
    return [f"{', '.join(rows[i].entry for i in places)} {end}" for places in sorted(tied) if len(places) > 1]


def _mean_on_scale(values: Sequence[float], metric: Metric) -> float:
    return statistics.t_interval(values, scale=metric.scale)[0]


def _costs(records: Sequence[Record]) -> dict[str, float]:
    """Means over the cells that ended well."""
    good = [record.costs for record in records if record.status == "ok"]
    amounts = [msgspec.structs.asdict(cost) | cost.cpu | cost.counts for cost in good]
    known = {name: [amount for cell in amounts if (amount := cell.get(name)) is not None] for name in COSTS}
    return {name: float(np.mean(numbers or [NAN])) for name, numbers in known.items()}


def _others(task: Task, records: Sequence[Record], rank: str) -> dict[str, float]:
    """Means of the metrics that do not rank over the cells that ended well; a metric that no cell has is left out."""
    good = [record.metrics for record in records if record.status == "ok"]
    values = {m: [metrics[m.name] for metrics in good if m.name in metrics] for m in task.metrics if m.name != rank}
    return {metric.name: _mean_on_scale(numbers, metric) for metric, numbers in values.items() if numbers}


def _value(seeds: Sequence[Seed], reader: Reader, limit: float) -> dict[str, Any]:
    """The fields of a row that describe the ranking metric, where they are known."""
    metric = reader.metric
    good = [seed.value for seed in seeds if seed.state == "ok"]
    fields: dict[str, Any] = {"median": float(np.median(good)), "low": min(good), "high": max(good)} if good else {}
    if metric.target is not None:
        run = [seed for seed in seeds if seed.state in ("ok", "failed")]
        values = [seed.value for seed in run]
        reached, n, mean, median = statistics.time_to_target(values, [seed.censored for seed in run], limit)
        fields |= {"value": mean, "median": median, "reached": reached}
        if reached == n:  # beyond the budget nothing is measured, so a missed target leaves no interval
            fields["lo"], fields["hi"] = reader.interval(values)[1:]
    elif all(seed.state != "failed" for seed in seeds):
        fields["value"], fields["lo"], fields["hi"] = reader.interval(good)
    return fields


def _skills(
    seeds: Sequence[Seed], metric: Metric, anchors: tuple[float, float], lo: float, hi: float
) -> dict[str, Any]:
    """Skill by seed: a failed seed counts 0, a missing one is NaN. No interval if one failed or is censored.

    lo, hi: the metric's own interval, which gives that of the skill where all seeds are equal.
    """
    values = [anchors[0] if seed.state == "failed" else seed.value for seed in seeds]  # the floor's skill is 0
    skills, *edges = np.split(
        statistics.skill([*values, lo, hi], *anchors, metric.scale, metric.better, metric.resolution), [-2, -1]
    )
    mean, lo, hi = statistics.t_interval(skills)
    if math.isnan(lo):
        lo, hi = sorted(float(edge[0]) for edge in edges)
    mean, lo, hi = (round(x, 12) + 0.0 for x in (mean, lo, hi))  # a floor's own mean is 0, not 1e-17
    if any(seed.state == "failed" or seed.censored for seed in seeds):
        lo = hi = NAN
    return {"skills": tuple(skills.tolist()), "skill": mean, "skill_lo": lo, "skill_hi": hi}


def _row(task: Task, joined: Joined, seeds: Sequence[Seed], reader: Reader, anchors: tuple[float, float]) -> Row:
    """The row of an entry, without its rank."""
    metric, described = reader.metric, _value(seeds, reader, task.budget.limit)
    edges = described.get("lo", NAN), described.get("hi", NAN)
    states, row, records = tuple(seed.state for seed in seeds), joined.row, joined.records
    recorded, ok = len(seeds) - states.count("missing"), states.count("ok") + states.count("undefined")
    ok_lo, ok_hi = statistics.clopper_pearson(ok, recorded)
    return Row(
        entry=row.entry, group=joined.group, slots=row.slots, division=row.division, trials=row.trials, edges=row.edges,
        anchor="reference" if row.entry == task.reference else "floor" if row.entry in task.floors else "",
        reason=_unranked(task, joined, seeds, metric, anchors[0]), provisional=statistics.MIN_SEEDS <= recorded < PROVISIONAL,
        values=tuple(seed.value for seed in seeds), states=states,
        seeds=recorded, missing=states.count("missing"), ok=ok, ok_lo=ok_lo, ok_hi=ok_hi,
        failures=dict(Counter(record.status for record in records if record.status in FAILED)),
        costs=_costs(records), others=_others(task, records, metric.name),
        keys=tuple(record.key for record in records),
        published=tuple(joined.published.get(record.key, record.key) for record in records),
        **described, **_skills(seeds, metric, anchors, *edges),
    )  # fmt: skip


def _notes(task: Task, joined: Sequence[Joined], anchors: tuple[float, float], metric: Metric) -> list[str]:
    """Notes under the table: unequal tuning, undefined skill, records that disagree or are of older code."""
    notes = []
    trials = sorted({row.row.trials for row in joined if row.row.trials})
    if len(trials) > 1:
        notes.append(f"tuning trials differ: {', '.join(map(str, trials))}")
    if not math.isfinite(statistics.skill(anchors[0], *anchors, metric.scale, metric.better)):
        absent = any(math.isnan(anchor) for anchor in anchors)
        why = "an anchor has no records" if absent else "the reference does not beat the floor"
        notes.append(f"no skill: {task.unanchored or why}")
    first: dict[tuple[str, str], Any] = {}
    # Where the arithmetics differ, so may the last bits, and with them the end of a training.
    same = [((r.key, r.provenance.fingerprint), r) for row in joined for r in row.both]
    if clash := sorted({r.key for place, r in same if first.setdefault(place, r.metrics) != r.metrics}):
        notes.append(f"conflict: records disagree for {', '.join(clash)}")
    fingerprints = {record.provenance.fingerprint or "unknown" for row in joined for record in row.records}
    if len(fingerprints) > 1:
        notes.append(f"records of {len(fingerprints)} arithmetics, {', '.join(sorted(fingerprints))}")
    if older := sum(row.older for row in joined):
        notes.append(f"{older} published records are of {OLDER}, with the same task version and data")
    return notes


def build(task: Task, joined: Sequence[Joined], suite: str = "") -> Table:
    """The table of one task with one set of parameters from the plan's rows, already joined with their records."""
    reader = Reader(task, joined)
    metric, seeds = reader.metric, reader.seeds()
    means = {row.entry: _mean_on_scale([s.value for s in own], metric) for row, own in zip(joined, seeds, strict=True)}
    anchors = (means.get(task.floors[0], NAN) if task.floors else NAN, means.get(task.reference, NAN))
    first = next((record for row in joined for record in row.records), None)
    params = first.params if first else vars(task.params)
    version, preset = (first.version, first.preset) if first else (task.version, "")
    if reader.derived is not None and first:
        params = params | {reader.derived.axis: list(reader.derived.grid.get(preset, ()))}
    rows = [_row(task, row, own, reader, anchors) for row, own in zip(joined, seeds, strict=True)]
    ordered = tuple(row for group in GROUPS for row in _ranked([row for row in rows if row.group == group], metric))
    budget = task.budget.limit if metric.target is not None else None
    ties = [note for group in GROUPS for note in _ties([row for row in ordered if row.group == group], metric)]
    notes = (*_notes(task, joined, anchors, metric), *ties)
    anchored = not task.unanchored
    return Table(task.name, version, preset, params, metric, ordered, budget, suite, notes=notes, anchored=anchored)
