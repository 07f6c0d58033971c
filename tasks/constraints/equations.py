"""The equations, each on x in [0, 1] and t in [0, 1] in units of its horizon, with the law of its parameters.

A field comes as a jet: value, d/dt, d/dx and d2/dx2, stacked along a dimension of size 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


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
