"""A Fourier pseudo-spectral solver on its own grid, in float64.

Advection: the exact shift of the retained waves. Burgers: Lawson's integrating factor for diffusion (Lawson 1967) with
classical Runge-Kutta of order four, dealiased by the 2/3 rule.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.solvers.grids import resample, sample
from bench.contract import BenchError


def solve(
    initial: Tensor, axes: Sequence[Tensor], t: Tensor, equation: Mapping[str, Any], points: int, courant: float = 0.5
) -> Tensor:
    """States (batch, n, times, 1) at times t after `initial` (batch, n, 1), computed on `points` points.

    courant: time step in cells travelled at the largest initial speed. BenchError for an equation it does not know.
    """
    state = resample(initial[..., 0].double(), points)
    if equation["name"] == "advection":
        states = [_shift(state, float(equation["beta"]) * time) for time in t.tolist()]
    elif equation["name"] == "burgers":
        states = _burgers(state, t.tolist(), float(equation["nu"]) / math.pi, courant)
    else:
        raise BenchError(f"the spectral solver knows advection and burgers, not {equation['name']!r}")
    return torch.stack([sample(state, len(axes[0])) for state in states], dim=-1).unsqueeze(-1)


def _shift(state: Tensor, distance: float) -> Tensor:
    spectrum = torch.fft.rfft(state)
    numbers = torch.arange(spectrum.shape[-1], dtype=torch.float64)
    return torch.fft.irfft(spectrum * torch.exp(-2j * math.pi * numbers * distance), state.shape[-1])


def _burgers(state: Tensor, times: list[float], diffusion: float, courant: float) -> list[Tensor]:
    points = state.shape[-1]
    kept = points // 3 + 1
    numbers = 2 * math.pi * torch.arange(kept, dtype=torch.float64)
    limit = courant / (points * max(float(state.abs().max()), 1e-12))
    spectrum = torch.fft.rfft(state)[..., :kept]

    def slope(v: Tensor) -> Tensor:
        return -0.5j * numbers * torch.fft.rfft(torch.fft.irfft(v, points).square())[..., :kept]

    states, now = [], 0.0
    for time in times:
        steps = max(1, math.ceil((time - now) / limit))
        dt, now = (time - now) / steps, time
        half = torch.exp(-diffusion * numbers**2 * dt / 2)
        for _ in range(steps):
            a = slope(spectrum)
            b = slope(half * (spectrum + dt / 2 * a))
            c = slope(half * spectrum + dt / 2 * b)
            d = slope(half * (half * spectrum + dt * c))
            spectrum = half * (half * (spectrum + dt / 6 * a) + dt / 3 * (b + c)) + dt / 6 * d
        states.append(torch.fft.irfft(spectrum, points))
    return states
