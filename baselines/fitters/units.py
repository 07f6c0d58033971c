"""Logistic units fitted by L-BFGS: one hidden layer, in closed-form gradients and float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax
from torch import Generator, Tensor

from bench.contract import BenchError, Diverged

Array = np.ndarray[Any, Any]
Loss = Callable[[Array], tuple[float, Array]]  # outputs (n, k) -> (summed loss, its derivatives (n, k))


def squared(targets: Array) -> Loss:
    """Half of the squared differences to targets (n, k)."""

    def of(outputs: Array) -> tuple[float, Array]:
        error = outputs - targets
        return float((error**2).sum() / 2), error

    return of


def likelihood(labels: Array, classes: int) -> Loss:
    """The negative log-likelihood of labels (n,): of one logit for two classes, of one a class for more."""
    if classes == 2:

        def of_two(outputs: Array) -> tuple[float, Array]:
            z = outputs[:, 0]
            return float((np.logaddexp(0, z) - labels * z).sum()), (expit(z) - labels)[:, None]

        return of_two
    wanted = np.eye(classes)[labels]

    def of(outputs: Array) -> tuple[float, Array]:
        return float(-(wanted * log_softmax(outputs, axis=1)).sum()), softmax(outputs, axis=1) - wanted

    return of


def loss_of(y: Tensor, classes: int) -> Loss:
    """The loss of a task's targets (n,)."""
    return likelihood(y.numpy(), classes) if classes else squared(y.numpy()[:, None])


def drawn(sizes: Sequence[int], generator: Generator) -> list[Array]:
    """Weights (out, in) and bias (out,) of each layer, uniform within sqrt(2 / (in + out)), which is usual for logistic units."""
    made: list[Array] = []
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        bound = (2 / (fan_in + fan_out)) ** 0.5
        for shape in ((fan_out, fan_in), (fan_out,)):
            made.append(((torch.rand(*shape, generator=generator, dtype=torch.float64) * 2 - 1) * bound).numpy())
    return made


def objective(parts: Sequence[Array], x: Array, loss: Loss, decay: float) -> tuple[float, list[Array]]:
    """(mean loss + decay |weights|^2 / 2n, its gradients) of `parts`: weights and bias a layer, all but the last logistic."""
    n, states = len(x), [x]
    for w, b in zip(parts[:-2:2], parts[1:-2:2], strict=True):
        states.append(expit(states[-1] @ w.T + b))
    value, slope = loss(states[-1] @ parts[-2].T + parts[-1])
    value += decay / 2 * sum(float((w**2).sum()) for w in parts[::2])
    gradients: list[Array] = []
    for layer in range(len(states) - 1, -1, -1):
        w, state = parts[2 * layer], states[layer]
        gradients = [(slope.T @ state + decay * w) / n, slope.sum(axis=0) / n, *gradients]
        slope = (slope @ w) * state * (1 - state)
    return value / n, gradients


def fit(parts: Sequence[Array], x: Array, loss: Loss, decay: float, iterations: int) -> list[Array]:
    """`parts` after L-BFGS. Diverged if the result is not finite."""
    shapes = [part.shape for part in parts]
    ends = np.cumsum([part.size for part in parts])[:-1]

    def unpacked(theta: Array) -> list[Array]:
        return [piece.reshape(shape) for piece, shape in zip(np.split(theta, ends), shapes, strict=True)]

    def packed(arrays: Sequence[Array]) -> Array:
        return np.concatenate([array.ravel() for array in arrays])

    def asked(theta: Array) -> tuple[float, Array]:
        value, gradients = objective(unpacked(theta), x, loss, decay)
        return value, packed(gradients)

    found = minimize(
        asked, packed(parts), jac=True, method="L-BFGS-B", options={"maxiter": iterations, "ftol": 0.0, "gtol": 1e-8}
    )
    if not np.isfinite(found.x).all():
        raise Diverged("L-BFGS ended at weights that are not finite")
    return unpacked(found.x)


def network(parts: Sequence[Array | Tensor]) -> dict[str, Tensor]:
    """The task's tensors of weights and bias of each layer: two layers, or three with a trunk below."""
    tensors = [torch.as_tensor(part) for part in parts]
    named = {} if len(tensors) == 4 else {"trunk": tensors[0], "trunk_bias": tensors[1]}
    hidden, bias, out, base = tensors[-4:]
    return {
        **named, "hidden": hidden, "hidden_bias": bias, "out": out, "offset": torch.zeros_like(out), "base": base
    }  # fmt: skip


def positive(**values: float) -> None:
    """BenchError unless every value is above 0."""
    for name, value in values.items():
        if not value > 0:
            raise BenchError(f"fitter: {name}={value} has to be above 0")
