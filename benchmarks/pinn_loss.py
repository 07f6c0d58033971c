"""What the loss of a physics-informed network with its gradient costs over the same by torch.func, on the sizes of `small`.

A ratio of CPU seconds in one run; the two take turns and of each the least is taken. Losses and gradients agree, or the ratio
would compare nothing.

    python -m benchmarks pinn_loss
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, jvp, vmap

from bench.planning import config
from bench.seeds import Seeds
from benchmarks.timing import ratio
from tasks.pinn.equation import Equation, Points
from tasks.pinn.network import Field

ROUNDS, SEED = 40, 100
LIMIT = 1.3  # times the CPU seconds of torch.func
Row = tuple[str, float, str, float, Callable[[float, float], bool]]


def by_hand(field: Field, equation: Equation, points: Points) -> Callable[[], tuple[Tensor, dict[str, Tensor]]]:
    """A function that gives the mean square of the residual and its gradient: forward over forward mode, vectorised."""
    weights = {name: weight.detach() for name, weight in field.named_parameters()}
    zero, unit = torch.zeros((), dtype=points.x.dtype), torch.ones((), dtype=points.x.dtype)

    def loss(weights: dict[str, Tensor]) -> Tensor:
        def u(x: Tensor, t: Tensor) -> Tensor:
            return functional_call(field, weights, (x[None], t[None]))[0]  # type: ignore[no-any-return]

        def residual(x: Tensor, t: Tensor) -> Tensor:
            value, dt, *_ = jvp(u, (x, t), (zero, unit))
            dx, dxx, *_ = jvp(lambda x: jvp(lambda x: u(x, t), (x,), (unit,))[1], (x,), (unit,))
            return dt + equation.speed(value) * dx - equation.nu * dxx - equation.source(value)

        return vmap(residual)(points.x, points.t).square().mean()

    def both() -> tuple[Tensor, dict[str, Tensor]]:
        gradient, value = grad_and_value(loss)(weights)
        return value, gradient

    return both


def rows() -> Iterator[Row]:
    """The ratio for a network on a circle with second derivatives."""
    torch.set_num_threads(1)
    spec = config.task_spec("pinn/burgers_shift")
    task: Any = spec.cls(spec.cls.Params(**config.parameters(spec, "small", {})))
    public = task.problem(None, Seeds(SEED, spec.name)).public
    equation, points = task.equation(public["phase"]), Points(*(public[name] for name in Points._fields))
    torch.manual_seed(SEED)
    field = Field(task.params.width, task.params.layers, task.params.final)

    def ours() -> Tensor:
        for weight in field.parameters():
            weight.grad = None
        loss: Tensor = equation.residual(field.jet(points.x, points.t)).square().mean()
        loss.backward()
        return loss.detach()

    theirs = by_hand(field, equation, points)
    value, gradient = theirs()
    if not torch.allclose(ours(), value):
        raise RuntimeError("the two losses differ; either is not the residual's mean square")
    for name, weight in field.named_parameters():
        held = torch.zeros_like(weight) if weight.grad is None else weight.grad
        if not torch.allclose(held, gradient[name], rtol=1e-8, atol=1e-9):
            raise RuntimeError(f"the two gradients differ in {name}")
    yield (
        "a PINN's loss and gradient, over torch.func",
        ratio(ours, theirs, ROUNDS),
        "x",
        LIMIT,
        lambda got, limit: got <= limit,
    )
