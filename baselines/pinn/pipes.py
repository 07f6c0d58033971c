"""Formulations of a steady flow through a pipe (slot `pipe_formulation`): walls in the loss, by construction, or by theory.

By construction: Pal, Mukherjee, Dutta and Choudhury 2025 (arXiv 2511.14497), one of whose flows is a pipe with a wave; here the
velocity is D N, with D a polynomial, or a distance, that is 0 on both walls. The pipe's period is exact by the network's inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from baselines.pinn.arguments import checked
from baselines.pinn.flows import Fields, along


class AtRest(nn.Module):
    """The floor: no flow and no pressure. It has no weights, so that nothing is trained."""

    def __init__(self, *, pipe: Any, strip: Callable[[], Any], points: Any) -> None:
        super().__init__()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_zeros(len(x), 3)


class Lubrication(nn.Module):
    """Reynolds' theory of thin gaps (1886): a parabola across, of a flux that the mean pressure gradient drives; no inertia."""

    def __init__(self, *, pipe: Any, strip: Callable[[], Any], points: Any) -> None:
        super().__init__()
        self.pipe = pipe
        x = torch.arange(256, dtype=points.x.dtype) * (2 * torch.pi / 256)
        resistance = pipe.half_width(x)[0] ** -3  # over the viscosity, times 3/2 of the flux: the pressure gradient
        self.flux = 4 / 3 / float(resistance.mean())
        self.waves = torch.fft.rfft(1 - resistance / resistance.mean()) / 256

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        R, slope, _ = self.pipe.half_width(x)
        share = y / R
        u = 0.75 * self.flux / R * (1 - share**2)
        k = torch.arange(1, len(self.waves) - 1, dtype=x.dtype)
        turned = x[:, None] * k
        real, imaginary = self.waves[1:-1].real, self.waves[1:-1].imag
        pressure = 2 * ((real * turned.sin() + imaginary * (turned.cos() - 1)) / k).sum(dim=1) * 2 / self.pipe.reynolds
        return torch.stack([u, u * share * slope, pressure], dim=-1)


class Soft(nn.Module):
    """u, v, p are the network's; the speed on the walls weighs `wall_weight`, the residuals' being 1."""

    def __init__(self, *, pipe: Any, strip: Callable[[], Any], points: Any, wall_weight: float = 10.0) -> None:
        checked(type(self).__name__, wall_weight=wall_weight)
        super().__init__()
        self.pipe, self.points, self.wall_weight = pipe, points, wall_weight
        self.strip = strip()
        width = pipe.half_width(points.wall)[0]
        self.walls = torch.cat([points.wall, points.wall]), torch.cat([width, -width])

    def fields(self) -> Fields:
        """At the collocation points."""
        return Fields(*self.strip.jets(self.points.x, self.points.y))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.strip(x, y)  # type: ignore[no-any-return]

    def misfit(self) -> Tensor:
        """The weighted mean square of the speed on the walls."""
        return self.wall_weight * self(*self.walls)[:, :2].square().sum(dim=1).mean()  # type: ignore[no-any-return]

    def loss(self) -> Tensor:
        """What is minimised."""
        return sum((part.square().mean() for part in self.pipe.residual(self.fields())), self.misfit())


class Hard(Soft):
    """u, v = D N: the walls are exact, and the loss has residuals alone.

    D = R^2 - y^2, or with `distance` the smooth distance R - sqrt(y^2 + rounding^2), less its value on the walls, whose slope is
    nearly 1 at both.
    """

    def __init__(self, *, pipe: Any, strip: Callable[[], Any], points: Any, distance: bool = False) -> None:
        super().__init__(pipe=pipe, strip=strip, points=points)
        self.distance = distance
        axes = torch.eye(2, dtype=points.x.dtype)
        (value, dx, dxx), (_, dy, dyy) = (along(self.gate, points.x, points.y, axis, 2) for axis in axes)
        self.held = Fields(value, dx, dy, dxx, dyy)

    def gate(self, x: Tensor, y: Tensor) -> Tensor:
        """D (n, 1)."""
        R = self.pipe.half_width(x)[0]
        if not self.distance:
            return (R.square() - y.square())[:, None]
        rounding = 0.5
        return ((R.square() + rounding**2).sqrt() - (y.square() + rounding**2).sqrt())[:, None]

    def fields(self) -> Fields:
        n, d = super().fields(), self.held
        velocity = Fields(
            d.value * n.value, d.dx * n.value + d.value * n.dx, d.dy * n.value + d.value * n.dy,
            d.dxx * n.value + 2 * d.dx * n.dx + d.value * n.dxx, d.dyy * n.value + 2 * d.dy * n.dy + d.value * n.dyy,
        )  # fmt: skip
        return Fields(*(torch.cat([moved[:, :2], free[:, 2:]], dim=1) for moved, free in zip(velocity, n, strict=True)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        n = self.strip(x, y)
        return torch.cat([self.gate(x, y) * n[:, :2], n[:, 2:]], dim=1)

    def misfit(self) -> Tensor:
        return self.points.x.new_zeros(())  # type: ignore[no-any-return]
