"""Regularisers of neural differential equations, which make them cheap for an adaptive solver.

A path (see the slot `flow_regularizer`) has the steps that the solver accepted. E is a step's error estimate over the tolerance,
h its size. Where a formula has "detached" numbers they are constants of the gradient.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from bench.contract import BenchError

SAMPLINGS = ("time", "step")


def local(*, path: Any, generator: Generator, progress: float, strength: float = 0.1, sampling: str = "time") -> Tensor:
    """strength E h of one step (Pal, Edelman and Rackauckas 2023, arXiv 2303.02262), from a state that is detached.

    sampling: the state at a time drawn uniformly, with the size of the step that covers it ("time", the paper's unbiased rule),
    or a step of the solver drawn uniformly ("step", its biased one). The step is computed anew, so that its gradient reaches
    the weights at any adjoint. h is detached, and E is differentiated at all of the step's slopes.
    """
    checked(strength)
    time, state, size = drawn(path, generator, sampling)
    return strength * path.error(time, state, size) * size


def published(
    *,
    path: Any,
    generator: Generator,
    progress: float,
    strength: float = 2.5,
    fade: float = 0.4,
    sampling: str = "time",
) -> Tensor:
    """The same as published code has it: h is the size that a solver would try first, and the first slope is detached.

    strength falls to `fade` times itself over the run, at equal ratios.
    """
    checked(strength)
    checked(fade, "fade")
    time, state, _ = drawn(path, generator, sampling)
    size = path.initial_size(time, state)
    with torch.no_grad():
        first = path.field(time, state)
    return strength * fade**progress * path.error(time, state, size, first) * size


def whole(*, path: Any, generator: Generator, progress: float, strength: float = 0.02) -> Tensor:
    """strength times the sum of E h over all steps (ERNODE: Pal, Ma, Shah and Rackauckas 2021, arXiv 2105.03918).

    The gradient passes through the solver; the h are detached.
    """
    checked(strength)
    return strength * torch.stack([path.error_of(step) * step.size for step in path.steps]).sum()


def taylor(*, path: Any, generator: Generator, progress: float, strength: float = 0.01) -> Tensor:
    """strength times the time integral of the mean square of d²z/dt² (Kelly, Bettencourt, Johnson and Duvenaud 2020, K = 2).

    arXiv 2007.04504 integrates it as one more coordinate of the state; here it is summed over the starts of the solver's steps.
    """
    checked(strength)
    sizes = torch.stack([step.size for step in path.steps])
    return strength * (path.acceleration().square().mean(dim=(1, 2)) * sizes).sum()


def steer(*, before: float, end: float, generator: Generator, width: float = 0.5) -> float:
    """An end drawn uniformly from end ± width (end - before) (STEER: Ghosh et al. 2020, arXiv 2006.10711)."""
    if not 0 < width < 1:
        raise BenchError(f"end_time.width={width} of steer: it lies in (0, 1), so that an interval keeps a length")
    return end + width * (end - before) * (2 * float(torch.rand((), generator=generator)) - 1)


def drawn(path: Any, generator: Generator, sampling: str) -> tuple[Tensor, Tensor, Tensor]:
    """(time, state (batch, d), step size), all detached, by a sampling rule of `local`."""
    if sampling not in SAMPLINGS:
        raise BenchError(f"flow_regularizer.sampling={sampling}: there are {', '.join(SAMPLINGS)}")
    if sampling == "step":
        step = path.steps[int(torch.randint(len(path.steps), (), generator=generator))]
        return step.start, step.state.detach(), step.size
    time = path.start + (path.end - path.start) * float(torch.rand((), generator=generator))
    state, size = path.at(time)
    return state.new_tensor(time), state, size


def checked(number: float, name: str = "strength") -> None:
    """BenchError unless an argument is finite and at least 0."""
    if not 0 <= number < math.inf:
        raise BenchError(f"flow_regularizer.{name}={number}: it has to be finite and at least 0")
