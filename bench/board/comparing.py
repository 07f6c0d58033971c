"""Who is better than whom, for a page: leaders and the seeds that would separate them, win matrix, performance profiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.tables import comparisons, statistics
from bench.tables.seed_values import Group
from bench.tables.standings import Standing
from bench.tables.statistics import Scale
from bench.tables.table import Row, Table

DUELS = 16  # entries of a win matrix and of profiles: what can still be read
RATIOS = 40  # places of a profile


def sentence(
    ranks: Sequence[tuple[str, tuple[int, int] | None]], values: Mapping[str, Sequence[float]], scale: Scale
) -> str:
    """`3 of 12 entries are inseparable at the top; separating A from B needs about 11 seeds.`

    ranks: entry and its range, best first. values: entry -> by seed, on `scale`; of those with a rank.
    """
    told = [(name, rank) for name, rank in ranks if rank]
    if not told:
        return f"None of {len(ranks)} entries is ranked yet." if len(ranks) > 1 else "The one entry is not ranked."
    leaders = [name for name, rank in told if rank[0] == 1]
    if len(told) == 1:
        return f"{leaders[0]} is the only entry with a rank, so it leads nobody."
    below = len(ranks) - len(told)
    more = f" {below} more {'is' if below == 1 else 'are'} unranked." if below else ""
    if len(leaders) == 1:
        behind = "1 other ranked entry" if len(told) == 2 else f"{len(told) - 1} other ranked entries"
        return f"{leaders[0]} leads alone, ahead of {behind}.{more}"
    first, second = leaders[:2]
    a, b = (statistics.transform(values[name], scale) for name in (first, second))
    pairs = len(told) * (len(told) - 1) // 2
    seeds = comparisons.seeds_to_separate(a, b, alpha=0.05 / pairs)
    needs = f"separating {first} from {second} needs about {seeds} seeds ({len(a)} are there)"
    if seeds is None:
        needs = f"no feasible number of seeds would separate {first} from {second}"
    elif seeds <= len(a):
        needs = f"{first} and {second} lie at the edge of what {len(a)} seeds separate"
    return f"{len(leaders)} of {len(told)} ranked entries are inseparable at the top; {needs}.{more}"


def duels(table: Table, group: Group) -> dict[str, Any]:
    """Win matrix and performance profiles of a group's first ranked entries, over seeds."""
    rows = [row for row in table.group(group) if row.rank][:DUELS]
    made = _pairs([row.entry for row in rows], [table], [[row] for row in rows])
    return {"group": group} | made | ({"gaps": _gaps(table, group, rows)} if len(rows) > 1 else {})


def _gaps(table: Table, group: Group, rows: Sequence[Row]) -> list[list[list[Any]]]:
    """[i][j - i - 1] of the rows i < j: [estimate, lo, hi, pairs, whether the ranking tells them apart], of i over j where
    the scale has ratios (of odds on a logit), else i less j. No interval where a seed failed or missed its target."""
    metric, ranked = table.metric, [row for row in table.group(group) if row.rank]
    scaled = {row.entry: statistics.transform(row.values, metric.scale) for row in ranked}
    failed = ["failed" in row.states for row in ranked]
    beats = statistics.separated(np.stack([scaled[row.entry] for row in ranked]), metric.better, failed)

    def gap(i: int, j: int) -> list[Any]:
        found = comparisons.paired_difference(scaled[rows[i].entry], scaled[rows[j].entry])
        whole = math.isfinite(rows[i].lo) and math.isfinite(rows[j].lo)
        told = [found.mean, *((found.lo, found.hi) if whole else (math.nan, math.nan))]
        shown = told if metric.scale == "linear" else [float(np.exp(min(x, 700.0))) for x in told]
        return [
            *(float(f"{x:.4g}") if math.isfinite(x) else None for x in shown),
            found.seeds,
            int(beats[i, j] or beats[j, i]),
        ]

    return [[gap(i, j) for j in range(i + 1, len(rows))] for i in range(len(rows))]


def over_tasks(tables: Sequence[Table], standings: Sequence[Standing]) -> dict[str, Any]:
    """The same over the tasks of a suite, and what leaving one task out changes. standings: those with a mean, best first."""
    chosen = standings[:DUELS]
    made = _pairs([one.entry for one in chosen], tables, [[row for row in one.rows if row] for one in chosen])
    if len(tables) > 1 and len(standings) > 1:
        skills = np.array([[row.skill for row in one.rows if row] for one in standings])
        left = comparisons.leave_one_out(skills)
        names = [tables[task].task for task in left.decisive]
        flips = int(left.flips.max())
        made["without"] = (
            f"Without {' or '.join(names)} another entry would lead." if names
            else f"The same entry leads whichever task is left out; at most {flips} pair{'s' * (flips != 1)} change order."
        )  # fmt: skip
    return {"duels": [made]}


def _pairs(names: Sequence[str], tables: Sequence[Table], rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
    """rows: [entries][tasks]."""
    if len(names) < 2:
        return {"entries": []}
    seeds = max(len(row.values) for own in rows for row in own)
    costs = np.full((len(names), len(tables), seeds), math.nan)
    values = costs.copy()
    ratios = True
    for t, table in enumerate(tables):
        metric = table.metric
        for e, own in enumerate(rows):
            row = own[t]
            line = np.asarray(row.values, dtype=float)
            values[e, t, : len(line)] = statistics.transform(line, metric.scale) * (1 if metric.better == "max" else -1)
            try:
                cost = comparisons.positive_costs(line, metric.scale, metric.better)
            except ValueError:
                ratios = False  # a linear metric that is to be large, or is negative, has none
                continue
            costs[e, t, : len(line)] = np.where([state == "failed" for state in row.states], np.inf, cost)
    wins = comparisons.win_matrix(values, "max")
    made = {
        "entries": list(names),
        "wins": [[None if i == j else round(float(wins.share[i, j]), 2) for j in range(len(names))] for i in range(len(names))],
        "pairs": int(wins.pairs.max()),
    }  # fmt: skip
    return made | ({"profile": _profile(costs)} if ratios else {})


def _profile(costs: np.ndarray) -> dict[str, Any]:
    """Shares at ratios from 1 to the largest that matters, at most 1000, evenly on a log axis."""
    steps = comparisons.performance_profile(costs).ratios
    top = min(max(float(steps.max(initial=1.0)), 1.01), 1000.0)
    found = comparisons.performance_profile(costs, list(np.geomspace(1, top, RATIOS)))
    return {
        "ratios": [float(f"{x:.4g}") for x in found.ratios],
        "shares": [[round(float(y), 3) for y in s] for s in found.shares],
    }
