"""Numbers about classifiers, as pure functions of their outputs. Importing this needs no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Tensor


def right(scores: Tensor, labels: Tensor) -> int:
    """How many of `labels` (samples,) have the largest of their `scores` (samples, classes); the first of equals counts.

    A sample with a score that is not a number is wrong. BenchError if the shapes do not fit: class numbers in place of
    scores, for instance, would otherwise be compared in silence.
    """
    if labels.ndim != 1 or scores.ndim != 2 or len(scores) != len(labels):
        raise BenchError(
            f"predict returned {tuple(scores.shape)}; scores (samples, classes) are wanted for {len(labels)} samples"
        )
    return int(((scores.argmax(-1) == labels) & ~scores.isnan().any(-1)).sum())


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Share of `labels` that `right` counts. ValueError if there are none."""
    if not len(labels):
        raise ValueError("the accuracy of no samples is undefined")
    return right(scores, labels) / len(labels)
