"""The error of the Gaussian fit's score on Gaussian data, in closed form to first order in 1/n. Derived here, tested by draws.

The fit has the mean m and covariance C of the samples (divisor n - 1). With V_i = a^2 v_i + s^2 the variances at time t, the
score moves by d score_i = a dm_i / V_i + a^2 sum_j dC_ij z_j / V_i, where z_j = (x_j - a m_j) / V_j has variance 1/V_j. For
normal samples Var m_i = v_i / n, Var C_ii = 2 v_i^2 / n and Var C_ij = v_i v_j / n, all uncorrelated, so that

E s^2 |d score|^2 = (s^2 / n) [sum_i a^2 v_i / V_i^2 + sum_i sum_j (1 + [i = j]) a^4 v_i v_j / (V_i^2 V_j)].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

NODES = 400  # midpoints of the mean over times


def gaussian_variances(dimension: int) -> list[float]:
    """Variances of the law `gaussian`: evenly in the logarithm from 1 to 0.25."""
    return [0.25 ** (i / max(1, dimension - 1)) for i in range(dimension)]


def gaussian_error(variances: Sequence[float], samples: float, start: float, end: float) -> float:
    """Expected score_error of the Gaussian fit to `samples` draws, to first order, mean over uniform times in [start, end].

    ValueError for a window or a number of samples that cannot be.
    """
    if not (0 < start < end and samples > 0):
        raise ValueError(
            f"{samples} samples, times from {start} to {end}: samples and start are above 0, the end above the start"
        )
    total = 0.0
    for k in range(NODES):
        t = start + (end - start) * (k + 0.5) / NODES
        a2 = math.exp(-2 * t)
        noisy = [a2 * v + 1 - a2 for v in variances]
        pairs = list(zip(variances, noisy, strict=True))
        mean = sum(a2 * v / w**2 for v, w in pairs)
        own = sum(a2**2 * v**2 / w**3 for v, w in pairs)
        mixed = sum(a2**2 * v * u / (w**2 * z) for v, w in pairs for u, z in pairs)
        total += (1 - a2) * (mean + own + mixed)
    return total / NODES / samples


def gaussian_error_at(samples: float, *, dimension: int, start: float = 0.05, end: float = 2.0) -> float:
    """The same for the law `gaussian`, as a function of the number of samples, for figures."""
    return gaussian_error(gaussian_variances(dimension), samples, start, end)
