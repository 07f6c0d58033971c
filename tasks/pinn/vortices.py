"""An unsteady flow on a torus, and what a formulation may know of it.

    u_t + u u_x + v u_y + p_x = (u_xx + u_yy) / Re,    v_t + u v_x + v v_y + p_y = (v_xx + v_yy) / Re,    u_x + v_y = 0

on [0, 2 pi) squared, both coordinates periodic, from Taylor and Green's vortices at t = 0. Lengths and speeds are dimensionless.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Tensor


class Moving(NamedTuple):
    """u, v and p with their derivatives, each (n, 3)."""

    value: Tensor
    dx: Tensor
    dy: Tensor
    dt: Tensor
    dxx: Tensor
    dyy: Tensor


class Moments(NamedTuple):
    """Collocation points, the same for every entry: x, y, t (n,) inside; start_x, start_y (k,) where t = 0."""

    x: Tensor
    y: Tensor
    t: Tensor
    start_x: Tensor
    start_y: Tensor


@dataclass(frozen=True)
class Vortices:
    """Vortices at a Reynolds number until t = `final`, carried along x at the speed `drift`. phase: of x and y at the start."""

    reynolds: float
    final: float
    drift: float
    phase: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name in ("reynolds", "final"):
            if not 0 < getattr(self, name) < math.inf:
                raise BenchError(f"task.{name}={getattr(self, name)}: it has to be finite and above 0")
        if not math.isfinite(self.drift):
            raise BenchError(f"task.drift={self.drift}: a speed is a finite number")

    def initial(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """u and v (n,) at t = 0."""
        a, b = x + self.phase[0], y + self.phase[1]
        return self.drift - a.cos() * b.sin(), a.sin() * b.cos()

    def residual(self, f: Moving) -> tuple[Tensor, Tensor, Tensor]:
        """By how much a flow violates both momentum equations and that of mass, each (n,)."""
        u, v = f.value[:, :1], f.value[:, 1:2]
        carried = f.dt + u * f.dx + v * f.dy - (f.dxx + f.dyy) / self.reynolds
        return carried[:, 0] + f.dx[:, 2], carried[:, 1] + f.dy[:, 2], f.dx[:, 0] + f.dy[:, 1]
