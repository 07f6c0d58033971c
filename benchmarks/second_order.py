"""What a step of GNS-Newton costs over the same equations in plain numpy, on the small logistic problem.

A ratio of CPU seconds in one run; the two take turns and of each the least is taken. The points agree, or the ratio would compare
nothing.

    python -m benchmarks second_order
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from baselines.minimizers.second_order import gns_newton
from bench.data import cache_dir
from bench.planning import config
from bench.seeds import Seeds
from benchmarks.timing import ratio
from tasks.second_order.matrices import exact
from tasks.second_order.oracle import Oracle

STEPS, ROUNDS, SEED = 8, 30, 100
LIMIT = 3.0  # times the CPU seconds of numpy; dispatch of small tensors is what it pays for
Row = tuple[str, float, str, float, Callable[[float, float], bool]]


class _Uncounted:
    """A log that does not count."""

    def count(self, **amounts: int) -> None:
        return None


class _Enough(Exception):
    """All steps are made."""


def plain(x: np.ndarray, y: np.ndarray, l2: float, steps: int) -> np.ndarray:
    """The point after `steps` steps of logistic regression from 0: Algorithm 1 in numpy, labels y in {0, 1}."""

    def both(w: np.ndarray) -> tuple[float, np.ndarray]:
        logits = x @ w
        chances = 1 / (1 + np.exp(-logits))
        value = np.logaddexp(0, logits).mean() - y @ logits / len(y) + l2 / 2 * w @ w
        return float(value), x.T @ (chances - y) / len(y) + l2 * w

    w, gamma = np.zeros(x.shape[1]), 1.0
    value, gradient = both(w)
    for _ in range(steps):
        chances = 1 / (1 + np.exp(-(x @ w)))
        hessian = (x.T * (chances * (1 - chances))) @ x / len(y) + l2 * np.eye(len(w))
        while True:
            shift = np.linalg.norm(gradient) / gamma
            step = np.linalg.solve(hessian + shift * np.eye(len(w)), -gradient)
            reached, slope = both(w + step)
            if value - reached >= slope @ slope / (8 * shift):
                break
            gamma /= 2
        w, value, gradient, gamma = w + step, reached, slope, 2 * gamma
    return w


def rows() -> Iterator[Row]:
    """The ratio of one step's cost."""
    torch.set_num_threads(1)
    spec = config.task_spec("second_order/logistic")
    task: Any = spec.cls(spec.cls.Params(**config.parameters(spec, "small", {})))
    public = task.problem(task.prepare(cache_dir(), 0), Seeds(SEED, spec.name)).public
    function = task.function(public)
    inputs, labels = public["inputs"].numpy(), public["labels"].double().numpy()
    points: list[torch.Tensor] = []

    def visit(x: torch.Tensor) -> None:
        points.append(x)
        if len(points) == STEPS:
            raise _Enough

    def ours() -> np.ndarray:
        points.clear()
        try:
            gns_newton(start=public["start"], oracle=Oracle(function, exact, _Uncounted()), visit=visit)  # type: ignore[arg-type]
        except _Enough:
            pass
        return points[-1].numpy()

    def theirs() -> np.ndarray:
        return plain(inputs, labels, task.params.l2, STEPS)

    if not np.allclose(ours(), theirs(), rtol=1e-6, atol=1e-8):
        raise RuntimeError("the two do not take the same steps; one of them is not Algorithm 1")
    yield (
        "a step of GNS-Newton, over the equations in numpy",
        ratio(ours, theirs, ROUNDS),
        "x",
        LIMIT,
        lambda got, limit: got <= limit,
    )
