"""Comparisons of entries that describe and never rank: pure functions on arrays of entries, tasks and seeds.

Ranks come from `bench.tables.statistics`. Axes are always in the order entries, tasks, seeds. Seeds are paired: the same
seed of the same task gave every entry the same data and draws. NaN stands for a cell that was not run.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.tables import statistics
from bench.tables.statistics import MIN_SEEDS, ROUNDING, Array, Better, Scale

MOST_SEEDS = 100_000  # a comparison that needs more seeds is not feasible
NEAR = 0.05  # sensitivity counts trials whose objective differs from the best by at most this share of it


class Difference(NamedTuple):
    """Mean of a - b over paired seeds with its t interval, and the two-sided p of a paired t test."""

    mean: float
    lo: float
    hi: float
    p: float
    seeds: int


def _paired(a: ArrayLike, b: ArrayLike) -> Array:
    """a - b [seeds], of the seeds that both have; differences within the rounding of the values are set to 0."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise ValueError(f"paired values are two lists of the same seeds, not of shapes {x.shape} and {y.shape}")
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    tolerance = ROUNDING * float(max(np.abs(x).max(initial=0), np.abs(y).max(initial=0)))
    return np.where(np.abs(x - y) <= tolerance, 0.0, x - y)


def paired_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Difference:
    """Difference of two entries over the seeds that both have.

    a, b: [seeds], on the metric's scale (log: exp of the result is a ratio); ValueError if the shapes differ. Interval and
    p are NaN with fewer than three pairs; a difference that never varies has p = 0, or p = 1 if it is 0.
    """
    differences = _paired(a, b)
    n = len(differences)
    p = statistics.paired_test(np.stack([differences, np.zeros(n)]), [0], [1])[1][0] if n >= MIN_SEEDS else math.nan
    return Difference(*statistics.t_interval(differences, level), float(p), n)


def _power(n: int, effect: float, alpha: float) -> float:
    """Power of a two-sided paired t test of `n` pairs at `effect` = mean / standard deviation: noncentral t."""
    from scipy.special import nctdtr, stdtrit

    edge, shift = float(stdtrit(n - 1, 1 - alpha / 2)), math.sqrt(n) * effect
    missed = float(np.nan_to_num(nctdtr(n - 1, shift, edge)))  # scipy returns NaN for probabilities below 1e-100
    wrong_way = float(nctdtr(n - 1, shift, -edge)) if shift < 6 else 0.0  # at most the normal's tail beyond `shift`
    return 1 - missed + wrong_way


def seeds_to_separate(a: ArrayLike, b: ArrayLike, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Seeds with which a paired t test separates a from b with probability `power`, if the true effect is the measured one.

    a, b: [seeds], on the metric's scale. None if they are equal, if fewer than two pairs were measured, or if more than
    100,000 seeds would be needed. At least three, since fewer are never ranked. The effect is an estimate from few seeds:
    say "about". In a table of many pairs pass alpha divided by their number, the level of Holm's first pair.
    """
    differences = _paired(a, b)
    if len(differences) < 2:
        return None
    mean, deviation = abs(float(differences.mean())), float(differences.std(ddof=1))
    if mean == 0 or deviation <= ROUNDING * mean:
        return MIN_SEEDS if mean else None
    counts = range(MIN_SEEDS, MOST_SEEDS + 1)
    place = bisect_left(counts, power, key=lambda n: _power(n, mean / deviation, alpha))
    return counts[place] if place < len(counts) else None


def positive_costs(values: ArrayLike, scale: Scale, better: Better) -> Array:
    """Values (any shape) of a metric as positive costs whose ratios can be compared; smaller is better.

    An error on a log scale stays as it is, an accuracy becomes the odds of being wrong, (1 - x) / x. A linear metric stays
    as it is if it is a count to be minimised, such as steps; ValueError if it is maximised or negative: it has no ratios.
    """
    x = np.asarray(values, dtype=float)
    if scale != "linear":
        y = statistics.transform(x, scale)
        return np.exp(y if better == "min" else -y)
    if better == "max" or bool((x < 0).any()):
        raise ValueError("a linear metric has ratios only if it is minimised and never negative")
    return x


def performance_profile(costs: ArrayLike, ratios: Sequence[float] | None = None) -> tuple[Array, Array]:
    """(ratios, shares [entries, ratios]): the share of problems on which an entry's cost is at most `ratio` times the best.

    costs: [entries, problems] or [entries, tasks, seeds] (each paired seed a problem, each task of equal weight), positive,
    smaller is better; inf: failed; NaN: not run, which counts like failing. A problem that no entry solved lowers every share.
    ratios: at least 1; by default every ratio at which some curve steps. ValueError for negative costs or another shape.
    Source: Dolan and Moré 2002, Benchmarking optimization software with performance profiles, equations 2.1 and 2.2.
    """
    x = np.asarray(costs, dtype=float)
    x = x[:, :, None] if x.ndim == 2 else x
    if x.ndim != 3 or bool((x < 0).any()):
        raise ValueError("a performance profile needs costs of at least 0 of shape [entries, tasks, seeds]")
    best = np.fmin.reduce(x, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(x == best, 1.0, x / best)
    ratio = np.where(np.isfinite(x), ratio, np.inf)  # where all failed, inf equals the best and is still a failure
    planned = ~np.isnan(x).all(axis=0)  # tasks may differ in seeds: count only pairs that ran
    weights = planned / np.maximum(planned.sum(axis=1, keepdims=True), 1) / max(1, int(planned.any(axis=1).sum()))
    steps = np.unique(ratio[np.isfinite(ratio)]) if ratios is None else np.asarray(ratios, dtype=float)
    shares = np.empty((len(x), len(steps)))
    for entry, row in enumerate(ratio.reshape(len(x), -1)):
        order = np.argsort(row)
        reached = np.concatenate([[0.0], np.cumsum(weights.ravel()[order])])
        shares[entry] = reached[np.searchsorted(row[order], steps, side="right")]
    return steps, shares


def win_matrix(values: ArrayLike, better: Better) -> tuple[Array, NDArray[np.int64]]:
    """Probability of improvement: how often the row's entry beats the column's on the same task and seed; ties are half.

    values: [entries, seeds] or [entries, tasks, seeds]; a failed seed holds its penalty, inf or -inf, NaN was not run.
    Returns shares, with one half on the diagonal, and the numbers of pairs, of equal weight: both [entries, entries].
    Source: Agarwal et al. 2021, section 4.3, here paired by seed.
    """
    x = np.asarray(values, dtype=float)
    x = x.reshape(len(x), -1) * (1 if better == "max" else -1)
    wins = np.array([(row > x).sum(axis=1) + 0.5 * (row == x).sum(axis=1) for row in x])
    pairs = np.array([(~np.isnan(row) & ~np.isnan(x)).sum(axis=1) for row in x])
    with np.errstate(invalid="ignore"):
        return wins / pairs, pairs


def leave_one_out(skills: ArrayLike) -> tuple[list[int], list[int]]:
    """How much the means over tasks depend on each task: the tasks without which another entry would lead, and for every
    task the number of pairs of entries whose order changes without it.

    skills: [entries, tasks], larger is better, NaN where an entry lacks a task. ValueError with fewer than two tasks.
    """
    x = np.asarray(skills, dtype=float)
    tasks = x.shape[1]
    if tasks < 2:
        raise ValueError("leaving one task out needs at least two tasks")
    means = x.mean(axis=1)
    without = np.array([np.delete(x, task, axis=1).mean(axis=1) for task in range(tasks)])
    order = np.sign(means[:, None] - means[None, :])
    flips = [int((np.sign(row[:, None] - row[None, :]) * order < 0).sum()) // 2 for row in without]
    first, *leader = np.argmax([np.where(np.isnan(row), -np.inf, row) for row in (means, *without)], axis=1).tolist()
    return [task for task in range(tasks) if leader[task] != first], flips


def best_of(values: ArrayLike, better: Better, scale: Scale = "linear") -> list[float]:
    """Expected best of k of the n trials, k = 1..n: the score at an equal number of trials.

    values: [n], the objective of each trial; a diverged one is inf or -inf, which makes the mean infinite for every k of
    which some subset diverged entirely. The mean is over all subsets of k trials, taken on `scale` and mapped back:
    E[best of k] = sum over i of C(i-1, k-1) / C(n, k) g(v_i), v_i the i-th from the worst. It is unbiased for independent
    trials, and at k = n it is the best value. Dodge et al. 2019, Show your work, section 3, draw with replacement, with
    weights P(v <= v_i)^k - P(v < v_i)^k, which underrates the best of k trials, the more the nearer k comes to n
    (Tang et al. 2020, Showing your work doesn't always work).
    """
    x = np.asarray(values, dtype=float)
    g = np.where(np.isfinite(x), statistics.transform(np.where(np.isfinite(x), x, 1.0), scale), x)
    ordered = np.sort(g)[:: -1 if better == "min" else 1]  # from the worst to the best
    n = len(ordered)
    means = []
    for k in range(1, n + 1):
        weights = np.array([math.comb(i - 1, k - 1) / math.comb(n, k) for i in range(1, n + 1)])
        held = weights > 0  # weight 0 times an infinite value would be NaN
        with np.errstate(over="ignore"):
            means.append(float(statistics.inverse((weights[held] * ordered[held]).sum(), scale)))
    return means


def near_best(values: ArrayLike, better: Better, near: float = NEAR) -> float:
    """Share of the trials whose objective lies within `near` of the best, relative to it: a measure of sensitivity.

    values: [n] as in `best_of`; with trials spread evenly over a space (a lattice, or random draws) it is a share of that
    space. NaN if no value is finite.
    """
    x = np.asarray(values, dtype=float)
    if not np.isfinite(x).any():
        return math.nan
    best = float(x.min() if better == "min" else x.max())
    return float((np.abs(x - best) <= near * abs(best) * (1 + ROUNDING)).mean()) if math.isfinite(best) else math.nan
