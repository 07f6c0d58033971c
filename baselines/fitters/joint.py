"""Networks of logistic units trained as a whole: by Adam, by SGD, by L-BFGS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional

from baselines.fitters import units as layer
from bench.contract import BenchError, Diverged

Report = Callable[[Mapping[str, Any]], None]


def sizes(x: Tensor, classes: int, units: int, trunk: float) -> list[int]:
    """Inputs, units of each hidden layer (two if `trunk`, a share, is above 0) and outputs."""
    width = round(trunk * units)
    if trunk < 0 or (trunk and not 0 < width < units):
        raise BenchError(f"fitter: trunk={trunk} of {units} units leaves a layer without a unit")
    return [x.shape[1], *([width] if width else []), units - width, classes if classes > 2 else 1]


def lbfgs(
    *, x: Tensor, y: Tensor, classes: int, units: int, generator: Generator, report: Report, iterations: int = 200,
    decay: float = 1e-4,
) -> dict[str, Tensor]:  # fmt: skip
    """All units at once by L-BFGS; decay: weight of |weights|^2 / 2n."""
    layer.positive(iterations=iterations)
    begun = layer.drawn(sizes(x, classes, units, 0.0), generator)
    return layer.network(layer.fit(begun, x.numpy(), layer.loss_of(y, classes), decay, iterations))


def adam(**arguments: Any) -> dict[str, Tensor]:
    """All units at once by Adam; see `stochastic`."""
    return stochastic(torch.optim.Adam, **arguments)


def sgd(**arguments: Any) -> dict[str, Tensor]:
    """All units at once by gradient descent with Nesterov's momentum of 0.9; see `stochastic`."""
    return stochastic(lambda parts, lr: torch.optim.SGD(parts, lr=lr, momentum=0.9, nesterov=True), **arguments)


def stochastic(
    optimizer: Callable[..., Any], *, x: Tensor, y: Tensor, classes: int, units: int, generator: Generator,
    report: Report, lr: float = 0.01, decay: float = 1e-4, epochs: int = 100, batch: int = 50, trunk: float = 0.0,
) -> dict[str, Tensor]:  # fmt: skip
    """Epochs of batches without replacement. decay: weight of |weights|^2 / 2n. trunk: share of the units in a first layer."""
    layer.positive(lr=lr, epochs=epochs, batch=batch)
    begun = layer.drawn(sizes(x, classes, units, trunk), generator)
    parts = [torch.from_numpy(part).requires_grad_() for part in begun]
    rule = optimizer(parts, lr=lr)
    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=generator).split(batch):
            state = x[rows]
            for w, b in zip(parts[:-2:2], parts[1:-2:2], strict=True):
                state = functional.linear(state, w, b).sigmoid()
            outputs, target = functional.linear(state, parts[-2], parts[-1]), y[rows]
            if not classes:
                loss = functional.mse_loss(outputs[:, 0], target) / 2
            elif classes == 2:
                loss = functional.binary_cross_entropy_with_logits(outputs[:, 0], target.to(outputs))
            else:
                loss = functional.cross_entropy(outputs, target)
            loss = loss + decay / 2 / len(x) * torch.stack([w.square().sum() for w in parts[::2]]).sum()
            if not bool(loss.isfinite()):
                raise Diverged("the loss is not finite")
            rule.zero_grad()
            loss.backward()
            rule.step()
    return layer.network([part.detach() for part in parts])
