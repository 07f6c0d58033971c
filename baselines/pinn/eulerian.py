"""Formulations on fixed coordinates (x, t): the common one, with its remedies, and the floor.

Raissi, Perdikaris and Karniadakis 2019 (J. Comput. Phys. 378): the loss is the mean square of the residual, of the initial
state's misfit, and of the gap between the two ends of a period. Curriculum: Krishnapriyan et al. 2021 (arXiv 2109.01050). Causal
weights: Wang, Sankaran and Perdikaris 2022 (arXiv 2203.07404).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baselines.pinn.arguments import checked

TURN = 2 * math.pi


class State(NamedTuple):
    """A field and its derivatives, each (n,)."""

    value: Tensor
    dx: Tensor
    dt: Tensor
    dxx: Tensor


class Kept(nn.Module):
    """The floor: the initial state at all times. It has no weights, so that nothing is trained."""

    def __init__(self, *, equation: Any, field: Callable[..., Any], points: Any) -> None:
        super().__init__()
        self.equation = equation

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.equation.initial(x)  # type: ignore[no-any-return]


class Eulerian(nn.Module):
    """u = mean + N(x, t), or, `hard`, u0(x) + t N(x, t), which holds the initial state exactly.

    periodic: the network sees x as a point on a circle; else the ends of a period are tied by a term of the loss, the derivative
    too where there is diffusion. moving: x is measured in the frame that moves at the mean speed of the initial state.
    initial_weight, edge_weight: of the two misfits, that of the residual being 1.
    """

    def __init__(
        self, *, equation: Any, field: Callable[..., Any], points: Any, periodic: bool = True, hard: bool = False,
        moving: bool = False, initial_weight: float = 1.0, edge_weight: float = 1.0,
    ) -> None:  # fmt: skip
        checked(type(self).__name__, initial_weight=initial_weight, edge_weight=edge_weight)
        super().__init__()
        self.equation, self.points = equation, points
        self.periodic, self.hard, self.moving = periodic, hard, moving
        self.initial_weight, self.edge_weight = initial_weight, edge_weight
        self.net = field(periodic=periodic)

    def state(self, x: Tensor, t: Tensor) -> State:
        """u and its derivatives at x, t (n,)."""
        drift = self.equation.drift if self.moving else 0.0
        y = x - drift * t
        n = self.net.jet(y, t)
        if self.hard:
            held = self.equation.initial_jet(y)
            u = State(held.value + t * n.value, held.dx + t * n.dx, n.value + t * n.dt, held.dxx + t * n.dxx)
        else:
            u = State(self.equation.mean + n.value, n.dx, n.dt, n.dxx)
        return u._replace(dt=u.dt - drift * u.dx) if self.moving else u

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        y = x - self.equation.drift * t if self.moving else x
        if self.hard:
            return self.equation.initial(y) + t * self.net(y, t)  # type: ignore[no-any-return]
        return self.equation.mean + self.net(y, t)  # type: ignore[no-any-return]

    def residual(self) -> Tensor:
        """Of the equation, at the collocation points (n,)."""
        return self.equation.residual(self.state(self.points.x, self.points.t))  # type: ignore[no-any-return]

    def conditions(self) -> Tensor:
        """The weighted misfits of the initial state and of the ends, as far as they are not held by construction."""
        total = torch.zeros((), dtype=self.points.x.dtype)
        if not self.hard:
            start = self.points.start
            misfit = self(start, torch.zeros_like(start)) - self.equation.initial(start)
            total = total + self.initial_weight * misfit.square().mean()
        if not self.periodic:
            times = self.points.edge
            left, right = (self.state(torch.full_like(times, place), times) for place in (0.0, TURN))
            gap = (left.value - right.value).square().mean()
            if self.equation.nu:
                gap = gap + (left.dx - right.dx).square().mean()
            total = total + self.edge_weight * gap
        return total

    def loss(self) -> Tensor:
        """What is minimised."""
        return self.residual().square().mean() + self.conditions()


class Curriculum(Eulerian):
    """The equation is made harder in `steps` stages, of equal shares of the budget up to `easing` of it; then it is the task's.

    Speed, reaction and shift grow together from 1 / steps of their values; the network is kept from stage to stage.
    """

    def __init__(self, *, equation: Any, steps: int = 10, easing: float = 0.5, **options: Any) -> None:
        checked("Curriculum", least=1, steps=steps)
        checked("Curriculum", easing=easing, rest=1 - easing)
        super().__init__(equation=equation, **options)
        self.whole, self.steps, self.easing = equation, steps, easing

    def stages(self) -> Iterator[float]:
        """Shares of the budget, each yielded once its equation is in place."""
        for step in range(1, self.steps):
            self.equation = self.whole.eased(step / self.steps)
            yield self.easing / (self.steps - 1)
        self.equation = self.whole
        yield 1 - self.easing if self.steps > 1 else 1.0


class Causal(Eulerian):
    """Slices of time weighted by exp(-epsilon sum of the losses before them), so that a slice counts once the earlier ones are
    solved. The weights are held for a round, one of `rounds` of equal shares: a line search needs one function.
    """

    def __init__(
        self, *, points: Any, epsilon: float = 1.0, slices: int = 20, rounds: int = 20, **options: Any
    ) -> None:
        checked("Causal", epsilon=epsilon)
        checked("Causal", least=1, slices=slices, rounds=rounds)
        super().__init__(points=points, **options)
        self.epsilon, self.rounds = epsilon, rounds
        final = self.equation.final
        self.slice = (points.t / final * slices).long().clamp(max=slices - 1)
        self.sizes = torch.bincount(self.slice, minlength=slices).clamp(min=1).to(points.t.dtype)
        self.shares = torch.ones_like(self.sizes)

    def losses(self) -> Tensor:
        """The mean square of the residual in each slice of time (slices,)."""
        return torch.zeros_like(self.sizes).index_add(0, self.slice, self.residual().square()) / self.sizes

    def stages(self) -> Iterator[float]:
        """Shares of the budget, each yielded once the slices' weights are those of the present field."""
        for _ in range(self.rounds):
            with torch.no_grad():
                losses = self.losses()
                before = self.conditions() + losses.cumsum(0) - losses
                self.shares = torch.exp(-self.epsilon * before)
            yield 1 / self.rounds

    def loss(self) -> Tensor:
        """What is minimised."""
        return (self.shares * self.losses()).mean() + self.conditions()
