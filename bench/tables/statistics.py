"""The board's statistics: pure functions on arrays.

Seeds are the draws. Means and intervals are taken on a metric's scale, comparisons are paired by seed, and nothing here
knows of tasks or records. scipy.special is imported inside functions, so that importing this module stays light.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Places = NDArray[np.intp] | Sequence[int]
Scale = Literal["linear", "log", "logit"]
Better = Literal["min", "max"]

LOG_EDGE = 1e-16  # an error below the resolution of doubles is rounding: it counts as this much
LOGIT_EDGE = 1e-6  # a perfect score on a finite test set is no infinite logit
ROUNDING = 1e-12  # differences that vary by less than this, relative to the values, do not vary
MIN_SEEDS = 3  # fewer give no interval
TAIL_SEEDS = 5  # fewer do not show whether a table is skewed


def transform(x: ArrayLike, scale: Scale, resolution: float = 0.0) -> Array:
    """`x` (any shape) on the scale on which seeds are averaged; log and logit are clipped at their edges.

    resolution: on a log scale an error below it counts as this much.
    """
    values = np.asarray(x, dtype=float)
    if scale == "linear":
        return values
    if scale == "log":
        return np.log(np.maximum(values, max(LOG_EDGE, resolution)))
    if scale == "logit":
        clipped = np.clip(values, LOGIT_EDGE, 1 - LOGIT_EDGE)
        return np.log(clipped) - np.log1p(-clipped)
    raise ValueError(f"no scale {scale!r}; there are linear, log, logit")


def inverse(y: ArrayLike, scale: Scale) -> Array:
    """Undo `transform`."""
    values = np.asarray(y, dtype=float)
    if scale == "linear":
        return values
    if scale == "log":
        return np.exp(values)
    if scale == "logit":
        return 0.5 * (1 + np.tanh(values / 2))  # the logistic function, without overflow
    raise ValueError(f"no scale {scale!r}; there are linear, log, logit")


def t_interval(x: ArrayLike, level: float = 0.95, scale: Scale = "linear") -> tuple[float, float, float]:
    """Mean over seeds with Student's t interval, both taken on `scale` and mapped back.

    x: [seeds]; values that are not finite are left out. Returns (centre, lo, hi); lo and hi are NaN with fewer than
    three seeds, where an interval would be a guess, and where all seeds are equal, which says nothing of their noise.
    """
    from scipy.special import stdtrit

    values = np.asarray(x, dtype=float).ravel()
    values = values[np.isfinite(values)]
    n, equal = len(values), all_equal(values)
    if n == 0:
        return np.nan, np.nan, np.nan
    values = transform(values, scale)
    centre = float(values.mean())
    if n < MIN_SEEDS or equal:
        return float(inverse(centre, scale)), np.nan, np.nan
    half = float(stdtrit(n - 1, (1 + level) / 2)) * float(values.std(ddof=1)) / np.sqrt(n)
    lo, mid, hi = (float(v) for v in inverse([centre - half, centre, centre + half], scale))
    return mid, lo, hi


def clopper_pearson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a proportion, `k` of `n` (Clopper and Pearson 1934); (0, 1) without trials.

    ValueError if there are more successes than trials.
    """
    from scipy.special import betaincinv

    if not 0 <= k <= n:
        raise ValueError(f"{k} successes of {n}")
    tail = (1 - level) / 2
    lo = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    return lo, float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0


def all_equal(x: ArrayLike) -> bool:
    """Whether the values (any shape, finite) are one value within rounding; True without any."""
    values = np.asarray(x, dtype=float)
    return not values.size or bool(np.ptp(values) <= ROUNDING * np.abs(values).max())


def interval(
    x: ArrayLike, scale: Scale = "linear", *, sample: int = 0, step: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float, float]:
    """`t_interval` with what a value is good to: (centre, lo, hi), lo and hi NaN where nothing tells how wide it is.

    x: [seeds]. sample: x are shares of this many samples each; where all seeds are equal the interval is then Clopper and
    Pearson's of all samples of all seeds, and it never leaves [0, 1]. step: how far below and above the values, which are read
    off a grid, the true ones may lie, on average over seeds; the interval is wider by this much.
    """
    values = np.asarray(x, dtype=float).ravel()
    centre, lo, hi = t_interval(values, scale=scale)
    n, (below, above) = int(np.isfinite(values).sum()), step
    if n >= MIN_SEEDS and np.isnan(lo):
        if sample:
            lo, hi = clopper_pearson(round(centre * n * sample), n * sample)
        elif below or above:
            lo = hi = centre
    if sample:
        lo, hi = np.clip([lo, hi], 0.0, 1.0).tolist()
    return centre, lo - below, hi + above


def tied(values: ArrayLike, scale: Scale, resolution: float) -> NDArray[np.bool_]:
    """[entries, entries]: whether two entries' means over seeds, taken on `scale`, differ by at most `resolution`.

    values: [entries, seeds] on the metric's own axis, `resolution` in its unit.
    """
    means = inverse(transform(values, scale).mean(axis=1), scale)
    return np.abs(means[:, None] - means[None, :]) <= resolution


def _inverse_trigamma(x: float) -> float:
    """y > 0 with trigamma(y) = x, by Newton's method on 1/trigamma, which is nearly linear (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    if x > 1e7:
        return float(1 / np.sqrt(x))
    if x < 1e-6:
        return 1 / x
    y = 0.5 + 1 / x
    for _ in range(50):
        value = float(polygamma(1, y))
        step = value * (1 - value / x) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-10:
            break
    return y


def moderate(variances: ArrayLike, df: ArrayLike, cap: float) -> tuple[Array, Array]:
    """Variances shrunk towards a common prior, and the degrees of freedom they then have.

    variances: [pairs], positive, with `df` degrees of freedom (one number, or one a pair). The prior (s0², d0) is fitted by
    the moments of the log variances; d0 is at most `cap`, since pairs share entries and so carry less information than their
    number suggests. Source: Smyth 2004, Linear models and empirical Bayes methods, sections 3 and 6.2.
    """
    from scipy.special import digamma, polygamma

    s2, d = np.asarray(variances, dtype=float), np.asarray(df, dtype=float)
    if len(s2) < 2 or cap <= 0:
        return s2, d
    logs = np.log(s2) - digamma(d / 2) + np.log(d / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, d / 2).mean())
    prior_df, prior = np.inf, np.exp(logs.mean())  # no more spread than chance: the variances are one
    if excess > 0:
        prior_df = 2 * _inverse_trigamma(excess)
        prior *= np.exp(float(digamma(prior_df / 2)) - np.log(prior_df / 2))
    prior_df = min(prior_df, cap)
    return (prior_df * prior + d * s2) / (prior_df + d), d + prior_df


def _prior_cap(entries: int, seeds: int) -> float:
    """Most degrees of freedom that the prior of the pairs' variances may have, of distinct entries; 0 means no prior.

    From five seeds on it is the number of independent variances less one for their mean; with fewer seeds half as many, and
    four entries are then too few for any prior. Source: simulation, `python -m benchmarks.statistics`.
    """
    if seeds >= 5:
        return entries - 1 if entries > 3 else 0
    return entries / 2 if entries > 4 else 0


def paired_test(values: Array, first: Places, second: Places, failed: ArrayLike = False) -> tuple[Array, Array]:
    """(mean difference, two-sided p of a paired t test) of rows `first` minus rows `second` of `values` [entries, seeds].

    failed: [entries, seeds], seeds that hold a penalty. A pair is tested on the seeds in which both ended well, or on all if
    fewer than three are left. Where the mean over all seeds says otherwise, its difference is 0: nobody gains by failing.
    """
    from scipy.special import stdtr

    (entries, seeds), failures = values.shape, np.broadcast_to(failed, values.shape)
    differences, dropped = values[first] - values[second], failures[first] | failures[second]
    dropped &= dropped.sum(axis=1, keepdims=True) <= seeds - MIN_SEEDS
    n, kept = seeds - dropped.sum(axis=1), np.where(dropped, np.nan, differences)
    largest = np.abs(values).max(axis=1)
    tolerance = ROUNDING * np.maximum(largest[first], largest[second])
    means, deviations = np.nanmean(kept, axis=1), np.nanstd(kept, axis=1, ddof=1)
    agrees = np.sign(means) == np.sign(differences.mean(axis=1))
    means = np.where(agrees & (np.abs(means) > tolerance), means, 0.0)
    varies = deviations > tolerance
    p = np.where(means == 0, 1.0, 0.0)  # a difference that never varies needs no test
    if varies.any():
        copies = np.unique(np.asarray(second)[~varies])  # a row and its copies are one draw of the noise
        s2, df = moderate(deviations[varies] ** 2, n[varies] - 1, _prior_cap(entries - len(copies), seeds))
        p[varies] = 2 * stdtr(df, -np.abs(means[varies]) / np.sqrt(s2 / n[varies]))
    return means, p


def _table_skewness(values: Array) -> float:
    """Mean skewness of the standardised rows of `values` [entries, seeds], in standard errors for normal noise.

    Only rows that vary count; 0 without any, and with fewer than five seeds.
    """
    residuals = values - values.mean(axis=1, keepdims=True)
    spread = np.sqrt((residuals**2).mean(axis=1))
    varies, n = spread > ROUNDING * np.abs(values).max(axis=1), values.shape[1]
    if n < TAIL_SEEDS or not varies.any():
        return 0.0
    skewness = (residuals[varies] ** 3).mean(axis=1) / spread[varies] ** 3
    of_one_row = np.sqrt(6 * (n - 2) / ((n + 1) * (n + 3)))  # standard deviation for normal noise
    return float(skewness.mean() * np.sqrt(len(skewness)) / of_one_row)


def _allow_for_tails(
    values: Array, failed: NDArray[np.bool_], first: Places, second: Places, means: Array, p: Array
) -> Array:
    """`p` of paired tests made larger where a tail that no seed happened to reach may have decided a pair.

    Few seeds of skewed noise often all lie on the tail's far side of their mean, so a row of wide spread then looks ahead there.
    If the rows are skewed together by more than one standard error, a pair whose leader on that side varies at least half as
    much as the other row has its p multiplied, by up to a thousand. A small table does not show its skewness: every p grows
    by 4 or 8. Failed seeds, and what a seed has in common for all rows, are left out. Source: `python -m benchmarks.statistics`.
    """
    well = np.ma.masked_array(values, failed)
    kept = well - np.ma.median(well, axis=0)
    skewness = _table_skewness(kept.data[~failed.any(axis=1)])
    spread = kept.std(axis=1).filled(0.0)
    leads = means < 0 if skewness > 0 else means > 0  # the first row lies on the side away from the tail
    wide, other = (np.where(leads, spread[a], spread[b]) for a, b in ((first, second), (second, first)))
    k, n = values.shape
    least = 8.0 if n < TAIL_SEEDS or (k <= 5 and n <= 10) else 4.0 if k <= 7 else 1.0
    most = max(least, min(1e3, float(np.exp(3 * max(0.0, abs(skewness) - 1)))))
    return np.minimum(1.0, p * np.where(wide >= other / 2, most, least))


def _holm(p: Array, alpha: float) -> NDArray[np.bool_]:
    """Which hypotheses are rejected at family-wise error `alpha` (Holm 1979): step down, stop at the first that is not."""
    order = np.argsort(p, kind="stable")
    small = p[order] <= alpha / np.arange(len(p), 0, -1)
    rejected = np.zeros(len(p), dtype=bool)
    rejected[order] = np.logical_and.accumulate(small)
    return rejected


def separated(
    values: ArrayLike, better: Better, failed: ArrayLike = False, ties: ArrayLike = False
) -> NDArray[np.bool_]:
    """[entries, entries]: whether the row's entry is significantly better than the column's.

    values: [entries, seeds], finite, paired by seed and already on the metric's scale, a failed seed at its penalty. Pairs
    are compared by paired t tests at .05, with moderated variances from four distinct rows on (five below five seeds), and
    Holm's correction over all pairs; in skewed tables a wide row needs more (`_allow_for_tails`). Rows that differ by a
    constant are separated without a test, identical rows are not. failed: [entries, seeds], as for `paired_test`: a failure
    decides no pair by itself. ties: [entries, entries], pairs that no test separates, as from `tied`.
    ValueError if the values are not finite or not of that shape.
    """
    x = np.asarray(values, dtype=float)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError("comparing ranks wants finite values of shape [entries, seeds]")
    beats = np.zeros((len(x), len(x)), dtype=bool)
    if x.shape[1] >= 2:
        first, second = np.triu_indices(len(x), 1)
        signed = x if better == "min" else -x
        means, p = paired_test(signed, first, second, failed)
        p = _allow_for_tails(signed, np.broadcast_to(failed, signed.shape).astype(bool), first, second, means, p)
        p = np.where(np.broadcast_to(ties, beats.shape)[first, second], 1.0, p)
        apart = _holm(p, alpha=0.05)
        beats[first, second], beats[second, first] = apart & (means < 0), apart & (means > 0)
    return beats


def rank_ranges(
    values: ArrayLike, better: Better, failed: ArrayLike = False, ties: ArrayLike = False
) -> list[tuple[int, int]]:
    """The ranks each entry may hold: [1 + number significantly better, K - number significantly worse].

    values, failed, ties: as for `separated`, which says who is significantly better than whom.
    """
    beats = separated(values, better, failed, ties)
    return [(1 + int(lost), len(beats) - int(won)) for lost, won in zip(beats.sum(0), beats.sum(1), strict=True)]


def skill(x: ArrayLike, floor: float, reference: float, scale: Scale, better: Better, resolution: float = 0.0) -> Array:
    """(g(floor) - g(x)) / (g(floor) - g(reference)), g the metric's scale: 0 is the floor, 1 the reference.

    Not capped above, and negative below the floor, so that noise around the floor averages 0.
    NaN where the reference does not beat the floor, since skill is undefined then. resolution: as for `transform`, so that
    the roundings of two exact entries have one skill.
    """
    g, low, high = (transform(numbers, scale, resolution) for numbers in (x, floor, reference))
    gap = low - high if better == "min" else high - low
    if not gap > 0:
        return np.full_like(g, np.nan)
    return (low - g if better == "min" else g - low) / gap


def aggregate(skills: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of the tasks' means, with a t interval over seeds of these tasks: (mean, lo, hi).

    skills: [tasks, seeds], NaN where a task has fewer seeds. Each task keeps its own variance; degrees of freedom by
    Satterthwaite (1946). No interval if some task has fewer than three seeds, or if no task's seeds differ; no mean if some
    task has none.
    """
    from scipy.special import stdtrit

    x = np.atleast_2d(np.asarray(skills, dtype=float))
    seeds = np.isfinite(x).sum(axis=1)
    if not x.size or seeds.min() == 0:
        return np.nan, np.nan, np.nan
    mean = float(np.nanmean(x, axis=1).mean())
    if seeds.min() < MIN_SEEDS:
        return mean, np.nan, np.nan
    parts = np.nanvar(x, axis=1, ddof=1) / seeds / len(x) ** 2  # of the variance of the mean, one a task
    variance = float(parts.sum())
    if variance <= (ROUNDING * mean) ** 2:
        return mean, np.nan, np.nan
    df = variance**2 / float((parts**2 / (seeds - 1)).sum())
    half = float(stdtrit(df, (1 + level) / 2)) * np.sqrt(variance)
    return mean, float(mean - half), float(mean + half)


def interquartile_mean(x: ArrayLike) -> float:
    """Mean of the middle half of the finite values (a quarter is cut at each end, rounded down); NaN without any.

    Source: Agarwal et al. 2021, Deep RL at the edge of the statistical precipice, section 4.3.
    """
    values = np.asarray(x, dtype=float).ravel()
    values = np.sort(values[np.isfinite(values)])
    cut = len(values) // 4
    return float(values[cut : len(values) - cut].mean()) if len(values) else np.nan


def time_to_target(values: ArrayLike, censored: ArrayLike, budget: float) -> tuple[int, int, float, float]:
    """(reached k, of n, mean with the unreached counted at `budget`, median or inf where it lies beyond the budget).

    values: [seeds], steps or another counted cost; censored: [seeds], True where the target was not reached, which
    includes runs that diverged. The capped mean needs no model of what lies beyond the budget.
    """
    times, missed = np.asarray(values, dtype=float), np.asarray(censored, dtype=bool)
    n = len(times)
    if n == 0:
        return 0, 0, np.nan, np.nan
    capped = np.where(missed, budget, np.minimum(times, budget))
    return int(n - missed.sum()), n, float(capped.mean()), float(np.median(np.where(missed, np.inf, times)))
