"""The equation that all tasks of the family share, and what a formulation may know of it.

    u_t + (beta + advected u) u_x = nu u_xx + rho u (1 - u),    x in [0, 2 pi) periodic,    0 <= t <= final

Its parameters cross to the entry as plain numbers. Exact solutions are in `tasks.pinn.exact`, which only scorers call.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Tensor

TURN = 2 * math.pi


class Jet(NamedTuple):
    """A field (n,) and its derivatives; dxx is 0 where it was not asked for."""

    value: Tensor
    dx: Tensor
    dt: Tensor
    dxx: Tensor


class Points(NamedTuple):
    """Collocation points, the same for every entry: x, t (n,) inside, `start` (m,) at t = 0, `edge` (k,), times at the ends."""

    x: Tensor
    t: Tensor
    start: Tensor
    edge: Tensor


@dataclass(frozen=True)
class Equation:
    """bump: standard deviation of a Gaussian initial state, or 0 for `shift` + sin x. phase: by which the state is moved left."""

    beta: float = 0.0
    advected: bool = False
    nu: float = 0.0
    rho: float = 0.0
    shift: float = 0.0
    bump: float = 0.0
    phase: float = 0.0
    final: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not math.isfinite(value):
                raise BenchError(f"task.{name}={value}: it has to be a finite number")
        for name in ("nu", "rho", "bump"):
            if getattr(self, name) < 0:
                raise BenchError(
                    f"task.{name}={getattr(self, name)}: it may not be negative; the equation has no such solution"
                )
        if not self.final > 0:
            raise BenchError(f"task.final={self.final}: the time has to go forward; give a final time above 0")

    def speed(self, u: Tensor) -> Tensor:
        """By which the state u is carried along."""
        return self.beta + u if self.advected else u.new_full(u.shape, self.beta)

    def source(self, u: Tensor) -> Tensor:
        """What reaction adds per unit of time."""
        return self.rho * u * (1 - u)

    def residual(self, u: Jet) -> Tensor:
        """By how much a field violates the equation (n,)."""
        return u.dt + self.speed(u.value) * u.dx - self.nu * u.dxx - self.source(u.value)

    def initial(self, x: Tensor) -> Tensor:
        """The initial state (n,)."""
        return self.initial_jet(x).value

    def initial_jet(self, x: Tensor) -> Jet:
        """The initial state as a field that does not change in time."""
        y, zero = x + self.phase, x.new_zeros(x.shape)
        if not self.bump:
            return Jet(self.shift + y.sin(), y.cos(), zero, -y.sin())
        away = y.remainder(TURN) - math.pi
        value, scale = (-0.5 * (away / self.bump).square()).exp(), self.bump**2
        return Jet(self.shift + value, -away / scale * value, zero, (away.square() / scale - 1) / scale * value)

    @property
    def mean(self) -> float:
        """The mean of the initial state over a period; what a network adds to its output of 0."""
        if not self.bump:
            return self.shift
        return self.shift + self.bump * math.sqrt(TURN) * math.erf(math.pi / (self.bump * math.sqrt(2))) / TURN

    @property
    def drift(self) -> float:
        """The mean speed of the initial state."""
        return self.beta + (self.mean if self.advected else 0.0)

    def eased(self, share: float) -> Equation:
        """The equation with `share` of its speed, its shift and its reaction, for a curriculum."""
        return replace(self, beta=share * self.beta, rho=share * self.rho, shift=share * self.shift)
