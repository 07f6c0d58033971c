"""Theory in the figures of the family: functions of the number on the x axis. See `theory` for the equations."""

from __future__ import annotations

import math

from tasks.generalization import theory


def descent(step: float, *, alpha: float, snr: float, rate: float) -> float:
    """Error after `step` >= 0 steps of gradient descent at `rate` from zero weights, N to infinity; linear between steps."""
    before = math.floor(step)
    low, high = (theory.gradient_descent(alpha, snr, k * rate, rate=rate) for k in (before, before + 1))
    return low + (step - before) * (high - low)
