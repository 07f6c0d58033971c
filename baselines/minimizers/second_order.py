"""Newton-type methods: gradient-normalized smoothness, super-universal Newton, cubic Newton.

Each is written from its equations. Where no trial step passes a method's test, which rounding brings about at the minimum, it
returns; no step is taken that failed the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.contract import BenchError

TRIALS = 40  # of one step


def _require_positive(**arguments: float) -> None:
    for name, value in arguments.items():
        if not value > 0:
            raise BenchError(f"method.{name}={value}: it has to be above 0")


def gns_newton(*, start: Tensor, oracle: Any, visit: Callable[[Tensor], None], gamma: float = 1.0) -> None:
    """Algorithm 1 of arXiv 2506.13710 with the adaptive search: d = -(H + (|g|/gamma) I)^-1 g, so that |d| <= gamma for H >= 0.

    A step is accepted if f falls by |g(x + d)|^2 / 8 lambda, lambda = |g|/gamma. gamma, the first estimate of the
    gradient-normalized smoothness, is halved at a rejection, also where H + lambda I is not positive definite, and doubled
    after a step.
    """
    _require_positive(gamma=gamma)
    x, (value, gradient) = start, oracle(start)
    while (size := float(gradient.norm())) > 0:
        hessian = oracle.hessian(x)
        for _ in range(TRIALS):
            shift = size / gamma
            step = oracle.solve(hessian, shift, -gradient)
            if step is not None:
                reached, slope = oracle(x + step)
                if value - reached >= float(slope.square().sum()) / (8 * shift):
                    break
            gamma /= 2
        else:
            return
        x, value, gradient, gamma = x + step, reached, slope, 2 * gamma
        visit(x)


def super_newton(*, start: Tensor, oracle: Any, visit: Callable[[Tensor], None], scale: float = 1.0) -> None:
    """Super-universal Newton (Doikov, Mishchenko, Nesterov 2022, arXiv 2208.05888), its power of the gradient's norm 1.

    d = -(H + lambda I)^-1 g with lambda = scale |g|; accepted if <g(x + d), -d> >= |g(x + d)|^2 / 4 lambda. scale is
    multiplied by 4 at a rejection and divided by 4 after a step.
    """
    _require_positive(scale=scale)
    x, (_, gradient) = start, oracle(start)
    while (size := float(gradient.norm())) > 0:
        hessian = oracle.hessian(x)
        for _ in range(TRIALS):
            shift = scale * size
            step = oracle.solve(hessian, shift, -gradient)
            if step is not None:
                _, slope = oracle(x + step)
                if -float(slope @ step) >= float(slope.square().sum()) / (4 * shift):
                    break
            scale *= 4
        else:
            return
        x, gradient, scale = x + step, slope, scale / 4
        visit(x)


def cubic_newton(*, start: Tensor, oracle: Any, visit: Callable[[Tensor], None], lipschitz: float = 1.0) -> None:
    """Cubic regularisation (Nesterov, Polyak 2006): d minimises g'd + d'Hd/2 + M |d|^3 / 6.

    M doubles until f(x + d) is at most that model, and is halved after a step. One eigendecomposition, counted as a solve, gives
    the steps of all M.
    """
    _require_positive(lipschitz=lipschitz)
    x, (value, gradient) = start, oracle(start)
    while float(gradient.norm()) > 0:
        oracle.spend(solves=1)
        eigenvalues, basis = torch.linalg.eigh(oracle.hessian(x).dense())
        slopes = basis.T @ gradient
        for _ in range(TRIALS):
            parts = cubic_step(eigenvalues, slopes, lipschitz)
            length = float(parts.norm())
            model = float(slopes @ parts + (eigenvalues * parts.square()).sum() / 2) + lipschitz * length**3 / 6
            reached, slope = oracle(x + basis @ parts)
            if reached - value <= model:
                break
            lipschitz *= 2
        else:
            return
        x, value, gradient, lipschitz = x + basis @ parts, reached, slope, lipschitz / 2
        visit(x)


def cubic_step(eigenvalues: Tensor, slopes: Tensor, lipschitz: float) -> Tensor:
    """The minimiser of sum s_i d_i + e_i d_i^2 / 2 + M |d|^3 / 6, (d,), by bisection on its length r.

    d = -s / (e + M r / 2) with r = |d| and e + M r / 2 >= 0. The case of a slope that vanishes in the lowest direction (the hard
    case) needs no treatment of its own here: the least length is a little above the singular one.
    """
    lowest = max(0.0, -2 * float(eigenvalues[0]) / lipschitz)
    low = lowest * (1 + 1e-12) + 1e-300

    def step(length: float) -> Tensor:
        return -slopes / (eigenvalues + lipschitz * length / 2)

    high = max(1.0, 2 * low)
    while not float(step(high).norm()) <= high:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if float(step(middle).norm()) > middle else (low, middle)
    return step(high)
