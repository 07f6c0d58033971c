"""Penalty methods: gradients of psi_sigma from gradients of both levels alone. lambda = 1 / sigma.

Its gradient at x is f_x(x, y) + lambda (g_x(x, y) - g_x(x, z)), y near the minimum of f + lambda g, z near that of g. Rates `lr`
of x are in units of 1 / scale, the rough size of the second derivatives of psi, which the oracle tells.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from baselines.bilevel.arguments import Iterates, positive
from bench.contract import BenchError


def f2sa(
    *, oracle: Any, x: Tensor, y: Tensor, generator: Generator, lr: float = 0.1, inner: float = 1.0, first: float = 1.0,
    growth: float = 0.1, decay: float = 4 / 7, steps: int = 10,
) -> Iterates:  # fmt: skip
    """F2SA (Kwon et al. 2023, arXiv 2301.10945): lambda grows by growth k^(-1/7), rates fall.

    lr: rate of x at k = 1. inner: rate of z and y in units of 1 / L. y, on f + lambda g, moves at inner k^(-5/7) / L_g,
    at most inner / (L_f + lambda L_g), beyond which descent leaves. steps: of y and z for each of x.
    """
    positive("f2sa", lr=lr, inner=inner, first=first, steps=steps)
    if not growth >= 0 or not decay >= 0:
        raise BenchError(f"method.growth={growth} and method.decay={decay} of f2sa: neither may be negative")
    of_f, of_g = oracle.smoothness
    z, penalty, k = y, first, 0
    while True:
        k += 1
        rate_z = inner / of_g * k**-decay
        rate_y = min(inner / of_g * k ** (-5 / 7), inner / (of_f + penalty * of_g))
        for _ in range(steps):
            z = oracle.project_y(z - rate_z * oracle.lower(x, z)[1])
            y = oracle.project_y(y - rate_y * (oracle.upper(x, y)[1] + penalty * oracle.lower(x, y)[1]))
        slope = oracle.upper(x, y)[0] + penalty * (oracle.lower(x, y)[0] - oracle.lower(x, z)[0])
        x = oracle.project_x(x - lr / oracle.scale * k**-decay * slope)
        yield x, 1 / penalty
        penalty += growth * k ** (-1 / 7)


def annealed(
    *, oracle: Any, x: Tensor, y: Tensor, generator: Generator, lr: float = 0.3, inner: float = 1.0, first: float = 3.0,
    last: float = 0.1, cooling: float = 1.5, steps: int = 10, outer: int = 600,
) -> Iterates:  # fmt: skip
    """Two loops as at a fixed sigma, while sigma falls at equal ratios from `first` to `last` over `outer` steps of x.

    The rate of x falls as sigma^cooling: near a jump of psi the gradient of psi_sigma grows as 1 / sigma.
    """
    positive("annealed", lr=lr, inner=inner, first=first, last=last, steps=steps, outer=outer)
    if not cooling >= 0:
        raise BenchError(f"method.cooling={cooling} of annealed: it may not be negative")
    of_f, of_g = oracle.smoothness
    z, k = y, 0
    while True:
        sigma = first * (last / first) ** min(1.0, k / outer)
        rate_y, rate_z = inner / (sigma * of_f + of_g), inner / of_g
        for _ in range(steps):
            z = oracle.project_y(z - rate_z * oracle.lower(x, z)[1])
            y = oracle.project_y(y - rate_y * (sigma * oracle.upper(x, y)[1] + oracle.lower(x, y)[1]))
        slope = oracle.upper(x, y)[0] + (oracle.lower(x, y)[0] - oracle.lower(x, z)[0]) / sigma
        x = oracle.project_x(x - lr / oracle.scale * (sigma / first) ** cooling * slope)
        yield x, sigma
        k += 1


def momentum(
    *, oracle: Any, x: Tensor, y: Tensor, generator: Generator, sigma: float = 0.03, lr: float = 0.03, inner: float = 0.3,
    memory: float = 0.1,
) -> Iterates:  # fmt: skip
    """One loop, one sample a step, with recursive momentum on all three directions (Kwon et al. 2023, arXiv 2309.01753).

    d_t = G(now; sample) + (1 - memory) (d_(t-1) - G(before; the same sample)), for G the gradients that move z, y and x. The
    same sample is asked at two points, which the paper's mean-squared smoothness makes useful. memory in (0, 1]; 1 has none.
    """
    positive("momentum", sigma=sigma, lr=lr, inner=inner)
    if not 0 < memory <= 1:
        raise BenchError(f"method.memory={memory} of momentum: it lies in (0, 1]")
    of_f, of_g = oracle.smoothness
    rates = (inner / of_g, inner / (sigma * of_f + of_g), lr / oracle.scale)

    def directions(at: list[Tensor], sample: Any) -> list[Tensor]:
        z, y, x = at
        f_x, f_y = oracle.upper(x, y, sample)
        (g_x, g_y), (h_x, h_y) = oracle.lower(x, y, sample), oracle.lower(x, z, sample)
        return [h_y, sigma * f_y + g_y, f_x + (g_x - h_x) / sigma]

    now, before, held = [y, y, x], [y, y, x], [torch.zeros_like(y), torch.zeros_like(y), torch.zeros_like(x)]
    kept = 0.0  # nothing is held before the first step
    while True:
        sample = oracle.draw()
        fresh = directions(now, sample)
        if kept:
            stale = directions(before, sample)
            fresh = [f + kept * (h - s) for f, h, s in zip(fresh, held, stale, strict=True)]
        before, held, kept = now, fresh, 1 - memory
        z, y, x = (at - rate * move for at, rate, move in zip(now, rates, fresh, strict=True))
        now = [oracle.project_y(z), oracle.project_y(y), oracle.project_x(x)]
        yield now[2], sigma


def bome(
    *, oracle: Any, x: Tensor, y: Tensor, generator: Generator, lr: float = 0.1, inner: float = 1.0, eta: float = 0.5,
    steps: int = 10,
) -> Iterates:  # fmt: skip
    """BOME (Ye et al. 2022, arXiv 2209.08709): q(x, y) = g(x, y) - g(x, z), z after `steps` of descent from y, held constant.

    (x, y) moves against grad f + lambda grad q with lambda = max(eta |grad q|^2 - <grad f, grad q>, 0) / |grad q|^2, at rate lr;
    for y the rate is lr / L_f, as its units are others than those of x.
    """
    positive("bome", lr=lr, inner=inner, eta=eta, steps=steps)
    of_f, of_g = oracle.smoothness
    while True:
        z = y
        for _ in range(steps):
            z = oracle.project_y(z - inner / of_g * oracle.lower(x, z)[1])
        f_x, f_y = oracle.upper(x, y)
        q_x, q_y = oracle.lower(x, y)
        q_x = q_x - oracle.lower(x, z)[0]
        size = float(q_x @ q_x + q_y @ q_y)
        cross = float(f_x @ q_x + f_y @ q_y)
        penalty = max(eta * size - cross, 0.0) / size if size > 0 else 0.0
        rate_y = min(lr / of_f, 1 / (of_f + penalty * of_g))
        x = oracle.project_x(x - lr / oracle.scale * (f_x + penalty * q_x))
        y = oracle.project_y(y - rate_y * (f_y + penalty * q_y))
        yield x, None
