"""A plane pipe whose walls are a wave, and what a formulation may know of the flow through it.

Steady flow between the walls y = R(x) and -R(x), R = 1 + a cos x, of period 2 pi, driven by a mean pressure gradient of 2 / Re:

    u u_x + v u_y + p_x = 2 / Re + (u_xx + u_yy) / Re,    u v_x + v v_y + p_y = (v_xx + v_yy) / Re,    u_x + v_y = 0

with u = v = 0 on the walls. p is the periodic part of the pressure. Without a wave u = 1 - y^2, the parabola of Poiseuille.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.pinn.flow import Jets


class PipePoints(NamedTuple):
    """Collocation points, the same for every entry: x, y (n,) inside; wall (k,), places x along both walls."""

    x: Tensor
    y: Tensor
    wall: Tensor


@dataclass(frozen=True)
class Pipe:
    """A pipe of wave amplitude `amplitude`, with Reynolds number of the parabola's largest speed and the mean half width."""

    reynolds: float
    amplitude: float

    def __post_init__(self) -> None:
        if not 0 < self.reynolds < math.inf:
            raise BenchError(f"task.reynolds={self.reynolds}: a Reynolds number is finite and above 0")
        if not 0 <= self.amplitude < 1:
            raise BenchError(
                f"task.amplitude={self.amplitude}: walls 1 + a cos x close at 1; give 0 or more and less than 1"
            )

    def half_width(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """R and its first two derivatives, each of the form of x."""
        wave = self.amplitude * x.cos()
        return 1 + wave, -self.amplitude * x.sin(), -wave

    def residual(self, f: Jets) -> tuple[Tensor, Tensor, Tensor]:
        """By how much a flow violates both momentum equations and that of mass, each (n,)."""
        u, v = f.value[:, :1], f.value[:, 1:2]
        carried = u * f.dx + v * f.dy - (f.dxx + f.dyy) / self.reynolds
        along = carried[:, 0] + f.dx[:, 2] - 2 / self.reynolds
        return along, carried[:, 1] + f.dy[:, 2], f.dx[:, 0] + f.dy[:, 1]
