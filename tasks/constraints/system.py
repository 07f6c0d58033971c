"""What a way of imposing an equation sees: the points, the basis functions, and counted least squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from bench.contract import Log
from tasks.constraints.equations import Equation
from tasks.constraints.least_squares import Normal, minimise, normal


class Constraint(Protocol):
    """A way of imposing the equation. edges: (E,), the places where the field may jump, ascending.

    loss: of a batch of problems with parameters (C, p), by which the basis is trained; None where nothing is trained.
    """

    edges: Tensor
    loss: Callable[[Tensor], Tensor] | None

    def field(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """The answer (C, T, X) on the tensor grid of t (T,) and x (X,)."""


def lattice(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """t and x (T X,) of the points of a tensor grid."""
    return t.repeat_interleave(len(x)), x.repeat(len(t))


@dataclass(frozen=True)
class Limits:
    """Of a least-squares solve: see `least_squares.minimise`."""

    iterations: int
    tolerance: float
    ridge: float


class System:
    """An equation on a grid of points, each with one row: the equation's residual, or a condition in its place.

    times (T,), columns (X,): of the grid. t, x (M,): its points but for those where the solution jumps. on_condition (M,): which
    have a condition. basis: parameters (C, p), t, x (M,) -> jets (C, 4, M, N) of the basis functions. size: N. start: (N,),
    the weights that the least squares start from, whose sum of basis functions is also what a soft constraint trains.
    """

    def __init__(
        self,
        equation: Equation,
        grid: tuple[Tensor, Tensor],
        basis: Callable[..., Tensor],
        size: int,
        log: Log,
        limits: Limits,
    ) -> None:
        self.equation, self.basis, self.size = equation, basis, size
        self.times, self.columns = grid
        self._log, self._limits = log, limits
        t, x = lattice(self.times, self.columns)
        kept = ~equation.singular(t, x)
        self.t, self.x = t[kept], x[kept]
        self.on_condition = equation.conditioned(self.t, self.x)
        self.start = torch.full((size,), size**-0.5, dtype=torch.float64)

    def misfit(self, jets: Tensor, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Rows (P, R) of a field's jets (P, 4, R) at points t, x (P, R): residuals, and conditions where there is one."""
        equation = self.equation
        residual = equation.residual(jets, parameters, t, x)
        return torch.where(equation.conditioned(t, x), equation.condition(jets, parameters, t, x), residual)

    def objective(self, jets: Tensor, parameters: Tensor, weight: float) -> Tensor:
        """(C,): the mean square of the residuals and `weight` times that of the conditions, of jets (C, 4, M) on the grid."""
        square = self.misfit(jets, parameters, self.t.expand(len(jets), -1), self.x.expand(len(jets), -1)).square()
        return square[:, ~self.on_condition].mean(dim=1) + weight * square[:, self.on_condition].mean(dim=1)

    def linearise(self, jets: Tensor, w: Tensor, scales: Tensor, rows: tuple[Tensor, Tensor, Tensor]) -> Any:
        """Residuals (P, R) of w (P, N), times `scales` (P, R), and their Jacobian (P, R, N). Both are differentiable.

        jets: (P, 4, R, N) of the basis. rows: parameters (P, p), t, x (P, R). Rows are functions of the jet at one point, so
        the derivative of their sum in the jets is that of each.
        """
        traced = torch.is_grad_enabled()
        with torch.enable_grad():
            field = (jets @ w[:, None, :, None])[..., 0]
            field = field if field.requires_grad else field.requires_grad_()
            r = self.misfit(field, *rows) * scales
            (slopes,) = torch.autograd.grad(r.sum(), field, create_graph=traced)
            jacobian = (slopes[..., None] * jets).sum(dim=1)
        return (r, jacobian) if traced else (r.detach(), jacobian.detach())

    def minimise(self, terms: Normal, start: Tensor, experts: int, rows: int) -> Tensor:
        """The weights (P, N) that solve P problems, without gradients, counted: iterations, and those times `rows`.

        terms: w (P, N) -> |r|^2, J'r and J'J, as `normal` makes them of rows and Jacobian.
        experts: solves that could run at once; the P problems come in groups of so many. What is counted while the answer is
        served has names of its own, as training would drown it.
        """
        serving = not torch.is_grad_enabled()
        with torch.no_grad():
            limits = self._limits
            result = minimise(terms, start, ridge=limits.ridge, tolerance=limits.tolerance, limit=limits.iterations)
        spent = result.iterations.view(-1, experts)
        amounts = {
            "solves": len(start),
            "iterations": int(spent.sum()),
            "unconverged": int((~result.converged).sum()),
            "path_rows": int(spent.amax(dim=1).sum()) * rows,
            "all_rows": int(spent.sum()) * rows,
            "cases": len(spent),
        }
        self._log.count(**{f"served_{name}" if serving else name: amount for name, amount in amounts.items()})
        return result.w

    normal = staticmethod(normal)

    @property
    def ridge(self) -> float:
        """The weight of the rows that hold the weights w to 0."""
        return self._limits.ridge
