"""The formulation on labels (Mojgani, Balajewicz and Hassanzadeh 2022, arXiv 2205.02902).

A label X is carried to x = X + d(X, t), where the state is u(X, t). Along it

    d_t = speed(u),        u_t = nu u_xx + source(u),        u_xx = (1/J) d_X( (1/J) u_X ),    J = 1 + d_X

One branch, shallow, gives the displacement d; the other the state. Both are periodic in X, so that two ends of a period are one
label: the displacement, unlike the place x, has no jump there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from baselines.pinn.arguments import checked

TURN = 2 * math.pi
LABELS, NEWTON = 512, 4  # labels from which a place is looked up, and the steps by which its label is made exact


class Series(NamedTuple):
    """A field on labels and its derivatives in label and time, each (n,)."""

    value: Tensor
    dx: Tensor
    dt: Tensor
    dxx: Tensor


class Lagrangian(nn.Module):
    """hard: d = t N1 and u = u0 + t N2, which hold the initial state; else its misfits weigh `initial_weight`.

    corrected: u_xx as above; else u_XX, as in the published code, which is right only where J = 1. place_weight: of the residual
    of d, that of u being 1. depth: hidden layers of the branch for d.
    """

    def __init__(
        self, *, equation: Any, field: Callable[..., Any], points: Any, hard: bool = False, corrected: bool = True,
        initial_weight: float = 100.0, place_weight: float = 1.0, depth: int = 2,
    ) -> None:  # fmt: skip
        checked("Lagrangian", initial_weight=initial_weight, place_weight=place_weight)
        checked("Lagrangian", least=1, depth=depth)
        super().__init__()
        self.equation, self.points, self.hard, self.corrected = equation, points, hard, corrected
        self.initial_weight, self.place_weight = initial_weight, place_weight
        self.place_net, self.state_net = field(layers=depth), field()

    def place(self, label: Tensor, t: Tensor) -> Series:
        """The displacement d and its derivatives."""
        n = self.place_net.jet(label, t)
        return Series(t * n.value, t * n.dx, n.value + t * n.dt, t * n.dxx) if self.hard else Series(*n)

    def state(self, label: Tensor, t: Tensor) -> Series:
        """u and its derivatives along labels."""
        n = self.state_net.jet(label, t)
        if not self.hard:
            return Series(self.equation.mean + n.value, n.dx, n.dt, n.dxx)
        held = self.equation.initial_jet(label)
        return Series(held.value + t * n.value, held.dx + t * n.dx, n.value + t * n.dt, held.dxx + t * n.dxx)

    def residuals(self, d: Series, u: Series) -> tuple[Tensor, Tensor]:
        """By how much displacement and state violate their equations, each (n,)."""
        of_u = u.dt - self.equation.source(u.value)
        if self.equation.nu:
            bend = u.dxx
            if self.corrected:
                J = 1 + d.dx
                bend = bend / J.square() - u.dx * d.dxx / J**3
            of_u = of_u - self.equation.nu * bend
        return d.dt - self.equation.speed(u.value), of_u

    def loss(self) -> Tensor:
        """What is minimised."""
        points = self.points
        of_d, of_u = self.residuals(self.place(points.x, points.t), self.state(points.x, points.t))
        total = self.place_weight * of_d.square().mean() + of_u.square().mean()
        if self.hard:
            return total
        zero = torch.zeros_like(points.start)
        moved = self.place_net(points.start, zero)
        misfit = self.equation.mean + self.state_net(points.start, zero) - self.equation.initial(points.start)
        return total + self.initial_weight * (moved.square().mean() + misfit.square().mean())

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """The state at places x and times t (n,), at the labels that are carried there."""
        return self.state(self.label(x, t), t).value

    @torch.no_grad()
    def label(self, x: Tensor, t: Tensor) -> Tensor:
        """Labels (n,), by X with X + d(X, t) = x up to a period: looked up at the times asked for, then Newton's method.

        Where labels have crossed, so that several fit, one of them answers; a step that makes the misfit larger is not taken.
        """
        grid = torch.arange(LABELS, dtype=x.dtype) * (TURN / LABELS)
        answer = torch.empty_like(x)
        times, group = torch.unique(t, return_inverse=True)
        for number, time in enumerate(times):
            mine = group == number
            carried = grid + self.place(grid, time.expand(LABELS)).value
            # what is interpolated is the way back from place to label, as a turn of the circle, so that no jump is smeared
            back = torch.remainder(x[mine], TURN)
            turns = np.interp(back.numpy(), carried.numpy(), torch.exp(1j * (grid - carried)).numpy(), period=TURN)
            answer[mine] = back + torch.from_numpy(np.angle(turns))
        misfit, slope = self._misfit(answer, x, t)
        for _ in range(NEWTON):
            tried = answer - misfit / torch.where(slope.abs() > 1e-6, slope, 1.0)
            left, bend = self._misfit(tried, x, t)
            better = left.abs() < misfit.abs()
            answer, misfit, slope = (
                torch.where(better, new, old) for new, old in ((tried, answer), (left, misfit), (bend, slope))
            )
        return answer

    def _misfit(self, label: Tensor, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """(X + d - x to the nearest turn, J)."""
        d = self.place(label, t)
        away = label + d.value - x
        return away - TURN * torch.round(away / TURN), 1 + d.dx
