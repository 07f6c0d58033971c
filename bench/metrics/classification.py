"""Metrics of classifiers, as pure functions of their outputs. Importing this module needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Tensor


def right(scores: Tensor, labels: Tensor) -> int:
    """Number of `labels` (samples,) with the largest of their `scores` (samples, classes); of equal scores the first counts,
    and NaN makes a sample wrong. BenchError if the shapes do not fit, such as class numbers instead of scores."""
    if labels.ndim != 1 or scores.ndim != 2 or len(scores) != len(labels):
        expected = f"scores (samples, classes) are wanted for {len(labels)} samples"
        raise BenchError(f"predict returned {tuple(scores.shape)}; {expected}")
    return int(((scores.argmax(-1) == labels) & ~scores.isnan().any(-1)).sum())


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Share of `labels` that `right` counts. ValueError if there are none."""
    if not len(labels):
        raise ValueError("the accuracy of no samples is undefined")
    return right(scores, labels) / len(labels)
