"""A Fourier pseudo-spectral solver on its own grid, in float64.

Advection: the exact shift of the retained waves. Burgers: Lawson's integrating factor for diffusion (Lawson 1967) with
classical Runge-Kutta of order four, dealiased by the 2/3 rule. Waves up to a third of the points are carried at a speed u,
so their rates reach i (2 pi / 3) u per cell, and the method is stable up to i 2 sqrt(2): a step of 1.35 cells.
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

    courant: the longest time step in cells travelled at the largest speed of the last state; each interval of t is divided
    evenly. BenchError for an equation it does not know.
    """
    spectrum = torch.fft.rfft(resample(initial[..., 0].double(), points))
    if equation["name"] == "advection":
        numbers = torch.arange(spectrum.shape[-1], dtype=torch.float64)
        spectra = spectrum * torch.exp(-2j * math.pi * float(equation["beta"]) * t.double()[:, None, None] * numbers)
        states = torch.fft.irfft(spectra, points)
    elif equation["name"] == "burgers":
        states = _burgers(spectrum, t.tolist(), float(equation["nu"]) / math.pi, points, courant)
    else:
        raise BenchError(f"the spectral solver knows advection and burgers, not {equation['name']!r}")
    return sample(states, len(axes[0])).movedim(0, -1).unsqueeze(-1)


def _burgers(spectrum: Tensor, times: list[float], diffusion: float, points: int, courant: float) -> Tensor:
    """States (times, batch, points) from the waves (batch, points // 2 + 1) at time 0."""
    state, now, states = torch.fft.irfft(spectrum, points), 0.0, []
    numbers = 2 * math.pi * torch.arange(points // 3 + 1, dtype=torch.float64)
    spectrum = spectrum[..., : len(numbers)]
    for time in times:
        steps = max(1, math.ceil((time - now) * points * float(state.abs().max()) / courant))
        dt, now = (time - now) / steps, time
        half, rate = torch.exp(-diffusion * numbers**2 * dt / 2), -0.5j * numbers * dt

        def change(v: Tensor, rate: Tensor = rate) -> Tensor:
            return rate * torch.fft.rfft(torch.fft.irfft(v, points).square())[..., : len(rate)]

        for _ in range(steps):
            decayed = half * spectrum
            a = half * change(spectrum)
            b = change(torch.add(decayed, a, alpha=1 / 2))
            c = change(torch.add(decayed, b, alpha=1 / 2))
            d = change(half * (decayed + c))
            decayed = decayed.add(a, alpha=1 / 6).add(b + c, alpha=1 / 3)
            spectrum = torch.add(half * decayed, d, alpha=1 / 6)
        state = torch.fft.irfft(spectrum, points)
        states.append(state)
    return torch.stack(states)
