"""Reference solutions in float64: random periodic waves and what becomes of them, exactly.

The domain is (0, 1), periodic; grids are cell-centred, x_i = (i + 1/2) / points, as in PDEBench.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MODES, TERMS = 4, 2


def grid(points: int) -> Array:
    """Cell centres of the unit interval."""
    return (np.arange(points) + 0.5) / points


@dataclass(frozen=True)
class Waves:
    """u(x) = sum_j a_j sin(2 pi k_j x + p_j) for each sample; amplitudes, numbers, phases: (samples, terms)."""

    amplitudes: Array
    numbers: Array
    phases: Array

    @classmethod
    def draw(cls, samples: int, seed: int) -> Waves:
        """Two terms a sample: k from 1..4 (a repeat is allowed), a from U(0, 1), p from U(0, 2 pi).

        The sums of PDEBench's 1-D initial conditions, with wave numbers that are exactly periodic on (0, 1), and
        without its rectified and windowed tenth of the samples, which no spectral reference resolves.
        """
        rng = np.random.default_rng(seed)
        shape = (samples, TERMS)
        numbers = rng.integers(1, MODES + 1, shape).astype(float)
        return cls(rng.uniform(0, 1, shape), numbers, rng.uniform(0, 2 * math.pi, shape))

    def __call__(self, x: Array) -> Array:
        """Values (samples, points)."""
        return self._sum(self.amplitudes, np.sin, x)

    def integral(self, x: Array) -> Array:
        """The antiderivative, with mean zero, of all but the mean: (samples, points)."""
        turning = self.numbers > 0
        return self._sum(-self.amplitudes * turning / (2 * math.pi * np.where(turning, self.numbers, 1)), np.cos, x)

    def slope(self, x: Array) -> Array:
        """The derivative: (samples, points)."""
        return self._sum(2 * math.pi * self.amplitudes * self.numbers, np.cos, x)

    @property
    def mean(self) -> Array:
        """Of u over the interval, (samples,): what waves of number zero hold."""
        return np.asarray(np.sum(self.amplitudes * np.sin(self.phases) * (self.numbers == 0), axis=1))

    def _sum(self, factors: Array, wave: np.ufunc, x: Array) -> Array:
        angles = 2 * math.pi * self.numbers[..., None] * x + self.phases[..., None]
        return np.sum(factors[..., None] * wave(angles), axis=1)

    def pick(self, index: slice | NDArray[np.intp]) -> Waves:
        """Some of the samples."""
        return Waves(self.amplitudes[index], self.numbers[index], self.phases[index])


def advection(waves: Waves, x: Array, t: Array, beta: float) -> Array:
    """The exact solution u0(x - beta t) of u_t + beta u_x = 0: (samples, times, points)."""
    return np.stack([waves(x - beta * time) for time in t], axis=1)


def cole_hopf(waves: Waves, x: Array, t: float, diffusion: float) -> Array:
    """The exact solution of u_t + u u_x = diffusion u_xx at time t > 0: (samples, points).

    Cole (1951), Hopf (1950): u = <(x - z) / t> under the weight exp(-G / (2 diffusion)), where G(z) is the integral
    of u0 up to z plus (x - z)^2 / (2 t). The weight spans many orders of magnitude, so its largest exponent is taken
    out. The trapezoidal sum, of an analytic function that has decayed at the ends, converges faster than any power.
    """
    reach = float(waves.amplitudes.sum(axis=1).max()) * t + 10 * math.sqrt(2 * diffusion * t)
    slope = 2 * math.pi * float((waves.amplitudes * waves.numbers).sum(axis=1).max())
    step = 0.2 * math.sqrt(2 * diffusion / (1 / t + slope))  # a fifth of the narrowest peak of the weight
    offsets = np.linspace(-reach, reach, 2 * math.ceil(reach / step) + 1)
    rows = []
    for point in x:
        exponents = -(waves.integral(point - offsets) + offsets**2 / (2 * t)) / (2 * diffusion)
        weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
        rows.append(weights @ (offsets / t) / weights.sum(axis=1))
    return np.stack(rows, axis=1)
