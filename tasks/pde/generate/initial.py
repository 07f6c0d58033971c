"""Random initial states in one dimension: sums of sines, some of them rectified or windowed.

The family of Takamoto et al. 2022 (PDEBench, arXiv 2210.07182, appendix on data generation), drawn with numpy's
generator: the same distribution, other numbers.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.contract import BenchError

Array = NDArray[np.float64]
EDGE = 0.01  # width of a window's edges, as a fraction of the domain


def require(**limits: tuple[float, float]) -> None:
    """BenchError unless each value, given as name=(value, least), is finite and at least `least`."""
    for name, (value, least) in limits.items():
        if not (math.isfinite(value) and value >= least):
            raise BenchError(f"{name} = {value}; a finite number of at least {least} is wanted")


def waves(
    samples: int,
    seed: int,
    x: Array,
    k_tot: int = 4,
    modes: int = 2,
    rectified: float = 0.1,
    windowed: float = 0.1,
    normalised: bool = False,
    periodic: bool = True,
) -> Array:
    """Sums of sines at the uniform points x of a domain of length L = len(x) * (x[1] - x[0]): (samples, len(x)).

    A sample draws `modes` wave numbers from 1..k_tot, with replacement; one that is drawn n times becomes n times as
    large, so wave numbers reach modes * k_tot. Amplitudes are U(0, 1), phases U(0, 2 pi), the sign of the sum is
    random. A fraction `rectified` of the samples is replaced by |u|; a fraction `windowed` is multiplied by a smooth
    window, from U(0.1, 0.45) to U(0.55, 0.9) as fractions of L. `normalised` maps each sample's least and largest
    values at the points x to 0 and 1.

    Wave number k is k whole periods on L. With `periodic=False` the two departures of the original are kept: the
    period is L - dx, so that the state jumps across the boundary, and each wave number not drawn adds a constant
    (amplitude times sine of phase). The window's limits are then coordinates, not fractions.

    What is drawn does not depend on x: one seed gives the same functions on every grid, but for `normalised`.
    BenchError: samples, k_tot or modes below 1, a fraction outside [0, 1], or x that is not uniform and increasing.
    """
    require(samples=(samples, 1), k_tot=(k_tot, 1), modes=(modes, 1))
    if not (0 <= rectified <= 1 and 0 <= windowed <= 1):
        raise BenchError(f"rectified = {rectified}, windowed = {windowed}; fractions from 0 to 1 are wanted")
    if x.ndim != 1 or len(x) < 2 or x[1] <= x[0] or not np.allclose(np.diff(x), x[1] - x[0]):
        raise BenchError("x must hold two or more uniformly spaced, increasing points")

    rng = np.random.default_rng(seed)
    drawn = rng.integers(1, k_tot + 1, (samples, modes))
    amplitudes, phases = rng.uniform(0, 1, (samples, k_tot)), rng.uniform(0, 2 * math.pi, (samples, k_tot))
    signs = rng.choice([-1.0, 1.0], samples)
    rectify, window = rng.random(samples) < rectified, rng.random(samples) < windowed
    left, right = rng.uniform(0.1, 0.45, samples), rng.uniform(0.55, 0.9, samples)

    dx = x[1] - x[0]
    length = dx * len(x)
    candidates = np.arange(1, k_tot + 1)
    numbers = candidates * (drawn[:, :, None] == candidates).sum(axis=1)
    if periodic:
        amplitudes = np.where(numbers > 0, amplitudes, 0)
    angular = 2 * math.pi * numbers / (length if periodic else length - dx)
    u = np.zeros((samples, len(x)))
    for j in range(k_tot):  # one wave number at a time: a large draw stays within the size of its result
        u += amplitudes[:, j, None] * np.sin(angular[:, j, None] * x + phases[:, j, None])

    u[rectify] = np.abs(u[rectify])
    u *= signs[:, None]
    place = np.mod(x / length, 1) if periodic else x
    rise, fall = (np.tanh((place - edge[window, None]) / EDGE) for edge in (left, right))
    u[window] *= (rise - fall) / 2
    if normalised:
        u -= u.min(axis=1, keepdims=True)
        u /= u.max(axis=1, keepdims=True)
    return u
