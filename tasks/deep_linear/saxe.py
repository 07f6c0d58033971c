"""What the theory says: mode trajectories, learning times, exponents of Gaussian products. Pure functions of numbers.

Saxe, McClelland and Ganguli 2013 (arXiv 1312.6120). Inputs are white, the loss is 1/2 ||target - W_D ... W_1||_F^2, and
time is the number of steps times the learning rate, in the limit of a small rate. D weight matrices are D - 1 hidden
layers; the paper counts D + 1 layers of units. s is a singular value of the target, u the network's strength in its mode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.contract import BenchError

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray


def mode(t: Sequence[float] | Array, s: float, u0: float) -> Array:
    """u(t) = s e^{2st} / (e^{2st} - 1 + s/u0), of two layers that start balanced and aligned with strength u0 > 0."""
    import numpy as np

    _positive(s=s, u0=u0)
    return s / (1 + (s / u0 - 1) * np.exp(-2 * s * np.asarray(t, dtype=float)))


def deep_mode(t: Sequence[float] | Array, layers: int, s: float, u0: float) -> Array:
    """u at times t >= 0, ascending, of `layers` matrices that start balanced and aligned: du/dt = D u^{2 - 2/D} (s - u).

    The equation is integrated for ln u with a relative tolerance of 1e-10; two layers take the closed form.
    """
    import numpy as np
    from scipy.integrate import solve_ivp

    _positive(s=s, u0=u0, layers=layers)
    if layers == 2:
        return mode(t, s, u0)
    times = np.asarray(t, dtype=float)
    power = 1 - 2 / layers

    def growth(_: float, x: Array) -> Array:
        return layers * np.exp(power * x) * (s - np.exp(x))

    span = (0.0, float(times[-1]) + 1e-12)
    solved = solve_ivp(growth, span, [math.log(u0)], "LSODA", times, rtol=1e-10, atol=1e-12)
    return np.exp(solved.y[0])


def deep_mode_time(layers: int, s: float, u0: float, uf: float) -> float:
    """Time in which `deep_mode` grows from u0 to uf, by quadrature over ln u."""
    from scipy.integrate import quad

    _ordered(s, u0, uf)
    _positive(layers=layers)

    def slowness(x: float) -> float:
        return math.exp(-x * (1 - 2 / layers)) / (layers * (s - math.exp(x)))

    return float(quad(slowness, math.log(u0), math.log(uf), epsabs=1e-12, epsrel=1e-10)[0])


def infinite_depth_time(s: float, u0: float, uf: float) -> float:
    """Limit of layers x deep_mode_time for infinitely many layers: (1/u0 - 1/uf)/s + ln[uf (s - u0)/(u0 (s - uf))]/s^2.

    It is finite: with a rate that falls as 1/layers, which depth allows, depth costs a finite delay.
    """
    _ordered(s, u0, uf)
    return (1 / u0 - 1 / uf) / s + math.log(uf * (s - u0) / (u0 * (s - uf))) / s**2


def gaussian_exponents(n: int) -> Array:
    """Lyapunov exponents, descending, (n,), in nats a layer, of products of n x n matrices with entries N(0, 1/n).

    [ln(2/n) + digamma((n - i + 1)/2)]/2 for i = 1 ... n (Newman 1986).
    """
    import numpy as np
    from scipy.special import digamma

    _positive(n=n)
    return 0.5 * (math.log(2 / n) + digamma((n - np.arange(n)) / 2))


def gaussian_exponent_errors(n: int, depth: int) -> Array:
    """Standard deviations (n,) of the exponents that QR finds in `depth` such matrices.

    The diagonal of each R holds independent chi variables of n ... 1 degrees over sqrt(n): var ln chi_k = trigamma(k/2)/4.
    """
    import numpy as np
    from scipy.special import polygamma

    _positive(n=n, depth=depth)
    return 0.5 * np.sqrt(polygamma(1, (n - np.arange(n)) / 2) / depth)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise BenchError(f"{name}={value}: the theory needs it above 0")


def _ordered(s: float, u0: float, uf: float) -> None:
    if not 0 < u0 <= uf < s:
        raise BenchError(f"u0={u0}, uf={uf}, s={s}: a mode grows towards its target, so 0 < u0 <= uf < s")
