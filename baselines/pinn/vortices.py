"""Formulations of an unsteady flow on a torus (slot `vortex_formulation`): the initial state in the loss, or by construction.

By construction: Pal, Mukherjee, Dutta and Choudhury 2025 (arXiv 2511.14497) hold initial conditions exactly too. How they do it
was not read; here the velocity is u0 + t N. Both coordinates are periodic by the network's inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baselines.pinn.arguments import checked
from baselines.pinn.flows import along


class Moving(NamedTuple):
    """u, v, p (n, 3) and their derivatives."""

    value: Tensor
    dx: Tensor
    dy: Tensor
    dt: Tensor
    dxx: Tensor
    dyy: Tensor


class Initial(nn.Module):
    """The floor: the initial velocity at all times, without a pressure. It has no weights, so that nothing is trained."""

    def __init__(self, *, flow: Any, torus: Callable[[], Any], points: Any) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        return torch.stack([*self.flow.initial(x, y), torch.zeros_like(x)], dim=-1)


class Soft(nn.Module):
    """u, v, p are the network's; the misfit at t = 0 weighs `initial_weight`, that of the residuals being 1."""

    def __init__(self, *, flow: Any, torus: Callable[[], Any], points: Any, initial_weight: float = 10.0) -> None:
        checked(type(self).__name__, initial_weight=initial_weight)
        super().__init__()
        self.flow, self.points, self.initial_weight = flow, points, initial_weight
        self.torus = torus()
        self.given = torch.stack(flow.initial(points.start_x, points.start_y), dim=-1)

    def fields(self) -> Moving:
        """At the collocation points."""
        return Moving(*self.torus.jets(self.points.x, self.points.y, self.points.t))

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        return self.torus(x, y, t)  # type: ignore[no-any-return]

    def misfit(self) -> Tensor:
        """The weighted mean square of the velocity's difference at t = 0."""
        x, y = self.points.start_x, self.points.start_y
        velocity = self(x, y, torch.zeros_like(x))[:, :2]
        return self.initial_weight * (velocity - self.given).square().sum(dim=1).mean()

    def loss(self) -> Tensor:
        """What is minimised."""
        return sum((part.square().mean() for part in self.flow.residual(self.fields())), self.misfit())


class Hard(Soft):
    """u, v = u0 + t N: the initial velocity is exact, and the loss has residuals alone."""

    def __init__(self, *, flow: Any, torus: Callable[[], Any], points: Any) -> None:
        super().__init__(flow=flow, torus=torus, points=points)
        axes = torch.eye(2, dtype=points.x.dtype)
        (value, dx, dxx), (_, dy, dyy) = (along(self.start, points.x, points.y, axis, 2) for axis in axes)
        self.held = Moving(value, dx, dy, torch.zeros_like(value), dxx, dyy)

    def start(self, x: Tensor, y: Tensor) -> Tensor:
        """The initial velocity (n, 2)."""
        return torch.stack(self.flow.initial(x, y), dim=-1)

    def fields(self) -> Moving:
        n, t = super().fields(), self.points.t[:, None]
        velocity = Moving(t * n.value, t * n.dx, t * n.dy, n.value + t * n.dt, t * n.dxx, t * n.dyy)
        joined = zip(self.held, velocity, n, strict=True)
        return Moving(*(torch.cat([held + moved[:, :2], free[:, 2:]], dim=1) for held, moved, free in joined))

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        n = self.torus(x, y, t)
        return torch.cat([self.start(x, y) + t[:, None] * n[:, :2], n[:, 2:]], dim=1)

    def misfit(self) -> Tensor:
        return self.points.x.new_zeros(())  # type: ignore[no-any-return]
