"""Mean skill over the tasks of a suite, with ranks, by slot and division: an optimizer never competes with a surrogate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from bench.tables import statistics
from bench.tables.seed_values import Group
from bench.tables.table import GROUPS, PROVISIONAL, Row, Table

MANY_TASKS = 8  # with fewer tasks an interquartile mean averages too few of them


@dataclass(frozen=True)
class Standing:
    """An entry's skill over the tasks of a suite. mean is NaN, with a `reason`, unless every task has a skill.

    rank: range of ranks among the entries with a mean, or None. middle: interquartile mean of the tasks' means, from
    eight tasks on. out_lo, out_hi: what the mean becomes when one task is left out, at the least and the most.
    by_seed: mean skill over the tasks, one number a seed that all tasks have. rows: by task, None where not planned.
    """

    entry: str
    rows: tuple[Row | None, ...]
    reason: str = ""
    mean: float = math.nan
    lo: float = math.nan
    hi: float = math.nan
    middle: float = math.nan
    out_lo: float = math.nan
    out_hi: float = math.nan
    by_seed: tuple[float, ...] = ()
    rank: tuple[int, int] | None = None
    provisional: bool = False


@dataclass(frozen=True)
class Summary:
    """The standings of one suite, group and set of slots, best first, those without a mean last."""

    group: Group
    slots: tuple[str, ...]
    tables: tuple[Table, ...]
    standings: tuple[Standing, ...]


def _standing(entry: str, rows: Sequence[Row | None]) -> Standing:
    """The unranked standing of an entry from its row on each task, None where it was not planned."""
    present = [row for row in rows if row is not None]
    reason = next((row.reason for row in present if row.reason), "")
    if len(present) < len(rows):
        reason = f"on {len(present)} of {len(rows)} tasks"
    elif not reason and any(math.isnan(row.skill) for row in present):
        reason = "skill undefined on some task"
    standing = Standing(entry, tuple(rows), reason)
    if reason:
        return standing
    skills = np.array([*zip_longest(*(row.skills for row in present), fillvalue=math.nan)]).T
    mean, lo, hi = (round(x, 12) + 0.0 for x in statistics.aggregate(skills))  # a floor's own mean is 0, not 1e-17
    if any("failed" in row.states for row in present):  # a failure is no draw of the noise that an interval assumes
        lo = hi = math.nan
    means = np.nanmean(skills, axis=1)
    middle = statistics.interquartile_mean(means) if len(means) >= MANY_TASKS else math.nan
    without = (means.sum() - means) / (len(means) - 1) if len(means) > 1 else np.array([math.nan])
    out_lo, out_hi = float(without.min()), float(without.max())
    by_seed = tuple(skills[:, : min(len(row.skills) for row in present)].mean(axis=0).tolist())
    return replace(standing, mean=mean, lo=lo, hi=hi, middle=middle, out_lo=out_lo, out_hi=out_hi, by_seed=by_seed)


def _ranked(standings: Sequence[Standing]) -> list[Standing]:
    """The standings with rank ranges: paired tests on the mean skill by seed, whose seeds all entries of the plan share."""
    complete = [standing for standing in standings if not standing.reason]
    seeds = min((len(standing.by_seed) for standing in complete), default=0)
    if seeds < statistics.MIN_SEEDS:
        return list(standings)
    failed = np.array([[row.states[:seeds] for row in standing.rows if row] for standing in complete]) == "failed"
    ranges = statistics.rank_ranges([standing.by_seed[:seeds] for standing in complete], "max", failed.any(axis=1))
    ranks = {standing.entry: rank for standing, rank in zip(complete, ranges, strict=True)}
    return [replace(entry, rank=ranks.get(entry.entry), provisional=seeds < PROVISIONAL) for entry in standings]


def summarise(tables: Sequence[Table]) -> list[Summary]:
    """Mean skill over the tasks of one suite, by group and slots.

    An entry has a mean if it is ranked on every task of its kind (group and slots). A kind that only one of the suite's
    several tasks has is left out: that task's own table shows it. So is a task that anchors no skill.
    """
    summaries = []
    kinds = dict.fromkeys((row.group, row.slots) for table in tables for row in table.rows)
    for group, slots in sorted(kinds, key=lambda kind: GROUPS.index(kind[0])):
        rows = [(table, {row.entry: row for row in table.group(group) if row.slots == slots}) for table in tables]
        rows = [(table, by_entry) for table, by_entry in rows if by_entry and table.anchored]
        if len(rows) < min(2, len(tables)):
            continue
        names = dict.fromkeys(name for _, by_entry in rows for name in by_entry)
        standings = _ranked([_standing(name, [by_entry.get(name) for _, by_entry in rows]) for name in names])
        standings.sort(key=lambda s: (s.reason != "", s.rows.count(None) if s.reason else -s.mean, s.entry))
        summaries.append(Summary(group, slots, tuple(table for table, _ in rows), tuple(standings)))
    return summaries
