"""Methods that differentiate the lower solution, with second derivatives or by differences, and the floor.

Rates `lr` of x are in units of 1 / scale, the rough size of the second derivatives of psi, which the oracle tells.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from baselines.bilevel.arguments import Iterates, positive
from bench.contract import BenchError

FLAT = 1e-14  # a direction of less curvature, relative to L, counts as flat: conjugate gradients end there


def start(*, oracle: Any, x: Tensor, y: Tensor, generator: Generator) -> Iterates:
    """The floor: the upper variable as it was given."""
    yield x, None


def aid_cg(
    *, oracle: Any, x: Tensor, y: Tensor, generator: Generator, lr: float = 0.3, inner: float = 1.0, steps: int = 10,
    solves: int = 5,
) -> Iterates:  # fmt: skip
    """Approximate implicit differentiation: `steps` of descent on y, then `solves` of conjugate gradients for g_yy v = f_y, both
    warm, then x against f_x - g_xy v (Pedregosa 2016, arXiv 1602.02355; Ji et al. 2021, arXiv 2010.07962).
    """
    positive("aid_cg", lr=lr, inner=inner, steps=steps, solves=solves)
    of_g = oracle.smoothness[1]
    v = torch.zeros_like(y)
    while True:
        for _ in range(steps):
            y = oracle.project_y(y - inner / of_g * oracle.lower(x, y)[1])
        f_x, f_y = oracle.upper(x, y)
        residual = f_y - oracle.curvature(x, y, v)[1]
        direction, size = residual, float(residual @ residual)
        for _ in range(solves):
            image = oracle.curvature(x, y, direction)[1]
            bend = float(direction @ image)
            if size == 0 or bend <= FLAT * of_g * float(direction @ direction):
                break
            v, residual = v + size / bend * direction, residual - size / bend * image
            size, before = float(residual @ residual), size
            direction = residual + size / before * direction
        x = oracle.project_x(x - lr / oracle.scale * (f_x - oracle.curvature(x, y, v)[0]))
        yield x, None


def unrolled(
    *, oracle: Any, x: Tensor, y: Tensor, generator: Generator, lr: float = 0.3, inner: float = 1.0, steps: int = 10
) -> Iterates:
    """Reverse-mode differentiation through `steps` of warm descent on y (Franceschi et al. 2017, arXiv 1703.01785).

    A coordinate of y that the projection held at the border at a step passes nothing back through it.
    """
    positive("unrolled", lr=lr, inner=inner, steps=steps)
    rate = inner / oracle.smoothness[1]
    while True:
        path = []
        for _ in range(steps):
            sample = oracle.draw()
            moved = y - rate * oracle.lower(x, y, sample)[1]
            after = oracle.project_y(moved)
            path.append((y, sample, after == moved))
            y = after
        slope, back = oracle.upper(x, y)
        for before, sample, free in reversed(path):
            back = back * free
            cross, bent = oracle.curvature(x, before, back, sample)
            slope, back = slope - rate * cross, back - rate * bent
        x = oracle.project_x(x - lr / oracle.scale * slope)
        yield x, None


def soba(
    *, oracle: Any, x: Tensor, y: Tensor, generator: Generator, lr: float = 0.1, inner: float = 1.0, decay: float = 0.0
) -> Iterates:
    """SOBA (Dagréou et al. 2022, arXiv 2201.13409): y, v and x move together, by g_y, g_yy v - f_y and f_x - g_xy v.

    decay: exponent by which all three rates fall with the steps; the paper's is 1/2 where gradients are noisy.
    """
    positive("soba", lr=lr, inner=inner)
    if not decay >= 0:
        raise BenchError(f"method.decay={decay} of soba: it may not be negative")
    rate, v, k = inner / oracle.smoothness[1], torch.zeros_like(y), 0
    while True:
        k += 1
        share = k**-decay
        sample = oracle.draw()
        g_y = oracle.lower(x, y, sample)[1]
        f_x, f_y = oracle.upper(x, y, sample)
        cross, bent = oracle.curvature(x, y, v, sample)
        x, y, v = (
            oracle.project_x(x - share * lr / oracle.scale * (f_x - cross)),
            oracle.project_y(y - share * rate * g_y),
            v - share * rate * (bent - f_y),
        )
        yield x, None


def finite_differences(
    *, oracle: Any, x: Tensor, y: Tensor, generator: Generator, lr: float = 0.3, inner: float = 1.0, steps: int = 10,
    width: float = 0.01, directions: int = 5,
) -> Iterates:  # fmt: skip
    """Central differences of f(x, y_T(x)), y_T after `steps` of descent from the last y, along orthonormal random directions.

    Their sum is scaled by dx / directions, so that it is unbiased; with as many directions as dimensions it is the gradient up to
    width^2. One sample serves both ends of a difference.
    """
    positive("finite_differences", lr=lr, inner=inner, steps=steps, width=width, directions=directions)
    rate, count = inner / oracle.smoothness[1], min(directions, len(x))

    def solved(at: Tensor, y: Tensor, samples: list[Any]) -> Tensor:
        for sample in samples:
            y = oracle.project_y(y - rate * oracle.lower(at, y, sample)[1])
        return y

    while True:
        y = solved(x, y, [oracle.draw() for _ in range(steps)])
        axes = torch.linalg.qr(torch.randn(len(x), count, generator=generator, dtype=x.dtype))[0]
        slope = torch.zeros_like(x)
        for axis in axes.T:
            samples = [oracle.draw() for _ in range(steps)]
            ends = [oracle.project_x(x + side * width * axis) for side in (1, -1)]
            high, low = (oracle.upper_value(end, solved(end, y, samples), samples[-1]) for end in ends)
            slope = slope + (high - low) / (2 * width) * axis
        x = oracle.project_x(x - lr / oracle.scale * len(x) / count * slope)
        yield x, None
