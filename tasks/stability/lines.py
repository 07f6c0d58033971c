"""Theory in the figures of the family: functions of the number on the x axis."""

from __future__ import annotations


def trace_bound(rate: float) -> float:
    """2 / rate: the largest trace of a minimum at which SGD on single samples can be stable at a learning rate > 0.

    Wu and Su 2023 (arXiv 2305.17490); for gradient descent it bounds the largest eigenvalue instead.
    """
    return 2 / rate
