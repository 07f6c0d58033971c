"""Exact generalisation errors of a linear student (Advani, Saxe 2017, arXiv 1710.03667).

Inputs x ~ N(0, I/N), targets y = w.x + noise with w_i ~ N(0, 1) and noise variance 1/snr; alpha = P/N samples a weight.
Full-batch gradient descent on the *sum* of squared errors over two, hence time = steps x rate and eigenvalues of X'X that
follow Marchenko and Pastur's law. Every error includes the noise 1/snr of a new target, so the best one is 1/snr.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NODES = 20000  # of the quadrature: resolves decays up to time 1e5, where lambda ~ 1/time is 0.003 rad from the edge


def edges(alpha: float) -> tuple[float, float]:
    """(least, largest) eigenvalue of X'X off zero, N to infinity: (sqrt(alpha) -+ 1)^2."""
    _positive(alpha=alpha)
    return (math.sqrt(alpha) - 1) ** 2, (math.sqrt(alpha) + 1) ** 2


def expectation(f: Callable[[Array], Array], alpha: float) -> float:
    """Mean of f over the eigenvalues of X'X (N x N): the Marchenko-Pastur density, and 1 - alpha at zero if alpha < 1.

    With lambda = 1 + alpha - 2 sqrt(alpha) cos(theta) the density sqrt((l+ - l)(l - l-)) / (2 pi l) dl becomes smooth in theta,
    also at alpha = 1 where it has a pole at zero, and midpoints converge fast. f takes an array and is finite at 0.
    """
    _positive(alpha=alpha)
    theta = (np.arange(NODES) + 0.5) * (math.pi / NODES)
    eigenvalues = 1 + alpha - 2 * math.sqrt(alpha) * np.cos(theta)
    weights = 2 * alpha * np.sin(theta) ** 2 / eigenvalues / NODES
    bulk = float(weights @ f(eigenvalues))
    return bulk + (max(0.0, 1 - alpha) * float(f(np.zeros(1))[0]) if alpha < 1 else 0.0)


def gradient_descent(alpha: float, snr: float, time: float, start: float = 0.0, rate: float = 0.0) -> float:
    """Error at `time`, from weights of variance `start`; with a `rate`, of steps of that size instead of the gradient flow.

    E(t) = <(1 + start) d^2 + (1 - d)^2 / (snr l)> + 1/snr, where d = exp(-l t), or (1 - rate l)^(t / rate) for steps.
    """
    _positive(alpha=alpha, snr=snr)
    if time < 0 or start < 0 or rate < 0:
        raise ValueError(f"time={time}, start={start}, rate={rate}: none may be negative")
    if rate * edges(alpha)[1] >= 2:
        raise ValueError(
            f"rate={rate}: steps diverge from 2 / {edges(alpha)[1]:.3g} on, the inverse of the largest eigenvalue"
        )

    def error(eigenvalues: Array) -> Array:
        decay = (1 - rate * eigenvalues) ** round(time / rate) if rate else np.exp(-time * eigenvalues)
        learned = -np.expm1(-time * eigenvalues) if not rate else 1 - decay
        noise = np.divide(learned**2, eigenvalues, out=np.zeros_like(learned), where=eigenvalues > 0)
        return (1 + start) * decay**2 + noise / snr

    return expectation(error, alpha) + 1 / snr


def ridge(alpha: float, snr: float, penalty: float | None = None) -> float:
    """Error of argmin |y - Xw|^2 + penalty |w|^2; by default at the best penalty, 1/snr, the mean of the posterior."""
    _positive(alpha=alpha, snr=snr)
    g = 1 / snr if penalty is None else penalty
    _positive(penalty=g)
    return expectation(lambda x: (g**2 + x / snr) / (x + g) ** 2, alpha) + 1 / snr


def minimum_norm(dimension: int, samples: int, snr: float) -> float:
    """Mean error of the least-squares solution of least norm, exact at any size (moments of the inverse Wishart law).

    P < N: 1 - P/N + P / (snr (N - P - 1)) + 1/snr. P > N: N / (snr (P - N - 1)) + 1/snr. ValueError within one of P = N,
    where the mean does not exist.
    """
    _positive(dimension=dimension, samples=samples, snr=snr)
    if abs(samples - dimension) <= 1:
        raise ValueError(
            f"{samples} samples in {dimension} dimensions: the error has no finite mean within one of P = N"
        )
    if samples < dimension:
        return 1 - samples / dimension + samples / (dimension - samples - 1) / snr + 1 / snr
    return dimension / (samples - dimension - 1) / snr + 1 / snr


def minimum_norm_limit(alpha: float, snr: float) -> float:
    """The mean error of the least-norm solution for N to infinity; infinite at alpha = 1."""
    _positive(alpha=alpha, snr=snr)
    if alpha == 1:
        return math.inf
    return (1 - alpha + alpha / (1 - alpha) / snr if alpha < 1 else 1 / (alpha - 1) / snr) + 1 / snr


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name}={value}: it has to be finite and above 0")
