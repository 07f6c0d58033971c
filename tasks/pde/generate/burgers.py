"""Viscous Burgers' equation marched by its exact solution: no time step to choose, no grid that has to hold the shocks.

Cole (1951) and Hopf (1950): u = -2 d phi_x / phi where phi solves the heat equation, so that over any time s

    phi(x, t + s) = int G(x - y) phi(y, t) dy,    u(x, t + s) = int (x - y) / s G(x - y) phi(y, t) dy / phi(x, t + s),

with a Gaussian G of variance 2 d s. Every term of phi is positive, so nothing cancels, and the trapezoidal sum of a function
as smooth as a Gaussian of width w errs by 2 exp(-2 pi^2 (w / spacing)^2): a grid that holds G holds everything, however
thin the shocks of u are. phi spans hundreds of orders of magnitude, so its logarithm is kept, and each block of outputs
takes out the largest value in its reach.
"""

from __future__ import annotations

import math

import numpy as np

from tasks.pde.fields import Array, Waves, grid

CHUNK = 50  # trajectories advanced together: what a processor's cache holds
DEVIATIONS = 8.5  # of G that a sum reaches beyond the largest shift: the rest is exp(-36)
FINENESS = 1.4  # widths of the narrowest peak of G phi a spacing: an error of exp(-38)
POINTS = 16  # of the grid a wave of the start: phi holds its overtones too
LARGEST = 600.0  # exponents up to here stand for numbers, with room for sums


def extent(points: int, diffusion: float, step: float, speed: float) -> tuple[float, float, int]:
    """(deviation of G, how far sums reach beyond a block, blocks as wide as that or of one of the `points` each)."""
    deviation = math.sqrt(2 * diffusion * step)
    reach = speed * step + DEVIATIONS * deviation
    divisors = (n for n in range(1, points + 1) if points % n == 0 and 1 / n <= reach)
    return deviation, reach, next(divisors, points)


class Kernel:
    """Sums over one time step `step`, for a periodic unit interval in `blocks` equal blocks.

    speed bounds |u|, slope bounds u_x; both never grow in time (the maximum principle). waves: the largest wave number of
    u at the start. The grid of phi has `size` points; each block's outputs need `window` of them.
    """

    def __init__(self, points: int, diffusion: float, step: float, speed: float, slope: float, waves: float) -> None:
        deviation, reach, self.blocks = extent(points, diffusion, step, speed)
        narrowest = 1 / math.sqrt(1 / deviation**2 + slope / (2 * diffusion))
        each = math.ceil(max(FINENESS / narrowest, waves * POINTS) / self.blocks)
        self.size = self.blocks * each
        beyond = math.ceil(reach * self.size)
        local = np.arange(-beyond, each + beyond)
        self.window = local + each * np.arange(self.blocks)[:, None]
        from_ = (local[:, None] + 0.5) / self.size
        inner, outer = (np.arange(each) + 0.5) / self.size, grid(points)[: points // self.blocks]
        self.march = self._gauss(inner - from_, deviation)
        distance = outer - from_
        self.weight = self._gauss(distance, deviation)
        self.moment = self.weight * distance / step

    def _gauss(self, distance: Array, deviation: float) -> Array:
        scale = self.size * deviation * math.sqrt(2 * math.pi)
        return np.asarray(np.exp(-0.5 * (distance / deviation) ** 2) / scale)

    def advance(self, logarithm: Array, drift: Array, read: bool = True) -> tuple[Array, Array]:
        """The logarithm of phi (samples, size), and u (samples, points) if it is to be read, one step later.

        drift: what the logarithm loses over a period, the mean of u over 2 d (samples,).
        """
        around = logarithm[:, self.window % self.size]
        if drift.any():
            around = around - drift[:, None, None] * (self.window // self.size)
        largest = around.max(axis=2, keepdims=True)
        values = np.exp(around - largest).reshape(-1, self.window.shape[1])
        later = np.log(values @ self.march).reshape(*largest.shape[:2], -1) + largest
        u = (values @ self.moment) / (values @ self.weight) if read else values[:, :0]
        return later.reshape(logarithm.shape), u.reshape(len(logarithm), -1)


def kernel(
    points: int, diffusion: float, interval: float, speed: float, slope: float, waves: float
) -> tuple[Kernel, int]:
    """The kernel, and how many of its steps make an interval: as few as keep all exponents in the range of numbers.

    ValueError if none do: phi then changes too much over one of the `points` cells.
    """
    for steps in (2**n for n in range(16)):
        deviation, reach, blocks = extent(points, diffusion, interval / steps, speed)
        slopes = speed * (1 / blocks + 2 * reach) / (2 * diffusion)
        if max(slopes, (reach + 1 / blocks) ** 2 / (2 * deviation**2)) < LARGEST:
            return Kernel(points, diffusion, interval / steps, speed, slope, waves), steps
    raise ValueError(
        f"Burgers' equation at a diffusion of {diffusion:.3g} and speeds up to {speed:.3g} wants more than {points} points"
    )


def solve(waves: Waves, points: int, t: Array, nu: float) -> Array:
    """u_t + (u^2/2)_x = (nu/pi) u_xx from `waves`: (samples, times, points) at uniform times t with t[0] = 0."""
    out = np.empty((len(waves.amplitudes), len(t), points))
    out[:, 0] = waves(grid(points))
    if len(t) == 1 or not len(out):
        return out
    diffusion, interval = nu / math.pi, float(t[1] - t[0])
    highest = float(waves.numbers.max())
    fine = grid(16 * max(4, round(highest)))  # a maximum between its points is missed by less than 2 %
    speed = 1.02 * float(np.abs(waves(fine)).max())
    slope = 1.02 * float(waves.slope(fine).max())
    step, substeps = kernel(points, diffusion, interval, speed, slope, highest)
    for start in range(0, len(out), CHUNK):
        chunk = waves.pick(slice(start, start + CHUNK))
        drift = chunk.mean / (2 * diffusion)
        y = grid(step.size)
        logarithm = -(chunk.integral(y) + chunk.mean[:, None] * y) / (2 * diffusion)
        for frame in range(1, len(t)):
            for _ in range(substeps - 1):
                logarithm, _ = step.advance(logarithm, drift, read=False)
            logarithm, out[start : start + CHUNK, frame] = step.advance(logarithm, drift)
    return out
