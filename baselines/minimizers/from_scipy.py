"""Minimisers of scipy.optimize on the counted oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from bench.contract import BenchError

ENDLESS = 10**9  # iterations: the task's budget ends the run


def _run(start: Tensor, oracle: Any, visit: Callable[[Tensor], None], method: str, hess: Any, options: Any) -> None:
    def both(x: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        value, gradient = oracle(torch.from_numpy(x.copy()))
        return value, gradient.numpy()

    def at_point(intermediate_result: Any) -> None:
        visit(torch.from_numpy(np.array(intermediate_result.x)))

    options = {"maxiter": ENDLESS, **options}
    minimize(both, start.numpy(), jac=True, hess=hess, method=method, callback=at_point, options=options)


def trust_region(*, start: Tensor, oracle: Any, visit: Callable[[Tensor], None], radius: float = 1.0) -> None:
    """`trust-exact`: the exact trust-region step (Conn, Gould, Toint 2000) with the matrix of slot `curvature`.

    radius: the first. The library factorises several times a step, which is not counted as solves.
    """
    if not radius > 0:
        raise BenchError(f"method.radius={radius}: it has to be above 0")

    def hess(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return oracle.hessian(torch.from_numpy(x.copy())).dense().numpy()

    options = {"initial_trust_radius": radius, "max_trust_radius": 1000 * radius, "gtol": 0.0}
    _run(start, oracle, visit, "trust-exact", hess, options)


def lbfgs(*, start: Tensor, oracle: Any, visit: Callable[[Tensor], None], memory: int = 10) -> None:
    """`L-BFGS-B` without bounds (Byrd, Lu, Nocedal, Zhu 1995), with `memory` pairs and the library's line search."""
    if not memory >= 1:
        raise BenchError(f"method.memory={memory}: it is at least 1")
    options = {"maxcor": memory, "maxfun": ENDLESS, "ftol": 0.0, "gtol": 0.0}
    _run(start, oracle, visit, "L-BFGS-B", None, options)
