"""What a solver leaves behind of one solution: the states asked for, and the steps that it accepted.

The error of a step is the solver's own estimate in units of its tolerance, sqrt(mean((e / (tol + tol max(|z|, |z_end|)))^2)),
with equal absolute and relative tolerance. A step is accepted where it is at most 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.contract import BenchError, Diverged

BACKWARD = 10  # times the forward limit are allowed to penalty and gradient together


@dataclass(frozen=True)
class Step:
    """An accepted step. start, size: of the time interval, without a graph. state, end: (batch, d) at its two ends. slopes: the
    field's values from which the solver took the step. States and slopes carry the graph where gradients pass through the
    solver.
    """

    start: Tensor
    size: Tensor
    state: Tensor
    end: Tensor
    slopes: tuple[Tensor, ...]


class Counted(nn.Module):
    """A field whose evaluations are counted. count: told of each one, such as `log.count`.

    Beyond `limit` evaluations it raises Diverged: a solver that gets nowhere, as on a stiff equation, ends.
    """

    def __init__(self, field: nn.Module, limit: int, count: Callable[..., object] | None = None) -> None:
        super().__init__()
        self.field, self.limit, self.count, self.evaluations = field, limit, count, 0

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt (..., batch, d) at one time t, or at times (n, 1, 1) for states (n, batch, d), which are n evaluations."""
        times = max(1, t.numel())
        self.evaluations += times
        if self.evaluations > self.limit:
            raise Diverged(f"the solver needs more than {self.limit} evaluations of the field; it may be stiff")
        if self.count is not None:
            self.count(evals=times)
        slope: Tensor = self.field(t, z)
        return slope


class Path(ABC):
    """A solution. outputs: (times, batch, d) at the times asked for, the start first. field: the counted right side."""

    def __init__(self, field: Counted, tolerance: float) -> None:
        self.field, self.tolerance = field, tolerance
        self.outputs: Tensor = torch.empty(0)
        self.steps: list[Step] = []
        self.solver_evaluations = 0  # those of the forward solution
        self.end = 0.0

    def finish(self, end: float) -> None:
        """Close the forward solution, which ended at `end`; from here on penalty and gradient evaluate the field."""
        self.end, self.solver_evaluations = end, self.field.evaluations
        self.field.limit *= BACKWARD

    @property
    def start(self) -> float:
        """Where the first step begins."""
        return float(self.steps[0].start)

    def scaled(self, error: Tensor, state: Tensor, end: Tensor) -> Tensor:
        """Size of a step's error (batch, d) in units of the tolerance; 0 with a gradient of 0 for an error of 0."""
        square = (error / (self.tolerance * (1 + torch.maximum(state.abs(), end.abs())))).square().mean()
        return torch.where(square > 0, square, 1.0).sqrt() * (square > 0)

    def covering(self, time: float) -> Step:
        """The accepted step that covers `time`."""
        return next(step for step in reversed(self.steps) if float(step.start) <= time or step is self.steps[0])

    def at(self, time: float) -> tuple[Tensor, Tensor]:
        """The state (batch, d) at `time` and the size of the step that covers it, both without a graph.

        The state is that of the cubic through the step's two ends, with the slopes there.
        """
        step = self.covering(time)
        with torch.no_grad():
            x = (time - step.start) / step.size
            first, last = step.slopes[0] * step.size, step.slopes[-1] * step.size
            rise = step.end - step.state
            state = step.state + x * (first + x * (3 * rise - 2 * first - last + x * (first + last - 2 * rise)))
        return state.detach(), step.size

    @abstractmethod
    def error(self, time: Tensor, state: Tensor, size: Tensor, first: Tensor | None = None) -> Tensor:
        """The solver's error estimate of a step from `state` (batch, d), computed anew with a graph to the field's weights.

        first: the field's value at the start, if it is not to be evaluated.
        """

    @abstractmethod
    def error_of(self, step: Step) -> Tensor:
        """The error estimate that the solver had of an accepted step, at no evaluation. BenchError where it has no graph."""

    def initial_size(self, time: Tensor, state: Tensor) -> Tensor:
        """The size of a first step that the solver would try from `state`, without a graph. BenchError if it takes none."""
        raise BenchError("the solver of this task chooses no first step by itself; take another flow_regularizer")

    def acceleration(self) -> Tensor:
        """d²z/dt² at the start of every accepted step, (steps, batch, d). BenchError where states have no derivative."""
        raise BenchError("a path of a stochastic equation has no second derivative; take another flow_regularizer")
