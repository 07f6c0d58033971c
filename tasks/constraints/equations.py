"""The equations, each on x in [0, 1] and t in [0, 1] in units of its horizon, with the law of its parameters and its solution.

A field comes as a jet: value, d/dt, d/dx and d2/dx2, stacked along a dimension of size 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.linalg import solve_banded
from torch import Tensor

REFINED = 512  # intervals of the reference solution of diffusion with sorption
FRAME_STEPS = 12  # time steps of that reference between two times that are asked for
MODES = 512  # points of the Fourier transform behind Burgers' solution


class Equation(Protocol):
    """residual and condition: of jets (P, 4, R) at points t, x (P, R), for parameters (P, p), to (P, R); 0 for a solution."""

    @property
    def count(self) -> int:
        """Parameters p of a problem."""

    @property
    def periodic(self) -> bool:
        """Whether x = 0 and x = 1 are one point."""

    @property
    def steady(self) -> bool:
        """Whether there is no time."""

    def draw(self, uniform: Tensor) -> Tensor:
        """Parameters (C, p) of as many problems, from uniform numbers (C, p) in [0, 1)."""

    def scaled(self, parameters: Tensor) -> Tensor:
        """Parameters of about -1 to 1, as a network wants them."""

    def residual(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor: ...
    def condition(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor: ...
    def conditioned(self, t: Tensor, x: Tensor) -> Tensor:
        """Which points have an initial or boundary condition, in the place of the equation."""

    def singular(self, t: Tensor, x: Tensor) -> Tensor:
        """Which points have neither, as the solution jumps there."""

    def initial(self, parameters: Tensor, x: Tensor) -> Tensor:
        """The field (P, R) at t = 0 and x (P, R); 0 where there is no time."""

    def solution(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """The reference (C, T, X) on the tensor grid of t (T,), ascending and above 0, and x (X,)."""


@dataclass(frozen=True)
class Sorption:
    """Diffusion with Freundlich's sorption, R(u) u_t = D u_xx, u = 1 at x = 0 and u = -D u_x at x = 1, from a constant u0.

    R = 1 + (1 - phi) / phi rho k n (u + 1e-6)^(n - 1), with the medium of PDEBench (arXiv 2210.07182, phi 0.29, rho 2880,
    k 3.5e-4, n 0.874). u0 is uniform in [0, 0.2]. diffusion: D. horizon: the time that t = 1 stands for.
    """

    diffusion: float = 5e-4
    horizon: float = 500.0
    count: int = 1
    periodic: bool = False
    steady: bool = False

    SORBED = (1 - 0.29) / 0.29 * 2880 * 3.5e-4 * 0.874
    POWER = 0.874 - 1

    def draw(self, uniform: Tensor) -> Tensor:
        return 0.2 * uniform

    def scaled(self, parameters: Tensor) -> Tensor:
        return 10 * parameters - 1

    def retardation(self, u: Tensor) -> Tensor:
        """R(u); a negative concentration counts as 0, where the power is not defined."""
        return 1 + self.SORBED * (u.clamp(min=0) + 1e-6) ** self.POWER

    def residual(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        u, u_t, _, u_xx = jets.unbind(1)
        return u_t - self.horizon * self.diffusion * u_xx / self.retardation(u)

    def condition(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        u, _, u_x, _ = jets.unbind(1)
        ends = torch.where(x == 0, u - 1, u + self.diffusion * u_x)
        return torch.where((x > 0) & (x < 1), u - parameters, ends)

    def conditioned(self, t: Tensor, x: Tensor) -> Tensor:
        return (t == 0) | (x == 0) | (x == 1)

    def singular(self, t: Tensor, x: Tensor) -> Tensor:
        return (t == 0) & ((x == 0) | (x == 1))

    def initial(self, parameters: Tensor, x: Tensor) -> Tensor:
        return parameters.expand(x.shape)

    def solution(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        values = self.stepped(parameters[:, 0].numpy(), t.numpy(), REFINED, FRAME_STEPS)
        return torch.from_numpy(cubic(np.linspace(0, 1, REFINED + 1), values, x.numpy()))

    def stepped(self, u0: np.ndarray, t: np.ndarray, intervals: int, steps: int) -> np.ndarray:
        """(C, T, intervals + 1) by central differences and `steps` of BDF2 from one time to the next, Newton's method in each.

        The steps of the first stretch grow as squares, since the left end jumps from u0 to 1 at t = 0. The problems are solved as
        one banded system.
        """
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
                lag = 1 + self.SORBED * held**self.POWER
                slope = np.where(inner > 0, self.SORBED * self.POWER * held ** (self.POWER - 1), 0.0)
                factor = self.horizon * self.diffusion * step / h**2
                bend = new[:, 2:] - 2 * inner + new[:, :-2]
                wrong = np.zeros_like(new)
                wrong[:, 1:-1] = lead * inner - past[:, 1:-1] - factor * bend / lag
                end = self.diffusion / (2 * h)
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


@dataclass(frozen=True)
class Burgers:
    """u_t + u u_x = nu u_xx, periodic, from a sum of two random harmonics; t in units of `horizon`.

    Parameters (a1, b1, a2, b2), uniform in [-1/2, 1/2]: u0 = sum over k of a_k sin 2 pi k x + b_k cos 2 pi k x.
    """

    viscosity: float = 0.03
    horizon: float = 0.5
    count: int = 4
    periodic: bool = True
    steady: bool = False

    def draw(self, uniform: Tensor) -> Tensor:
        return uniform - 0.5

    def scaled(self, parameters: Tensor) -> Tensor:
        return 2 * parameters

    def residual(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        u, u_t, u_x, u_xx = jets.unbind(1)
        return u_t + self.horizon * (u * u_x - self.viscosity * u_xx)

    def condition(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return jets[:, 0] - self.initial(parameters, x)

    def conditioned(self, t: Tensor, x: Tensor) -> Tensor:
        return t == 0

    def singular(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(t, dtype=torch.bool)

    def initial(self, parameters: Tensor, x: Tensor) -> Tensor:
        waves = [wave(2 * math.pi * k * x) for k in (1, 2) for wave in (torch.sin, torch.cos)]
        return sum(parameters[:, i, None] * wave for i, wave in enumerate(waves))  # type: ignore[return-value]

    def solution(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Cole and Hopf: u = -2 nu phi_x / phi, where phi solves the heat equation from exp(-integral of u0 / (2 nu)).

        phi by a Fourier series of MODES points, whose terms fall below roundings.
        """
        nu, grid = self.viscosity, torch.arange(MODES, dtype=torch.float64) / MODES
        pieces = (lambda z: -torch.cos(z), torch.sin)
        integral: Tensor = sum(  # type: ignore[assignment]
            parameters[:, 2 * k - 2 + i, None] * piece(2 * math.pi * k * grid) / (2 * math.pi * k)
            for k in (1, 2)
            for i, piece in enumerate(pieces)
        )
        series = torch.fft.rfft(torch.exp(-integral / (2 * nu)), dim=-1) / MODES
        waves = 2 * math.pi * torch.arange(MODES // 2 + 1, dtype=torch.float64)
        series = series[:, None] * torch.exp(-nu * self.horizon * t[:, None] * waves**2)
        doubled = torch.where(waves > 0, 2.0, 1.0)
        turns = torch.exp(1j * waves[:, None] * x)
        phi = ((series * doubled) @ turns).real
        phi_x = ((series * doubled * 1j * waves) @ turns).real
        return -2 * nu * phi_x / phi


@dataclass(frozen=True)
class Poisson:
    """-u'' = f on (0, 1), u = 0 at both ends, f = pi^2 sum over k of c_k sin k pi x for k = 1 .. 4, c uniform in [-1, 1].

    u = sum c_k / k^2 sin k pi x. The residual is divided by pi^2, so that it is of the size of c.
    """

    count: int = 4
    periodic: bool = False
    steady: bool = True

    def draw(self, uniform: Tensor) -> Tensor:
        return 2 * uniform - 1

    def scaled(self, parameters: Tensor) -> Tensor:
        return parameters

    def residual(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return -jets[:, 3] / math.pi**2 - self.series(parameters, x, 0)

    def condition(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return jets[:, 0]

    def conditioned(self, t: Tensor, x: Tensor) -> Tensor:
        return (x == 0) | (x == 1)

    def singular(self, t: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(t, dtype=torch.bool)

    def initial(self, parameters: Tensor, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    def series(self, parameters: Tensor, x: Tensor, power: int) -> Tensor:
        """sum over k of c_k k^-power sin k pi x, (P, R) for x (P, R) or (R,)."""
        terms = [parameters[:, k - 1, None] * k**-power * torch.sin(k * math.pi * x) for k in range(1, self.count + 1)]
        return sum(terms)  # type: ignore[return-value]

    def solution(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return self.series(parameters, x, 2)[:, None].expand(-1, len(t), -1)


def cubic(nodes: np.ndarray, values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """values (..., nodes) at x (X,), by cubic splines along the last dimension."""
    from scipy.interpolate import CubicSpline

    return CubicSpline(nodes, values, axis=-1)(x)
