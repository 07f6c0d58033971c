"""Formulations of a steady flow (slot `flow_formulation`): boundary values in the loss, by construction, or a stream function.

By construction: Pal, Mukherjee, Dutta and Choudhury 2025 (arXiv 2511.14497) hold boundary values exactly and train on residuals
alone. How they do it was not read; here u = G + D N, with G a transfinite (Coons) patch of the given sides and D a polynomial
that is 0 on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import jvp

from baselines.pinn.arguments import checked

Function = Callable[[Tensor, Tensor], Tensor]
SIDES = ("left", "right", "bottom", "top")


class Fields(NamedTuple):
    """u, v, p (n, 3) and their derivatives."""

    value: Tensor
    dx: Tensor
    dy: Tensor
    dxx: Tensor
    dyy: Tensor


def patch(flow: Any, x: Tensor, y: Tensor) -> Tensor:
    """The velocity (n, 2) that blends those of the sides linearly, less the corners' bilinear one, which is counted twice."""
    (x0, y0), (x1, y1) = flow.corner, flow.far
    a, b = ((x - x0) / (x1 - x0))[:, None], ((y - y0) / (y1 - y0))[:, None]

    def side(name: str, share: Tensor) -> Tensor:
        return torch.stack(flow.trace(name, share), dim=-1)

    low, high = x.new_zeros(1), x.new_ones(1)
    sides = (1 - a) * side("left", b[:, 0]) + a * side("right", b[:, 0])
    sides = sides + (1 - b) * side("bottom", a[:, 0]) + b * side("top", a[:, 0])
    corners = (1 - b) * ((1 - a) * side("bottom", low) + a * side("bottom", high))
    return sides - corners - b * ((1 - a) * side("top", low) + a * side("top", high))


def wall(flow: Any, x: Tensor, y: Tensor) -> Tensor:
    """D (n, 1): 1 in the middle, 0 on all sides."""
    (x0, y0), (x1, y1) = flow.corner, flow.far
    a, b = 2 * (x - x0) / (x1 - x0) - 1, 2 * (y - y0) / (y1 - y0) - 1
    return ((1 - a.square()) * (1 - b.square()))[:, None]


def along(function: Function, x: Tensor, y: Tensor, direction: Tensor, order: int) -> list[Tensor]:
    """The function at x, y (n,) and its derivatives along `direction` (2,) up to `order`."""
    way = (direction[0].expand_as(x).clone(), direction[1].expand_as(y).clone())
    functions: list[Function] = [function]
    for _ in range(order):
        functions.append(lambda x, y, before=functions[-1]: jvp(before, (x, y), way)[1])  # type: ignore[misc]
    return [each(x, y) for each in functions]


class Lift(nn.Module):
    """The floor: the blend of the sides' velocities, without a pressure. It has no weights, so that nothing is trained."""

    def __init__(self, *, flow: Any, plane: Callable[..., Any], points: Any) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([patch(self.flow, x, y), x.new_zeros(len(x), 1)], dim=1)


class Soft(nn.Module):
    """u, v, p are the network's; the misfit on the sides weighs `wall_weight`, that of the residuals being 1."""

    def __init__(self, *, flow: Any, plane: Callable[..., Any], points: Any, wall_weight: float = 10.0) -> None:
        checked(type(self).__name__, wall_weight=wall_weight)
        super().__init__()
        self.flow, self.points, self.wall_weight = flow, points, wall_weight
        self.plane = plane()
        places = [flow.side(name, points.edge) for name in SIDES]
        self.walls = [torch.cat([place[i] for place in places]) for i in (0, 1)]
        self.given = torch.cat([torch.stack(flow.trace(name, points.edge), dim=-1) for name in SIDES])

    def fields(self) -> Fields:
        """At the collocation points."""
        return Fields(*self.plane.jets(self.points.x, self.points.y))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.plane(x, y)  # type: ignore[no-any-return]

    def misfit(self) -> Tensor:
        """The weighted mean square of the velocity's difference on the sides."""
        return self.wall_weight * (self(*self.walls)[:, :2] - self.given).square().sum(dim=1).mean()

    def loss(self) -> Tensor:
        """What is minimised."""
        total = sum(part.square().mean() for part in self.flow.residual(self.fields()))
        return total + self.misfit()  # type: ignore[no-any-return]


class Hard(Soft):
    """u, v = G + D N: the sides' velocities are exact, and the loss has residuals alone."""

    def __init__(self, *, flow: Any, plane: Callable[..., Any], points: Any) -> None:
        super().__init__(flow=flow, plane=plane, points=points)
        axes = torch.eye(2, dtype=points.x.dtype)
        parts = []
        for function in (lambda x, y: patch(flow, x, y), lambda x, y: wall(flow, x, y)):
            (value, dx, dxx), (_, dy, dyy) = (along(function, points.x, points.y, axis, 2) for axis in axes)
            parts.append(Fields(value, dx, dy, dxx, dyy))
        self.held, self.gate = parts

    def fields(self) -> Fields:
        n, d = Fields(*self.plane.jets(self.points.x, self.points.y)), self.gate
        velocity = Fields(
            d.value * n.value, d.dx * n.value + d.value * n.dx, d.dy * n.value + d.value * n.dy,
            d.dxx * n.value + 2 * d.dx * n.dx + d.value * n.dxx, d.dyy * n.value + 2 * d.dy * n.dy + d.value * n.dyy,
        )  # fmt: skip
        joined = zip(self.held, velocity, n, strict=True)
        return Fields(*(torch.cat([held + moved[:, :2], free[:, 2:]], dim=1) for held, moved, free in joined))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        n = self.plane(x, y)
        return torch.cat([patch(self.flow, x, y) + wall(self.flow, x, y) * n[:, :2], n[:, 2:]], dim=1)

    def misfit(self) -> Tensor:
        return self.points.x.new_zeros(())  # type: ignore[no-any-return]


class Stream(Soft):
    """u = psi_y, v = -psi_x, so that mass is conserved exactly; the network gives psi and p.

    Where the flow has a stream function with the sides' velocities, psi is that plus the network's times one that is 0 there
    with its slope, and the sides are exact; else their misfit is in the loss. Third derivatives are combined from those along
    x, y and both diagonals.
    """

    def __init__(self, *, flow: Any, plane: Callable[..., Any], points: Any, wall_weight: float = 10.0) -> None:
        super().__init__(flow=flow, plane=lambda: plane(outputs=2), points=points, wall_weight=wall_weight)
        self.directions = torch.tensor([[1, 0], [0, 1], [1, 1], [1, -1]], dtype=points.x.dtype)
        self.exact = flow.stream(points.x, points.y) is not None
        self.held = self.lifts(points.x, points.y, self.directions, 3) if self.exact else None

    def lifts(self, x: Tensor, y: Tensor, directions: Tensor, order: int) -> tuple[Tensor, Tensor]:
        """Derivatives 0 ... order of the flow's two stream functions along each direction, each (order + 1, d, n)."""
        parts = []
        for i in (0, 1):
            rows = [along(lambda x, y, i=i: self.flow.stream(x, y)[i], x, y, way, order) for way in directions]  # type: ignore[misc]
            parts.append(torch.stack([torch.stack(row) for row in rows], dim=1))
        return parts[0], parts[1]

    def series(self, value: Tensor, n: Tensor, held: tuple[Tensor, Tensor] | None) -> list[Tensor]:
        """psi's derivatives, each (d, n), from the network's value (n,) and derivatives (3, d, n); by Leibniz' rule where the
        sides are exact, as many as the lifts have."""
        if held is None:
            return [*n]
        base, w = held
        terms = [w[1] * value + w[0] * n[0]]
        if len(w) > 2:
            terms.append(w[2] * value + 2 * w[1] * n[0] + w[0] * n[1])
            terms.append(w[3] * value + 3 * (w[2] * n[0] + w[1] * n[1]) + w[0] * n[2])
        return [part + term for part, term in zip(base[1:], terms, strict=True)]

    def fields(self) -> Fields:
        value, slopes = self.plane.taylor(self.points.x, self.points.y, self.directions)
        first, second, third = self.series(value[:, 0], slopes[..., 0], self.held)
        p_x, p_y = slopes[0, :2, :, 1]
        xy = (second[2] - second[3]) / 4
        xxy = (third[2] - third[3] - 2 * third[1]) / 6
        xyy = (third[2] + third[3] - 2 * third[0]) / 6
        rows = (
            (first[1], -first[0], value[:, 1]), (xy, -second[0], p_x), (second[1], -xy, p_y),
            (xxy, -third[0], torch.zeros_like(p_x)), (third[1], -xyy, torch.zeros_like(p_x)),
        )  # fmt: skip
        return Fields(*(torch.stack(row, dim=-1) for row in rows))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        axes = self.directions[:2]
        value, slopes = self.plane.taylor(x, y, axes)
        psi = self.series(value[:, 0], slopes[..., 0], self.lifts(x, y, axes, 1) if self.exact else None)[0]
        return torch.stack([psi[1], -psi[0], value[:, 1]], dim=-1)

    def misfit(self) -> Tensor:
        return self.points.x.new_zeros(()) if self.exact else super().misfit()
