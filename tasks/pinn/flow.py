"""Steady flows on a rectangle, and what a formulation may know of one.

    u u_x + v u_y + p_x = (u_xx + u_yy) / Re,    u v_x + v v_y + p_y = (v_xx + v_yy) / Re,    u_x + v_y = 0

with the velocity given on all four sides, and the pressure up to a constant. Lengths and speeds are dimensionless.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Tensor

SIDES = ("left", "right", "bottom", "top")


class Jets(NamedTuple):
    """Fields and their derivatives, each (n, fields); of a flow the fields are u, v and p."""

    value: Tensor
    dx: Tensor
    dy: Tensor
    dxx: Tensor
    dyy: Tensor


class FlowPoints(NamedTuple):
    """Collocation points, the same for every entry: x, y (n,) inside, `edge` (k,), shares of the way along each side."""

    x: Tensor
    y: Tensor
    edge: Tensor


@dataclass(frozen=True)
class Flow:
    """A flow at a Reynolds number. Subclasses know the velocity on the sides."""

    reynolds: float
    corner: ClassVar[tuple[float, float]] = (0.0, 0.0)
    far: ClassVar[tuple[float, float]] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 < self.reynolds < math.inf:
            raise BenchError(f"task.reynolds={self.reynolds}: a Reynolds number is finite and above 0")

    def side(self, name: str, share: Tensor) -> tuple[Tensor, Tensor]:
        """x and y (k,) of the points at `share` (k,) of the way along a side, from the left or from below."""
        (x0, y0), (x1, y1) = self.corner, self.far
        if name in ("left", "right"):
            return share.new_full(share.shape, x0 if name == "left" else x1), y0 + (y1 - y0) * share
        return x0 + (x1 - x0) * share, share.new_full(share.shape, y0 if name == "bottom" else y1)

    def trace(self, name: str, share: Tensor) -> tuple[Tensor, Tensor]:
        """u and v (k,) there."""
        raise NotImplementedError

    def stream(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """A stream function (n,) whose velocity is right on all sides, and one that is 0 there with its slope; or None."""
        return None

    def residual(self, f: Jets) -> tuple[Tensor, Tensor, Tensor]:
        """By how much a flow violates both momentum equations and that of mass, each (n,)."""
        u, v = f.value[:, :1], f.value[:, 1:2]
        carried = u * f.dx + v * f.dy - (f.dxx + f.dyy) / self.reynolds
        return carried[:, 0] + f.dx[:, 2], carried[:, 1] + f.dy[:, 2], f.dx[:, 0] + f.dy[:, 1]


@dataclass(frozen=True)
class KovasznayFlow(Flow):
    """Flow behind a grid of wires (Kovasznay 1948), in closed form."""

    corner = (-0.5, -0.5)
    far = (1.0, 1.5)

    @property
    def decay(self) -> float:
        """lambda = Re/2 - sqrt(Re^2/4 + 4 pi^2)."""
        return self.reynolds / 2 - math.sqrt(self.reynolds**2 / 4 + 4 * math.pi**2)

    def trace(self, name: str, share: Tensor) -> tuple[Tensor, Tensor]:
        x, y = self.side(name, share)
        fading, turn = (self.decay * x).exp(), math.tau * y
        return 1 - fading * turn.cos(), self.decay / math.tau * fading * turn.sin()


@dataclass(frozen=True)
class CavityFlow(Flow):
    """A square box whose lid moves at (4 x (1 - x))^lid; its other walls are at rest."""

    lid: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lid < 2:
            raise BenchError(
                f"task.lid={self.lid}: the lid's speed (4 x (1 - x))^lid "
                + (
                    "jumps at the corners"
                    if self.lid <= 0
                    else "does not fit the walls' at the corners, where mass is lost"
                )
                + "; no smooth field meets it exactly; give 2 or more"
            )

    def trace(self, name: str, share: Tensor) -> tuple[Tensor, Tensor]:
        rest = share.new_zeros(share.shape)
        return ((4 * share * (1 - share)) ** self.lid if name == "top" else rest), rest

    def stream(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """lid(x) y^2 (y - 1), and (x (1 - x) y (1 - y))^2."""
        lid = (4 * x * (1 - x)) ** self.lid
        return lid * y.square() * (y - 1), (x * (1 - x) * y * (1 - y)).square()
