"""A second-order finite-volume solver on its own grid, in float64: the textbook scheme for shocks.

MUSCL reconstruction with van Leer's harmonic limiter (van Leer 1974), Godunov's flux, central diffusion, and the
two-stage strong-stability-preserving Runge-Kutta method (Shu and Osher 1988).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.solvers.grids import resample, sample
from bench.contract import BenchError


def solve(
    initial: Tensor, axes: Sequence[Tensor], t: Tensor, equation: Mapping[str, Any], points: int, courant: float = 0.4
) -> Tensor:
    """States (batch, n, times, 1) at times t after `initial` (batch, n, 1), computed on `points` cells.

    courant: time step in cells travelled at the largest speed; diffusion limits it too. BenchError for an equation it
    does not know.
    """
    state = resample(initial[..., 0].double(), points)
    flux, speed, diffusion = _physics(state, equation)
    limit = 1 / (points * max(speed, 1e-12) / courant + 4 * diffusion * points**2)
    states, now = [], 0.0
    for time in t.tolist():
        steps = max(1, math.ceil((time - now) / limit))
        dt, now = (time - now) / steps, time
        for _ in range(steps):
            middle = state + dt * _slope(state, flux, diffusion)
            state = (state + middle + dt * _slope(middle, flux, diffusion)) / 2
        states.append(sample(state, len(axes[0])))
    return torch.stack(states, dim=-1).unsqueeze(-1)


def _physics(state: Tensor, equation: Mapping[str, Any]) -> tuple[Callable[[Tensor, Tensor], Tensor], float, float]:
    """Godunov's flux (left, right) -> flux at a face, the largest speed, and the diffusion coefficient."""
    if equation["name"] == "advection":
        beta = float(equation["beta"])
        return lambda left, right: beta * (left if beta > 0 else right), abs(beta), 0.0
    if equation["name"] == "burgers":
        # Exact for a convex flux: the larger of the flux at max(left, 0) and at min(right, 0).
        return (
            lambda left, right: torch.maximum(left.clamp(min=0).square(), right.clamp(max=0).square()) / 2,
            float(state.abs().max()),
            float(equation["nu"]) / math.pi,
        )
    raise BenchError(f"the finite-volume solver knows advection and burgers, not {equation['name']!r}")


def _slope(u: Tensor, flux: Callable[[Tensor, Tensor], Tensor], diffusion: float) -> Tensor:
    points = u.shape[-1]
    ahead = u.roll(-1, dims=-1) - u
    behind = ahead.roll(1, dims=-1)
    product = ahead * behind
    # The harmonic mean where both differences agree in sign, zero at extrema.
    change = torch.where(product > 0, product / torch.where(product > 0, ahead + behind, 1.0), 0.0)
    left, right = u + change, (u - change).roll(-1, dims=-1)
    face = flux(left, right) - diffusion * points * ahead
    return points * (face.roll(1, dims=-1) - face)
