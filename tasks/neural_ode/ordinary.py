"""Solutions of dz/dt = f(t, z) by torchdiffeq's method of Dormand and Prince, with all steps that it accepts.

A solution costs 2 evaluations for the first step's size and 6 for each step, accepted or rejected: the last slope of a step is
the first one of the next. Errors are those of Shampine's embedded weights of order 4, which torchdiffeq uses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench.contract import BenchError, Diverged
from tasks.neural_ode.paths import Counted, Path, Step

STAGES = 6  # evaluations of a step
NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
WEIGHTS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)  # the last row gives the solution of order 5
EMBEDDED = (1951 / 21600, 0.0, 22642 / 50085, 451 / 720, -12231 / 42400, 649 / 6300, 1 / 60)
ERROR = tuple(a - b for a, b in zip((*WEIGHTS[-1], 0.0), EMBEDDED, strict=True))


def limit_of(steps: int) -> int:
    """Evaluations of a solution of so many steps."""
    return 2 + STAGES * steps


def combined(slopes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Sum of weighted slopes."""
    return sum((w * k for w, k in zip(weights, slopes, strict=True) if w), torch.zeros_like(slopes[0]))


class Recorder(Counted):
    """A counted field that torchdiffeq tells which steps it accepts."""

    def __init__(self, field: nn.Module, limit: int, count: Callable[..., object] | None) -> None:
        super().__init__(field, limit, count)
        self.steps: list[Step] = []
        self.recent: list[tuple[Tensor, Tensor]] = []  # (state, slope) since the last step was decided
        self.recording = True

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        slope = super().forward(t, z)
        if self.recording:
            self.recent.append((z, slope))
        return slope

    def callback_accept_step(self, t: Tensor, state: Tensor, size: Tensor) -> None:
        """Keep the step. Its slopes are the last six, after the one where the step before ended."""
        first = self.steps[-1].slopes[-1] if self.steps else self.recent[0][1]
        stages = self.recent[-STAGES:]
        slopes = (first, *(slope for _, slope in stages))
        self.steps.append(Step(t.detach(), size.detach(), state, stages[-1][0], slopes))
        self.recent = []

    def callback_reject_step(self, t: Tensor, state: Tensor, size: Tensor) -> None:
        """Forget the step, but for the slope at its start where that is the first of all."""
        self.recent = [] if self.steps else self.recent[:1]


class OrdinaryPath(Path):
    """A solution of an ordinary differential equation."""

    def error(self, time: Tensor, state: Tensor, size: Tensor, first: Tensor | None = None) -> Tensor:
        end, error = embedded_step(self.field, time, state, size, first)
        return self.scaled(error, state, end)

    def error_of(self, step: Step) -> Tensor:
        if not step.slopes[-1].requires_grad:
            raise BenchError(
                "errors of the solver's own steps have no graph under task.sensitivity=adjoint; "
                "take task.sensitivity=backpropagation, or a local penalty"
            )
        return self.scaled(step.size * combined(step.slopes, ERROR), step.state, step.end)

    def initial_size(self, time: Tensor, state: Tensor) -> Tensor:
        """The rule of Hairer, Nørsett and Wanner (Solving Ordinary Differential Equations I, section II.4) for order 5."""
        with torch.no_grad():
            unit = self.tolerance * (1 + state.abs())
            slope = self.field(time, state)
            d0, d1 = ((v / unit).square().mean().sqrt() for v in (state, slope))
            small = d0.new_tensor(1e-6)
            h0 = small if min(float(d0), float(d1)) < 1e-5 else 0.01 * d0 / d1
            d2 = ((self.field(time + h0, state + h0 * slope) - slope) / unit).square().mean().sqrt() / h0
            largest = torch.maximum(d1, d2)
            h1 = torch.maximum(small, h0 * 1e-3) if float(largest) <= 1e-15 else (0.01 / largest) ** (1 / 5)
            return torch.minimum(100 * h0, h1)

    def acceleration(self) -> Tensor:
        times = torch.stack([step.start for step in self.steps])[:, None, None]
        states = torch.stack([step.state for step in self.steps])
        slopes = torch.stack([step.slopes[0] for step in self.steps])
        second: Tensor = torch.func.jvp(self.field, (times, states), (torch.ones_like(times), slopes))[1]
        return second


def embedded_step(
    field: Callable[[Tensor, Tensor], Tensor], time: Tensor, state: Tensor, size: Tensor, first: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One step: (state after it, of order 5; its difference to the embedded one of order 4). 7 evaluations, 6 with `first`."""
    slopes, end = [field(time, state) if first is None else first], state
    for node, weights in zip(NODES, WEIGHTS, strict=True):
        end = state + size * combined(slopes, weights)
        slopes.append(field(time + node * size, end))
    return end, size * combined(slopes, ERROR)


def solve(
    field: nn.Module, state: Tensor, times: Tensor, tolerance: float, limit: int, sensitivity: str = "backpropagation",
    count: Callable[..., object] | None = None,
) -> OrdinaryPath:  # fmt: skip
    """The solution from `state` (batch, d) at times[0], float64. limit: evaluations. count: told of each one.

    sensitivity: gradients by backpropagation through the solver's steps, or by the adjoint equation, solved backwards.
    Raises Diverged where the solver gives up: too many evaluations, a step of size 0, or numbers that are not finite.
    """
    import torchdiffeq

    method = torchdiffeq.odeint_adjoint if sensitivity == "adjoint" else torchdiffeq.odeint
    recorder = Recorder(field, limit, count)
    path = OrdinaryPath(recorder, tolerance)
    try:
        path.outputs = method(recorder, state, times, rtol=tolerance, atol=tolerance, method="dopri5")
    except AssertionError as error:  # torchdiffeq's way to give up
        raise Diverged(f"the solver gave up: {str(error).splitlines()[0]}") from error
    path.steps, recorder.recording, recorder.recent = recorder.steps, False, []
    path.finish(float(times[-1]))
    return path
