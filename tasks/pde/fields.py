"""Reference solutions in float64: random periodic waves, exact solutions, and the Burgers generator.

The domain is (0, 1), periodic; grids are cell-centred, x_i = (i + 1/2) / points, as in PDEBench.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[np.float64]
MODES, TERMS = 4, 2
CHUNK = 10  # trajectories advanced together, on one grid
COARSEST = 64  # points of the grid a trajectory starts on
COURANT, LONGEST = 1.2, 1 / 512  # time step: radians that the highest wave turns at the largest speed; at most
TAIL = 1e-7  # share of the largest wave that the highest ones may hold
CONTOUR = 32  # points of the contour integral


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
        """The antiderivative with mean zero: (samples, points)."""
        return self._sum(-self.amplitudes / (2 * math.pi * self.numbers), np.cos, x)

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


def burgers_resolution(nu: float) -> int:
    """Grid points that resolve the steepest shock: at least 10 / nu. No grid gets finer.

    A shock of jump J is a tanh whose nearest pole lies pi 2 (nu/pi) / J off the real axis, so its spectrum decays as
    exp(-4 pi nu k / J); J is below 4.
    """
    return _rounded(10 / nu)


def _rounded(number: float) -> int:
    """The least of 1, 2, 3, 4, 6, 8, 12, 16, ... that is not below `number`: few sizes, all fast to transform."""
    power = 2 ** max(0, math.ceil(math.log2(max(number, 1))))
    return power * 3 // 4 if power >= 4 and power * 3 // 4 >= number else power


def burgers(waves: Waves, points: int, t: Array, nu: float) -> Array:
    """u_t + (u^2/2)_x = (nu/pi) u_xx from `waves`: (samples, times, points) at uniform times t with t[0] = 0.

    Pseudo-spectral in space, dealiased by the 2/3 rule; ETDRK4 in time (Cox and Matthews 2002, with the contour integrals
    of Kassam and Trefethen 2005). Grid and time step follow the solution: trajectories of like steepness go together; the
    way to the next frame is gone again on a finer grid while the highest waves hold more than TAIL of the largest, up to
    `burgers_resolution`, and the next one on a coarser grid where its highest waves would hold next to nothing.
    """
    out = np.empty((len(waves.amplitudes), len(t), points))
    steepness = (waves.amplitudes * waves.numbers).sum(axis=1)
    order = np.argsort(-steepness, kind="stable")
    for start in range(0, len(out), CHUNK):
        chunk = order[start : start + CHUNK]
        out[chunk] = _burgers_chunk(waves.pick(chunk), points, t, nu)
    return out


def _burgers_chunk(waves: Waves, points: int, t: Array, nu: float) -> Array:
    finest, size = burgers_resolution(nu), COARSEST
    interval = float(t[1] - t[0])
    out = np.empty((len(waves.amplitudes), len(t), points))
    out[:, 0] = waves(grid(points))
    state = fft.rfft(waves(np.arange(size) / size))[:, : size // 3 + 1]
    steppers: dict[tuple[int, int], _Etdrk4] = {}
    for frame in range(1, len(t)):
        while True:
            turned = np.abs(fft.irfft(state, size)).max() * 2 * math.pi * (size // 3) * interval
            substeps = _rounded(max(turned / COURANT, interval / LONGEST))
            made = (size, substeps)
            if made not in steppers:
                steppers[made] = _Etdrk4(size, nu / math.pi, interval / substeps)
            ahead = steppers[made].advance(state, substeps)
            if size >= finest or _share(ahead, 0.9) < TAIL:
                break
            state, size = _resized(state, size, _rounded(size + 1)), _rounded(size + 1)
        out[:, frame] = _sampled(ahead, size, points)
        state, coarser = ahead, _rounded(size / 1.5)
        if size > COARSEST and _share(state, 0.9 * coarser / size) < TAIL / 10:
            state, size = _resized(state, size, coarser), coarser
    return out


def _share(state: NDArray[np.complex128], above: float) -> float:
    """The largest wave from that share of the kept wave numbers on, over the largest of all; of the worst trajectory."""
    size = np.abs(state)
    return float((size[:, int(above * size.shape[1]) :].max(axis=1) / size.max(axis=1).clip(1e-300)).max())


def _resized(state: NDArray[np.complex128], size: int, wanted: int) -> NDArray[np.complex128]:
    """The same waves for a grid of `wanted` points, whose 2/3 rule keeps more or fewer of them."""
    kept = wanted // 3 + 1
    out = np.zeros((len(state), kept), complex)
    common = min(kept, state.shape[1])
    out[:, :common] = state[:, :common] * (wanted / size)
    return out


def _sampled(state: NDArray[np.complex128], size: int, points: int) -> Array:
    """Values on the stored grid's centres, which need not lie on the solver's grid: read off the waves."""
    stride = max(1, math.ceil(2 * state.shape[1] / points))
    shift = np.exp(2j * math.pi * np.arange(state.shape[1]) * grid(points)[0])
    fine = stride * points
    return fft.irfft(state * shift, fine)[:, ::stride] * (fine / size)


class _Etdrk4:
    """Fourth-order exponential time differencing for Burgers' equation in Fourier space."""

    def __init__(self, points: int, diffusion: float, step: float) -> None:
        self.points, self.kept = points, points // 3 + 1
        numbers = 2 * math.pi * np.arange(self.kept)
        linear = -diffusion * numbers**2
        self.flux = -0.5j * numbers
        self.whole, self.half = np.exp(step * linear), np.exp(step * linear / 2)
        circle = np.exp(2j * math.pi * (np.arange(CONTOUR) + 0.5) / CONTOUR)
        z = step * linear[:, None] + circle  # the coefficients are 0/0 at z = 0: averaged around a circle instead
        e = np.exp(z)

        def mean(values: NDArray[np.complex128]) -> Array:
            return step * values.mean(axis=1).real

        self.q = mean((np.exp(z / 2) - 1) / z)
        self.f1 = mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3)
        self.f2 = 2 * mean((2 + z + e * (z - 2)) / z**3)
        self.f3 = mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3)

    def nonlinear(self, state: NDArray[np.complex128]) -> NDArray[np.complex128]:
        field = fft.irfft(state, self.points)
        return np.asarray(self.flux * fft.rfft(field * field)[:, : self.kept])

    def advance(self, state: NDArray[np.complex128], steps: int) -> NDArray[np.complex128]:
        for _ in range(steps):
            n0 = self.nonlinear(state)
            a = self.half * state + self.q * n0
            na = self.nonlinear(a)
            nb = self.nonlinear(self.half * state + self.q * na)
            nc = self.nonlinear(self.half * a + self.q * (2 * nb - n0))
            state = self.whole * state + self.f1 * n0 + self.f2 * (na + nb) + self.f3 * nc
        return state
