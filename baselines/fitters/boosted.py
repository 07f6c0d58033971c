"""A network trained by gradient boosting, some units a stage.

Source: Emami and Martínez-Muñoz, Sequential Training of Neural Networks with Gradient Boosting (arXiv 1909.12098).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.special import expit, softmax
from torch import Generator, Tensor

from baselines.fitters import units as layer
from baselines.fitters.joint import adam
from baselines.fitters.units import Array
from bench.contract import BenchError

Report = Callable[[Mapping[str, Any]], None]
SMALL = 1e-12


def start(y: Array, classes: int) -> Array:
    """The constant (outputs,) of the paper: the mean; log((1 + m)/(1 - m))/2 with labels of -1 and 1 and mean m; zeros."""
    if not classes:
        return np.array([y.mean()])
    if classes == 2:
        mean = (2 * y - 1).mean()
        return np.array([np.log((1 + mean) / (1 - mean)) / 2])
    return np.zeros(classes)


def residuals(y: Array, f: Array, classes: int) -> Array:
    """Minus the derivative of the loss in f (n, outputs). For two classes the loss is log(1 + exp(-2 y f)), labels -1 and 1."""
    if not classes:
        return y[:, None] - f
    if classes == 2:
        sign = (2 * y - 1)[:, None]
        return 2 * sign * expit(-2 * sign * f)
    return np.eye(classes)[y] - softmax(f, axis=1)


def step(y: Array, r: Array, h: Array, classes: int) -> Array:
    """The factor (outputs,) of a stage's outputs h (n, outputs): a Newton step along h; 1 in regression.

    For two classes r (2y - r) is the loss's second derivative, for more p (1 - p) with p = y - r.
    """
    if not classes:
        return np.ones(1)
    if classes == 2:
        curvature = r * (2 * (2 * y - 1)[:, None] - r)
    else:
        p = np.eye(classes)[y] - r
        curvature = p * (1 - p)
    below = (h**2 * curvature).sum(axis=0)
    return np.where(below > SMALL, (r * h).sum(axis=0) / np.maximum(below, SMALL), 0.0)


def boosted(
    *, x: Tensor, y: Tensor, classes: int, units: int, generator: Generator, report: Report, each: int = 1,
    eta: float = 0.1, subsample: float = 0.5, iterations: int = 200, decay: float = 1e-4,
) -> dict[str, Tensor]:  # fmt: skip
    """The paper's network: F_t = F_(t-1) + eta rho_t h_t, each h_t of `each` units, fitted to residuals on a part of the rows.

    subsample: share of the rows that a stage sees, drawn without replacement. decay, iterations: of a stage's L-BFGS. Every stage
    draws `each` units anew, and the last one what is left of `units`.
    """
    layer.positive(each=each, eta=eta, subsample=subsample, iterations=iterations)
    if subsample > 1 or decay < 0:
        raise BenchError(f"fitter: subsample={subsample} is a share of the rows, and decay={decay} has to be 0 or more")
    rows, targets = x.numpy(), y.numpy()
    base = start(targets, classes)
    f = np.tile(base, (len(rows), 1))
    unit = 2.0 if classes == 2 else 1.0  # p = sigmoid(2F) for labels of -1 and 1, so the logit is 2F
    stages: list[dict[str, Array]] = []

    def merged() -> dict[str, Tensor]:
        whole = {name: [stage[name] for stage in stages] for name in stages[0]}
        joined = {name: np.concatenate(pieces, axis=int(name in ("out", "offset"))) for name, pieces in whole.items()}
        return {name: torch.as_tensor(value) for name, value in joined.items()} | {"base": torch.as_tensor(unit * base)}

    for first in range(0, units, each):
        count = min(each, units - first)
        seen = torch.randperm(len(rows), generator=generator)[: max(1, round(subsample * len(rows)))].numpy()
        r = residuals(targets, f, classes)
        begin = layer.drawn([rows.shape[1], count, f.shape[1]], generator)
        w, b, v, c = layer.fit(begin, rows[seen], layer.squared(r[seen]), decay, iterations)
        h = expit(rows @ w.T + b) @ v.T + c
        rho = eta * step(targets[seen], r[seen], h[seen], classes)
        f = f + rho * h
        # The stage's bias is shared by its units, so that it goes when all of them are switched off.
        offset = np.tile((rho * c / count)[:, None], (1, count))
        stages.append({"hidden": w, "hidden_bias": b, "out": unit * rho[:, None] * v, "offset": unit * offset})
        report(merged())
    return merged()


def boosted_deep(
    *, x: Tensor, y: Tensor, classes: int, units: int, generator: Generator, report: Report, trunk: float = 0.5,
    lr: float = 0.01, epochs: int = 100, **arguments: Any,
) -> dict[str, Tensor]:  # fmt: skip
    """Boosting of the last hidden layer, on features of a layer that Adam trained in a network of two.

    trunk: share of the units in the first layer. The second layer of that network is dropped, as is its output. Other arguments
    are those of `boosted`.
    """
    width = split(units, trunk)
    begun = adam(
        x=x, y=y, classes=classes, units=units, generator=generator, report=silent, trunk=trunk, lr=lr, epochs=epochs
    )
    below = {name: begun[name] for name in ("trunk", "trunk_bias")}
    features = (x @ below["trunk"].T + below["trunk_bias"]).sigmoid()
    centre, scale = features.mean(dim=0), features.std(dim=0, correction=0).clamp(min=1e-6)

    def whole(last: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """With the standardisation of the features folded into the boosted units."""
        hidden = last["hidden"] / scale
        return {**last, **below, "hidden": hidden, "hidden_bias": last["hidden_bias"] - hidden @ centre}

    last = boosted(
        x=(features - centre) / scale, y=y, classes=classes, units=units - width, generator=generator,
        report=lambda found: report(whole(found)), **arguments,
    )  # fmt: skip
    return whole(last)


def silent(found: Mapping[str, Any]) -> None:
    """Units of the dropped network are not part of the one that is judged."""


def split(units: int, trunk: float) -> int:
    """Units of the first of two layers. BenchError unless both have one."""
    width = round(trunk * units)
    if not 0 < width < units:
        raise BenchError(f"fitter: trunk={trunk} of {units} units leaves a layer without a unit")
    return width
