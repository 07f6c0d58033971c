"""Solutions of dz = f(t, z) dt + sigma dW by torchsde's adaptive Euler method, with all steps that it accepts.

sigma (d,) is constant, so that the method has strong order 1. Its error is the difference between one step and two halves. The
noise cancels in it: h/2 (f(t, z) - f(t + h/2, z_middle)). Every trial is three evaluations, of which the first two are equal. One
more at the start of an interval is torchsde's check of shapes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from bench.contract import Diverged
from tasks.neural_ode.paths import Counted, Path, Step

TRIAL = 3  # evaluations of a step, accepted or rejected
FIRST = 0.5  # size of an interval's first trial, of the interval's length
LEAST = 1e-6  # step size at which torchsde accepts whatever the error is


class Recorder(Counted):
    """The equation as torchsde wants it, with a record of the drift's evaluations."""

    noise_type, sde_type = "additive", "ito"

    def __init__(self, field: nn.Module, noise: Tensor, limit: int, count: Callable[..., object] | None) -> None:
        super().__init__(field, limit, count)
        self.noise = noise
        self.recent: list[tuple[Tensor, Tensor, Tensor]] = []  # (time, state, slope)

    def f(self, t: Tensor, z: Tensor) -> Tensor:
        """The drift (batch, d)."""
        slope = self(t, z)
        self.recent.append((t.detach(), z, slope))
        return slope

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        """The diffusion (batch, d, d)."""
        return torch.diag_embed(self.noise.expand_as(z))

    def accepted(self, end: Tensor, last: Tensor) -> list[Step]:
        """The accepted ones among the trials of an interval, which ends in the state `last` at time `end`."""
        steps: list[Step] = []
        trials = [*zip(self.recent[1::TRIAL], self.recent[3::TRIAL], strict=True)]
        for place, ((t, state, slope), (middle, _, second)) in enumerate(trials):
            following = trials[place + 1][0] if place + 1 < len(trials) else (end, last, last)
            if following[0] > t:
                steps.append(Step(t, 2 * (middle - t), state, following[1], (slope, second)))
        self.recent = []
        return steps


class StochasticPath(Path):
    """A solution of an equation with additive noise. generator: of the increments of steps that are computed anew."""

    def __init__(self, field: Recorder, tolerance: float, generator: Generator) -> None:
        super().__init__(field, tolerance)
        self.noise, self.generator = field.noise, generator

    def error(self, time: Tensor, state: Tensor, size: Tensor, first: Tensor | None = None) -> Tensor:
        half = size / 2
        shape = (2, *state.shape)
        jumps = self.noise * half.sqrt() * torch.randn(shape, generator=self.generator, dtype=state.dtype)
        slope = self.field(time, state) if first is None else first
        middle = state + half * slope + jumps[0]
        second = self.field(time + half, middle)
        return self.scaled(half * (slope - second), state, middle + half * second + jumps[1])

    def error_of(self, step: Step) -> Tensor:
        first, second = step.slopes
        return self.scaled(step.size / 2 * (first - second), step.state, step.end)

    def at(self, time: float) -> tuple[Tensor, Tensor]:
        """The start of the step that covers `time` and its size: between its ends a path of noise has no state to interpolate."""
        step = self.covering(time)
        return step.state.detach(), step.size


def solve(
    field: nn.Module, noise: Tensor, state: Tensor, times: Tensor, tolerance: float, limit: int, generator: Generator,
    count: Callable[..., object] | None = None,
) -> StochasticPath:  # fmt: skip
    """A sample path for each row of `state` (batch, d) at times[0]; noise: sigma (d,). generator: of all increments.

    Every interval between times is solved by itself: torchsde interpolates linearly between steps, which loses variance, but
    ends a last step exactly. Raises Diverged where the solver gives up. Other arguments as in `ordinary.solve`.
    """
    import torchsde

    recorder = Recorder(field, noise, limit, count)
    path = StochasticPath(recorder, tolerance, generator)
    outputs = [state]
    for begin, end in zip(times[:-1], times[1:], strict=True):
        entropy = int(torch.randint(2**31, (), generator=generator))
        motion = torchsde.BrownianInterval(begin, end, size=tuple(state.shape), dtype=state.dtype, entropy=entropy)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the least step size was reached; the limit ends such a solution
                _, last = torchsde.sdeint(
                    recorder, outputs[-1], torch.stack([begin, end]), bm=motion, method="euler", adaptive=True,
                    rtol=tolerance, atol=tolerance, dt=FIRST * float(end - begin), dt_min=LEAST,
                )  # fmt: skip
        except AssertionError as error:  # torchsde's way to give up
            raise Diverged(f"the solver gave up: {str(error).splitlines()[0]}") from error
        path.steps += recorder.accepted(end, last)
        outputs.append(last)
    path.outputs = torch.stack(outputs)
    path.finish(float(times[-1]))
    return path
