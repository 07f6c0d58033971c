"""The fast gradient method, with the same adaptive estimate of smoothness as the family's gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from bench.contract import BenchError

TRIALS = 100  # of one step


def fast_gradient(
    *, start: Tensor, oracle: Any, visit: Callable[[Tensor], None], smoothness: float = 1.0, restart: bool = True
) -> None:
    """Nesterov's method x = y - g(y)/L, y = x + momentum, with backtracking on L (Beck, Teboulle 2009).

    L doubles until f falls by |g(y)|^2 / 2L and is halved after a step. restart: the momentum starts again where it points
    uphill (O'Donoghue, Candes 2015); without it a strongly convex function is passed and passed again.
    """
    if not smoothness > 0:
        raise BenchError(f"method.smoothness={smoothness}: it has to be above 0")
    before = ahead = start
    age = 1.0
    value, gradient = oracle(start)
    while float(gradient.norm()) > 0:
        square = float(gradient.square().sum())
        for _ in range(TRIALS):
            x = ahead - gradient / smoothness
            reached, _ = oracle(x)
            if value - reached >= square / (2 * smoothness):
                break
            smoothness *= 2
        else:
            if ahead is before:
                return
            ahead, age = before, 1.0
            value, gradient = oracle(ahead)
            continue
        if restart and float(gradient @ (x - before)) > 0:
            age = 1.0
        older, age = age, (1 + math.sqrt(1 + 4 * age**2)) / 2
        ahead = x + (older - 1) / age * (x - before)
        before, smoothness = x, smoothness / 2
        visit(x)
        value, gradient = oracle(ahead)
