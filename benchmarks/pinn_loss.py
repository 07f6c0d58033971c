"""What the loss of a physics-informed network with its gradient costs over the same by torch.func, on the sizes of `small`, and
what a step of Adam costs over one of DeepXDE's.

Ratios of CPU seconds in one run; the two take turns and of each the least is taken. Losses and gradients agree with those of
torch.func, or the ratio would compare nothing. DeepXDE has the same equation, points and sizes in float64, and places as they
are instead of on a circle. `make perf` brings it; without it that ratio is left out.

    python -m benchmarks pinn_loss
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
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


def deepxde_step(equation: Equation, points: Points, width: int, layers: int) -> Callable[[], object]:
    """A function that takes one step of Adam on the mean square of the residual, as DeepXDE does it."""
    os.environ["DDE_BACKEND"] = "pytorch"
    dde = import_module("deepxde")
    dde.config.set_default_float("float64")

    def residual(inputs: Tensor, u: Tensor) -> Tensor:
        dx, dt = (dde.grad.jacobian(u, inputs, i=0, j=j) for j in (0, 1))
        dxx = dde.grad.hessian(u, inputs, i=0, j=0)
        return dt + equation.speed(u) * dx - equation.nu * dxx - equation.source(u)  # type: ignore[no-any-return]

    anchors = torch.stack([points.x, points.t], dim=1).numpy()
    plane = dde.geometry.Rectangle([0, 0], [math.tau, 1])
    data = dde.data.PDE(plane, residual, [], num_domain=0, anchors=anchors)
    model = dde.Model(data, dde.nn.FNN([2, *[width] * layers, 1], "tanh", "Glorot normal"))
    model.compile("adam", lr=1e-3, verbose=0)
    return lambda: model.train_step(data.train_x, data.train_y, data.train_aux_vars)


def rows() -> Iterator[Row]:
    """The ratios for a network on a circle with second derivatives."""
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
    if find_spec("deepxde") is None:
        return
    optimizer = torch.optim.Adam(field.parameters(), lr=1e-3)

    def step() -> None:
        ours()
        optimizer.step()

    rival = deepxde_step(equation, points, task.params.width, task.params.layers)
    yield (
        "a PINN's step of Adam, over DeepXDE's",
        ratio(step, rival, ROUNDS),
        "x",
        LIMIT,
        lambda got, limit: got <= limit,
    )
