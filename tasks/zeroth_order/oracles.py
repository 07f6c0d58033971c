"""What a method may ask of the function that it minimises. Every answer is counted in evaluations of the function.

A slope along a direction (forward mode) costs twice an evaluation, a gradient (reverse mode) three times: a backward pass makes
two products a layer where a forward pass makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from tasks.zeroth_order.network import Network, Passed

SLOPE, GRADIENT = 2, 3  # evaluations that a slope and a gradient count as


class Oracle:
    """A function of d numbers. values: points (..., d) -> (...). count(evals=): spends, or raises Exhausted."""

    def __init__(self, values: Callable[[Tensor], Tensor], count: Callable[..., None]) -> None:
        self._values, self._count = values, count

    def __call__(self, points: Tensor) -> Tensor:
        """Values (...) at points (..., d); each costs one evaluation."""
        self._count(evals=points[..., 0].numel())
        with torch.no_grad():
            return self._values(points)

    def slopes(self, point: Tensor, directions: Tensor) -> Tensor:
        """Exact derivatives (k,) at `point` (d,) along `directions` (k, d), by forward mode; each costs two evaluations."""
        self._count(evals=SLOPE * len(directions))

        def slope(direction: Tensor) -> Tensor:
            return torch.func.jvp(self._values, (point,), (direction,))[1]

        with torch.no_grad():
            if len(directions) == 1:
                return slope(directions[0])[None]
            return torch.func.vmap(slope)(directions)

    def gradient(self, point: Tensor) -> Tensor:
        """The exact gradient (d,) by reverse mode; it costs three evaluations."""
        self._count(evals=GRADIENT)
        return gradient(self._values, point)


def gradient(values: Callable[[Tensor], Tensor], point: Tensor) -> Tensor:
    """Gradient (d,) of a differentiable function at `point` (d,), uncounted."""
    with torch.enable_grad():
        here = point.detach().requires_grad_()
        (found,) = torch.autograd.grad(values(here), here)
    return found


class NetworkOracle(Oracle):
    """The mean loss of a network on the batch `x` (B, inputs), `y` (B,), which the task sets. An evaluation is a forward pass."""

    def __init__(self, network: Network, count: Callable[..., None]) -> None:
        super().__init__(lambda weights: network.loss(weights, self.x, self.y), count)
        self.network = network
        self.x, self.y = torch.empty(0), torch.empty(0, dtype=torch.long)

    def forward(self, weights: Tensor, noise: Sequence[Tensor] | None = None) -> Passed:
        """One forward pass, with `noise` (B, units) added to the sums that enter each layer's units; one evaluation."""
        self._count(evals=1)
        with torch.no_grad():
            return self.network.forward(weights, self.x, self.y, noise)

    def outer(self, passed: Passed, errors: Sequence[Tensor]) -> Tensor:
        """Direction (d,) of the weights from errors (B, units) at each layer's sums; one evaluation, a product a layer."""
        self._count(evals=1)
        return self.network.outer(passed, errors)

    def backward(self, passed: Passed, feedback: Sequence[Tensor], direct: bool = False) -> Tensor:
        """Direction (d,) when `feedback` carries the output's error back; two evaluations, as a backward pass.

        feedback: for each hidden layer, from the first, a matrix (units of the next layer, its units), or, if `direct`,
        (classes, its units). The transposed weights give the gradient.
        """
        self._count(evals=GRADIENT - 1)
        errors = [passed.error]
        for layer in reversed(range(len(feedback))):
            above = passed.error if direct else errors[0]
            errors.insert(0, above @ feedback[layer] * (1 - passed.inputs[layer + 1].square()))
        return self.network.outer(passed, errors)
