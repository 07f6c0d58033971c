"""Solutions by which answers are scored: each (C, T, X), for parameters (C, p), t (T,) ascending and above 0, and x (X,)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from tasks.constraints.equations import Burgers, Poisson, Sorption

REFINED = 512  # intervals of the reference solution of diffusion with sorption
FRAME_STEPS = 12  # time steps of that reference between two times that are asked for
MODES = 512  # points of the Fourier transform behind Burgers' solution


def sorption(equation: Sorption, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """Implicit differences on REFINED intervals, between them cubic splines. Relative L2 error 3e-5."""
    from scipy.interpolate import CubicSpline  # its import takes longer than the other problems' solutions

    values = stepped(equation, parameters[:, 0].numpy(), t.numpy(), REFINED, FRAME_STEPS)
    spline = CubicSpline(np.linspace(0, 1, REFINED + 1), values, axis=-1)
    return torch.from_numpy(spline(x.numpy()))


def stepped(equation: Sorption, u0: np.ndarray, t: np.ndarray, intervals: int, steps: int) -> np.ndarray:
    """(C, T, intervals + 1) by central differences and `steps` of BDF2 from one time to the next, Newton's method in each.

    The steps of the first stretch grow as squares, since the left end jumps from u0 to 1 at t = 0. The problems are solved as
    one banded system.
    """
    from scipy.linalg import solve_banded

    cases, h = len(u0), 1 / intervals
    u = np.repeat(u0[:, None], intervals + 1, axis=1)
    u[:, 0] = 1
    ramp = np.linspace(0, 1, 4 * steps + 1)[1:] ** 2 * t[0]
    even = [np.linspace(a, b, steps + 1)[1:] for a, b in zip(t[:-1], t[1:], strict=True)]
    times, frames, now, older, last = np.concatenate([ramp, *even]), [], 0.0, u, 0.0
    bands = np.zeros((4, cases, intervals + 1))  # one above the diagonal, it, and two below
    for time in times:
        step = time - now
        ratio = step / last if last else 0.0  # the first step is Euler's
        lead = (1 + 2 * ratio) / (1 + ratio)
        past = (1 + ratio) * u - ratio**2 / (1 + ratio) * older
        new = u + ratio * (u - older)
        new[:, 0] = 1
        for _ in range(20):
            inner = new[:, 1:-1]
            held = np.maximum(inner, 0) + 1e-6
            lag = 1 + equation.SORBED * held**equation.POWER
            slope = np.where(inner > 0, equation.SORBED * equation.POWER * held ** (equation.POWER - 1), 0.0)
            factor = equation.horizon * equation.diffusion * step / h**2
            bend = new[:, 2:] - 2 * inner + new[:, :-2]
            wrong = np.zeros_like(new)
            wrong[:, 1:-1] = lead * inner - past[:, 1:-1] - factor * bend / lag
            end = equation.diffusion / (2 * h)
            wrong[:, -1] = new[:, -1] + end * (3 * new[:, -1] - 4 * new[:, -2] + new[:, -3])
            bands[0, :, 2:] = -factor / lag
            bands[1, :, 0] = 1
            bands[1, :, 1:-1] = lead + factor * (2 / lag + bend * slope / lag**2)
            bands[1, :, -1] = 1 + 3 * end
            bands[2, :, :-2] = -factor / lag
            bands[2, :, -2] = -4 * end
            bands[3, :, -3] = end
            change = solve_banded((2, 1), bands.reshape(4, -1), wrong.reshape(-1)).reshape(new.shape)
            new = new - change
            if np.abs(change).max() < 1e-11:
                break
        u, older, now, last = new, u, time, step
        if np.any(np.isclose(time, t, rtol=0, atol=1e-12)):
            frames.append(u)
    return np.stack(frames, axis=1)


def burgers(equation: Burgers, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """Cole and Hopf: u = -2 nu phi_x / phi, where phi solves the heat equation from exp(-integral of u0 / (2 nu)).

    phi by a Fourier series of MODES points, whose terms fall below roundings.
    """
    nu, grid = equation.viscosity, torch.arange(MODES, dtype=torch.float64) / MODES
    pieces = (lambda z: -torch.cos(z), torch.sin)
    integral: Tensor = sum(  # type: ignore[assignment]
        parameters[:, 2 * k - 2 + i, None] * piece(2 * math.pi * k * grid) / (2 * math.pi * k)
        for k in (1, 2)
        for i, piece in enumerate(pieces)
    )
    series = torch.fft.rfft(torch.exp(-integral / (2 * nu)), dim=-1) / MODES
    waves = 2 * math.pi * torch.arange(MODES // 2 + 1, dtype=torch.float64)
    series = series[:, None] * torch.exp(-nu * equation.horizon * t[:, None] * waves**2)
    doubled = torch.where(waves > 0, 2.0, 1.0)
    turns = torch.exp(1j * waves[:, None] * x)
    phi = ((series * doubled) @ turns).real
    phi_x = ((series * doubled * 1j * waves) @ turns).real
    return -2 * nu * phi_x / phi


def poisson(equation: Poisson, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """u = sum over k of c_k / k^2 sin k pi x, at all times."""
    return equation.series(parameters, x, 2)[:, None].expand(-1, len(t), -1)
