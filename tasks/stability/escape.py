"""`stability/escape`: beside a sharp minimum that gradient descent found, which rates leave it?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.stability.rates import Rates

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.stability.models import Model, Relu2

PERTURBATION = 1e-4  # deviation of what is added to every parameter of the minimum
DESCENT_RATE, DESCENT_STEPS, CLOSE = 0.05, 20000, 1e-6  # gradient descent: rate, most steps, loss at its end
POLISH, EXACT = 20, 1e-24  # Gauss-Newton steps after it, and the loss they have to reach


@dataclass
class Params:
    """samples, inputs, width: as in `stability/relu2`. rate: learning rate in units of 1 / trace. steps: updates at most."""

    samples: int = 40
    inputs: int = 10
    width: int = 60
    rate: float = 1.0
    steps: int = 2000


class Escape(Rates):
    """The data and network of `stability/relu2`. Gradient descent, then Gauss-Newton steps, find the minimum; the start is
    the minimum plus normal noise of deviation 1e-4.
    """

    name = "stability/escape"
    version = 2
    Params = Params
    positive = (*Rates.positive, "width")
    presets = {
        "smoke": {"samples": 20, "inputs": 5, "width": 40, "steps": 300},
        "small": {},
        "paper": {"samples": 200, "inputs": 50, "width": 500, "steps": 20000},
    }

    def model(self) -> Relu2:
        from tasks.stability.models import Relu2

        return Relu2(self.params.inputs, self.params.width)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.stability.models import DTYPE, sphere
        from tasks.stability.threshold import spectrum

        p, model = self.params, self.model()
        normal = partial(seeds.stream("data", "weights").normal, dtype=DTYPE)
        x = sphere(p.samples, p.inputs, p.inputs**0.5, seeds.stream("data", "train"))
        y = x[:, 0].clamp(min=0)
        minimum = interpolate(model, model.start(normal), x, y)
        start = minimum + PERTURBATION * normal(len(minimum))
        jacobian = model.jacobian(minimum, x)
        trace, _ = spectrum(jacobian @ jacobian.T)
        return Problem({"x": x, "y": y, "minimum": minimum, "start": start, "trace": trace}, {})


def interpolate(model: Model, theta: Tensor, x: Tensor, y: Tensor, steps: int = DESCENT_STEPS) -> Tensor:
    """At most `steps` of gradient descent, until the loss is below 1e-6, then Gauss-Newton steps of least norm.

    Returns a minimum beside the end of gradient descent, its loss below 1e-24. BenchError if that does not interpolate.
    """
    import torch

    from tasks.stability.models import Gradient, loss

    gradient = Gradient(model, x, y)
    for at in range(steps):
        if at % 100 == 0 and loss(model, theta, x, y) < CLOSE:
            break
        theta = theta - DESCENT_RATE * gradient(theta)
    for _ in range(POLISH):
        if loss(model, theta, x, y) < EXACT:
            return theta
        residual = model.outputs(theta, x) - y
        theta = theta - torch.linalg.pinv(model.jacobian(theta, x)) @ residual
    raise BenchError(
        f"gradient descent found no minimum that interpolates (loss {loss(model, theta, x, y):.1e}); "
        "give fewer task.samples or more task.width"
    )
