"""Comparisons of entries for a page: leaders and the seeds that would separate them, win matrix, performance profiles.

Numbers are as the board's data files hold them: few digits, and None for what JSON cannot hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench.contract import Metric
from bench.tables import comparisons, statistics
from bench.tables.seed_values import Group
from bench.tables.standings import Standing
from bench.tables.statistics import Scale
from bench.tables.table import Row, Table

DUELS = 16  # entries of a win matrix and of profiles: with more they cannot be read
RATIOS = 40  # points of a profile


def short(value: float | None, digits: int = 4) -> float | None:
    """`digits` significant digits, a whole number as an integer; None if the value is absent or not finite."""
    if value is None or not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e6 else rounded


def several(values: Iterable[float | None], digits: int = 4) -> list[float | None]:
    """`short` of each value."""
    return [short(value, digits) for value in values]


def sentence(standings: Sequence[Standing], scale: Scale, resolution: float = 0.0) -> str:
    """`3 of 12 entries are inseparable at the top; separating A from B needs about 11 seeds.`

    standings: best first; their `by_seed` is not yet on `scale`. resolution: of the metric that ranks, in its unit.
    """
    ranked = [standing for standing in standings if standing.rank]
    if not ranked:
        return f"None of {len(standings)} entries is ranked yet." if standings[1:] else "The only entry is not ranked."
    leaders = [standing for standing in ranked if standing.rank and standing.rank[0] == 1]
    if len(ranked) == 1:
        return f"{leaders[0].entry} is the only entry with a rank, so it leads nobody."
    below = len(standings) - len(ranked)
    more = f" {below} more {'is' if below == 1 else 'are'} unranked." if below else ""
    if len(leaders) == 1:
        behind = "1 other ranked entry" if len(ranked) == 2 else f"{len(ranked) - 1} other ranked entries"
        return f"{leaders[0].entry} leads alone, ahead of {behind}.{more}"
    first, second = (leader.entry for leader in leaders[:2])
    a, b = (statistics.transform(leader.by_seed, scale) for leader in leaders[:2])
    seeds = comparisons.seeds_to_separate(a, b, alpha=0.05 / math.comb(len(ranked), 2))
    needs = f"separating {first} from {second} needs about {seeds} seeds (there are {len(a)})"
    if resolution and statistics.tied([leader.by_seed for leader in leaders[:2]], scale, resolution)[0, 1]:
        needs = f"{first} and {second} tie: they differ by at most {resolution:.2g}, which the metric does not resolve"
    elif seeds is None:
        needs = f"no feasible number of seeds would separate {first} from {second}"
    elif seeds <= len(a):
        needs = f"{first} and {second} lie at the edge of what {len(a)} seeds separate"
    return f"{len(leaders)} of {len(ranked)} ranked entries are inseparable at the top; {needs}.{more}"


def duels(table: Table, group: Group) -> dict[str, Any]:
    """Win matrix and performance profiles of a group's first ranked entries, over seeds."""
    rows = [row for row in table.group(group) if row.rank]
    pairs = _pairs([table], [[row] for row in rows[:DUELS]])
    return {"group": group} | pairs | ({"gaps": _gaps(table.metric, rows)} if len(rows) > 1 else {})


def _gaps(metric: Metric, ranked: Sequence[Row]) -> list[list[list[Any]]]:
    """[i][j - i - 1] of the rows i < j: [estimate, lo, hi, pairs, whether the ranking separates them] of the ratio i / j on a
    log scale, of odds on a logit, else of the difference i - j. No interval where a seed failed or missed its target."""
    scaled = [statistics.transform(row.values, metric.scale) for row in ranked]
    failed = np.array([row.states for row in ranked]) == "failed"
    ties = statistics.tied([row.values for row in ranked], metric.scale, metric.resolution)
    beats = statistics.separated(np.stack(scaled), metric.better, failed, ties)

    def gap(i: int, j: int) -> list[Any]:
        difference = comparisons.paired_difference(scaled[i], scaled[j])
        whole = all(row.all_equal or math.isfinite(row.lo) for row in (ranked[i], ranked[j]))
        numbers: tuple[float, ...] = difference[:3] if whole else (difference.mean, math.nan, math.nan)
        if metric.scale != "linear":
            numbers = tuple(float(np.exp(min(x, 700.0))) for x in numbers)
        return [*several(numbers), difference.seeds, int(beats[i, j] or beats[j, i])]

    places = range(min(len(ranked), DUELS))
    return [[gap(i, j) for j in places[i + 1 :]] for i in places]


def over_tasks(tables: Sequence[Table], standings: Sequence[Standing]) -> dict[str, Any]:
    """Duels over the tasks of a suite, and what leaving one task out changes. standings: those with a mean, best first."""
    rows = [[row for row in standing.rows if row] for standing in standings]
    pairs = _pairs(tables, rows[:DUELS])
    if len(tables) > 1 and len(standings) > 1:
        decisive, flips = comparisons.leave_one_out([[row.skill for row in entry_rows] for entry_rows in rows])
        most = f"at most {max(flips)} pair{'s' * (max(flips) != 1)} change order"
        pairs["without"] = f"The same entry leads whichever task is left out; {most}."
        if decisive:
            pairs["without"] = (
                f"Without {' or '.join(tables[task].task for task in decisive)} another entry would lead."
            )
    return pairs


def _pairs(tables: Sequence[Table], rows: Sequence[Sequence[Row]]) -> dict[str, Any]:
    """Win matrix and profiles of entries from their rows [entries][tasks]; no profiles where ratios are undefined.

    Profiles are shares at ratios from 1 to the largest at which a curve steps, at most 1000, evenly on a log axis.
    """
    if len(rows) < 2:
        return {"entries": []}
    seeds = max(len(row.values) for entry_rows in rows for row in entry_rows)
    costs = np.full((len(rows), len(tables), seeds), math.nan)
    values = costs.copy()
    comparable = True
    for t, metric in enumerate(table.metric for table in tables):
        for e, row in enumerate(entry_rows[t] for entry_rows in rows):
            n, sign = len(row.values), 1 if metric.better == "max" else -1
            values[e, t, :n] = sign * statistics.transform(row.values, metric.scale, metric.resolution)
            try:
                cost = comparisons.positive_costs(row.values, metric.scale, metric.better)
            except ValueError:  # a linear metric that is maximised or negative has none
                comparable = False
            else:
                costs[e, t, :n] = np.where([state == "failed" for state in row.states], np.inf, cost)
    shares, counts = comparisons.win_matrix(values, "max")
    wins: list[list[float | None]] = shares.round(2).tolist()
    for i in range(len(rows)):
        wins[i][i] = None
    pairs = {"entries": [entry_rows[0].entry for entry_rows in rows], "wins": wins, "pairs": int(counts.max())}
    if comparable:
        top = min(max(float(comparisons.performance_profile(costs)[0].max(initial=1.0)), 1.01), 1000.0)
        ratios, shares = comparisons.performance_profile(costs, list(np.geomspace(1, top, RATIOS)))
        pairs["profile"] = {"ratios": several(ratios), "shares": shares.round(3).tolist()}
    return pairs
