"""Whether claimed seeds were selected: an exact rank test of claimed against fresh seeds, in up to three looks.

The threat is an author who runs fifty seeds and reports the best five. Claimed and fresh seeds of an honest row are draws of
one distribution, so that every order of them is equally likely, whatever the noise: Mann and Whitney's test (1947) is
exact for normal, skewed and two-humped noise alike, and as powerful in each. `python -m benchmarks.verifying` simulates
the errors and the power; docs/statistics.md shows them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.tables.statistics import ROUNDING, Array, Better

ALPHA = 0.01  # at most this share of honest rows is disputed by chance
CLEAR = 0.2  # a row whose p lies above has no more looks
CHOICE = 10  # power is told against the best of ten times the claimed seeds: best 5 of 50
REPEATS = 2000  # of the simulated power, good to about .01


class Look(NamedTuple):
    """A comparison of the claimed seeds with the first `seeds` fresh ones, which disputes the row if p is at most `level`."""

    seeds: int
    level: float


# Three looks at .004 each dispute at most .0095 of honest rows: looks share seeds, and seldom err apart. Five fresh seeds
# that are all worse than five claimed ones have p = 1/252, the least there is, just below that level.
LOOKS = (Look(5, 0.004), Look(10, 0.004), Look(20, 0.004))


def looks(count: int | None) -> tuple[Look, ...]:
    """The plan of a verification: one look at `count` fresh seeds, or up to three while the row is undecided."""
    return LOOKS if count is None else (Look(count, ALPHA),)


@cache
def _tail(claimed: int, fresh: int) -> Array:
    """[claimed x fresh + 1]: the chance of an honest row to win at least that many of the pairs (claimed, fresh).

    Mann and Whitney's recursion: the worst of all seeds is a claimed one, which wins no pair, or a fresh one, which loses all.
    """
    row = [np.ones(1)] * (fresh + 1)
    for i in range(1, claimed + 1):
        longer = [np.ones(1)]
        for j in range(1, fresh + 1):
            chances = np.zeros(i * j + 1)
            chances[: (i - 1) * j + 1] = i / (i + j) * row[j]
            chances[i:] += j / (i + j) * longer[-1]
            longer.append(chances)
        row = longer
    return np.cumsum(row[fresh][::-1])[::-1]


def can_dispute(claimed: int, plan: Sequence[Look]) -> bool:
    """Whether some look would dispute claimed seeds that are all better than all fresh ones: a few seeds have few orders."""
    return any(_tail(claimed, look.seeds)[-1] <= look.level for look in plan)


def p_better(claimed: Sequence[float], fresh: Sequence[float], better: Better) -> float:
    """One-sided p of "the claimed seeds are better than fresh ones", exact for any continuous distribution of both.

    A tie is half a win, as with midranks, by the table for untied values: its error stays below the stated one in steps of
    a tenth to one standard deviation (simulated). Values that differ by rounding are tied.
    NaN for an empty side and for a value that is not finite.
    """
    x, y = np.asarray(claimed, dtype=float), np.asarray(fresh, dtype=float)
    if not len(x) or not len(y) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return math.nan
    gains, tiny = (y - x[:, None]) * (1 if better == "min" else -1), ROUNDING * np.abs([*x, *y]).max()
    return float(_tail(len(x), len(y))[((gains > tiny).sum() + (gains >= -tiny).sum()) // 2])


def examine(claimed: Array, fresh: Array, plan: Sequence[Look]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """(which rows are disputed, how many fresh seeds each took) of simulated rows, [rows, seeds] each, lower is better."""
    disputed, undecided = np.zeros(len(claimed), dtype=bool), np.ones(len(claimed), dtype=bool)
    taken = np.zeros(len(claimed), dtype=int)
    for look in plan:
        own, other = claimed[:, :, None], fresh[:, None, : look.seeds]
        halves = (own < other).sum(axis=(1, 2)) + (own <= other).sum(axis=(1, 2))
        p = _tail(claimed.shape[1], look.seeds)[halves // 2]
        taken[undecided] = look.seeds
        disputed |= undecided & (p <= look.level)
        undecided &= (p > look.level) & (p <= CLEAR)
    return disputed, taken


def _normal(u: Array) -> Array:
    from scipy.special import ndtri

    return np.asarray(ndtri(u))


def _two_humped(u: Array) -> Array:
    """Seven seeds in ten end well, the others ten standard deviations off."""
    good = u < 0.7
    return np.where(good, _normal(np.where(good, u / 0.7, 0.5)), 10 + _normal(np.where(good, 0.5, (u - 0.7) / 0.3)))


# As quantile functions: the same draws serve all three, and power differs only where values are tied.
NOISES: dict[str, Callable[[Array], Array]] = {
    "normal": _normal,
    "lognormal": lambda u: np.exp(_normal(u)),
    "two-humped": _two_humped,
}


def step_of(claimed: Sequence[float], fresh: Sequence[float]) -> float | None:
    """The step in which values come, in standard deviations of the fresh ones: the least distance if any two are tied, else 0.

    None where no fresh value differs from another: there is nothing to select.
    """
    spread, values = float(np.std(fresh, ddof=1)), np.unique([*claimed, *fresh])
    if spread <= ROUNDING * np.abs(values).max():
        return None
    return 0.0 if len(values) == len(claimed) + len(fresh) else float(np.diff(values).min()) / spread


def power(claimed: int, plan: Sequence[Look], step: float = 0.0) -> dict[str, float]:
    """Noise -> how often the best `claimed` of ten times as many seeds would be disputed. step: as `step_of` returns it."""
    rng, more = np.random.default_rng([claimed, plan[-1].seeds]), (CHOICE - 1) * claimed + 1
    spacings = rng.exponential(size=(REPEATS, claimed)).cumsum(axis=1)
    best = spacings / (
        spacings[:, -1:] + rng.gamma(more, size=(REPEATS, 1))
    )  # lowest order statistics of uniform draws
    fresh, grid = rng.uniform(size=(REPEATS, plan[-1].seeds)), (np.arange(1000) + 0.5) / 1000
    figures = {}
    for name, noise in NOISES.items():
        pair = [noise(best), noise(fresh)]
        if step:
            pair = [np.round(values / (step * noise(grid).std())) for values in pair]
        figures[name] = float(examine(pair[0], pair[1], plan)[0].mean())
    return figures
