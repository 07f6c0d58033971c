"""Learners of linear students (slots `learner` and `stopping` of `generalization/*`).

A learner yields candidates (step, weights (draws, N)); `stopping` chooses one by its validation error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

Candidates = Iterator[tuple[int, Tensor]]


def best(errors: list[float]) -> bool:
    """Early stopping: the candidate with the least validation error so far is the answer."""
    return errors[-1] <= min(errors)


def zero(start: Tensor, **_: Any) -> Candidates:
    """The floor: a student that learned nothing."""
    yield 0, torch.zeros_like(start)


def minimum_norm(x: Tensor, y: Tensor, **_: Any) -> Candidates:
    """The least-squares solution of least norm, where gradient descent from zero weights ends."""
    yield 0, (torch.linalg.pinv(x) @ y[..., None])[..., 0]


def ridge(x: Tensor, y: Tensor, snr: float, **_: Any) -> Candidates:
    """Ridge regression at penalty 1/snr: the posterior mean, whose mean error no estimate undercuts (Advani, Saxe 2017)."""
    yield 0, _ridge(x, y, 1 / snr)


def ridge_path(
    x: Tensor, y: Tensor, least: float = 1e-3, largest: float = 1e2, candidates: int = 31, **_: Any
) -> Candidates:
    """Ridge regression at penalties on a log grid, the strongest first."""
    for i in range(candidates):
        share = i / max(1, candidates - 1)
        yield i, _ridge(x, y, math.exp((1 - share) * math.log(largest) + share * math.log(least)))


def descend_in_span(
    x: Tensor, start: Tensor, rate: float, checkpoints: Sequence[int], gradient: Callable[[Tensor], Tensor], **_: Any
) -> Candidates:
    """Gradient descent after the initial weights lost their part outside the span of the inputs, the frozen subspace, where no
    gradient would ever change them (Advani, Saxe 2017).
    """
    weights, step = (torch.linalg.pinv(x) @ (x @ start[..., None]))[..., 0], 0
    for place in checkpoints:
        while step < place:
            weights = weights - rate * gradient(weights)
            step += 1
        yield step, weights


def _ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    identity = torch.eye(x.shape[-1], dtype=x.dtype)
    return torch.linalg.solve(x.mT @ x + penalty * identity, (x.mT @ y[..., None])[..., 0])
