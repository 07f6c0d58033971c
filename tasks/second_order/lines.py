"""Theory in the figures of the family: functions of the number on the x axis."""

from __future__ import annotations

import math


def newton_rate(p: float) -> float:
    """Digits of f a step of Newton's method on |u|^p / p, p > 2, u linear.

    In the metric A'A f is r^p / p of a distance r, so that a step is r -> r (p - 2)/(p - 1).
    """
    return p * math.log10((p - 1) / (p - 2))


def fisher_rate(p: float) -> float:
    """The same with the Fisher matrix (p - 2) r^-p g g' and no regularisation, p > 3: r -> r (p - 3)/(p - 2)."""
    return p * math.log10((p - 2) / (p - 3))
