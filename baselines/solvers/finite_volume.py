"""A second-order finite-volume solver on its own grid, in float64: the textbook scheme for shocks.

MUSCL reconstruction with van Leer's harmonic limiter (van Leer 1974), Godunov's flux, central diffusion, and the
two-stage strong-stability-preserving Runge-Kutta method (Shu and Osher 1988).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from baselines.solvers.grids import resample, sample
from bench.contract import BenchError


class Physics(NamedTuple):
    """flux: Godunov's, at a face, of the states on its left and right. speed: the largest of a state's waves."""

    flux: Callable[[Tensor, Tensor], Tensor]
    speed: Callable[[Tensor], float]
    diffusion: float


def solve(
    initial: Tensor, axes: Sequence[Tensor], t: Tensor, equation: Mapping[str, Any], points: int, courant: float = 0.5
) -> Tensor:
    """States (batch, n, times, 1) at times t after `initial` (batch, n, 1), computed on `points` cells.

    courant: the longest time step in cells travelled at the largest speed of the last state, stable below 1 and without new
    extrema up to 1/2; diffusion limits it too, and each interval of t is divided evenly. BenchError for an equation it does
    not know.
    """
    state = resample(initial[..., 0].double(), points)
    physics = _physics(equation)
    states, now = [], 0.0
    for time in t.tolist():
        # Explicit central diffusion d creates no extrema in steps up to 1 / (2 d points^2).
        rate = points * physics.speed(state) / courant + 2 * physics.diffusion * points**2
        steps = max(1, math.ceil((time - now) * rate))
        dt, now = (time - now) / steps, time
        for _ in range(steps):
            middle = state + _change(state, physics, dt)
            state = torch.add(state + middle, _change(middle, physics, dt)) / 2
        states.append(state)
    return sample(torch.stack(states), len(axes[0])).movedim(0, -1).unsqueeze(-1)


def _physics(equation: Mapping[str, Any]) -> Physics:
    if equation["name"] == "advection":
        beta = float(equation["beta"])
        return Physics(lambda left, right: beta * (left if beta > 0 else right), lambda _: abs(beta), 0.0)
    if equation["name"] == "burgers":
        # Exact for a convex flux: the larger of the flux at max(left, 0) and at min(right, 0).
        return Physics(
            lambda left, right: torch.maximum(left.clamp(min=0), -right.clamp(max=0)).square() / 2,
            lambda state: float(state.abs().max()),
            float(equation["nu"]) / math.pi,
        )
    raise BenchError(f"the finite-volume solver knows advection and burgers, not {equation['name']!r}")


def _change(u: Tensor, physics: Physics, dt: float) -> Tensor:
    """What the fluxes through the faces of cells (batch, points) add in a time dt."""
    points = u.shape[-1]
    ahead = u.roll(-1, dims=-1) - u
    behind = ahead.roll(1, dims=-1)
    # Half the harmonic mean of the two differences where they agree in sign, zero at extrema.
    product = (ahead * behind).clamp(min=0)
    change = product / torch.where(product > 0, ahead + behind, 1.0)
    face = physics.flux(u + change, (u - change).roll(-1, dims=-1)) - physics.diffusion * points * ahead
    return dt * points * (face.roll(1, dims=-1) - face)
