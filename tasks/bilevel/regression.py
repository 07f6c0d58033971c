"""The two levels of `bilevel/ridge`, with both solutions in closed form. float64.

g = |u y - b|^2 / (2 n) + sum of e^x_i y_i^2 / 2 on training data, f = |u y - b|^2 / (2 m) on validation data. x in [LOW, HIGH].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

LOW, HIGH = -8.0, 2.0
SCALE = 0.03  # of psi's second derivatives, where penalties matter and the features have variance 1


class Regression:
    """u (n, d), b (n,): training data. u_val (m, d), b_val (m,): validation data."""

    def __init__(self, public: Mapping[str, Any]) -> None:
        sets = (public["u"], public["b"]), (public["u_val"], public["b_val"])
        (self.h, self.r), (self.h_val, self.r_val) = ((u.T @ u / len(u), u.T @ b / len(u)) for u, b in sets)
        self.rest = float(public["b_val"].square().mean()) / 2
        of_f, of_g = (float(torch.linalg.eigvalsh(h)[-1]) for h in (self.h_val, self.h))
        self.scale = SCALE
        self.smoothness = (of_f, of_g + math.exp(HIGH))

    def draw(self, generator: Generator) -> Any:
        return None

    def upper_value(self, x: Tensor, y: Tensor, draw: Any = None) -> float:
        return float(0.5 * y @ self.h_val @ y - y @ self.r_val) + self.rest

    def upper(self, x: Tensor, y: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(x), self.h_val @ y - self.r_val

    def lower(self, x: Tensor, y: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        strength = x.exp()
        return 0.5 * strength * y.square(), self.h @ y - self.r + strength * y

    def curvature(self, x: Tensor, y: Tensor, v: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        strength = x.exp()
        return strength * y * v, self.h @ v + strength * v

    def project_x(self, x: Tensor) -> Tensor:
        return x.clamp(LOW, HIGH)

    def project_y(self, y: Tensor) -> Tensor:
        return y

    def solution(self, x: Tensor) -> Tensor:
        """The ridge solution (d,) at penalties e^x."""
        return torch.linalg.solve(self.h + x.exp().diag(), self.r)

    def hyper(self, x: Tensor) -> tuple[float, Tensor]:
        y = self.solution(x)
        v = torch.linalg.solve(self.h + x.exp().diag(), self.upper(x, y)[1])
        return self.upper_value(x, y), -x.exp() * y * v

    def penalised(self, x: Tensor, sigma: float) -> tuple[float, Tensor]:
        curvature = self.h + x.exp().diag()
        z = self.solution(x)
        y = torch.linalg.solve(curvature + sigma * self.h_val, self.r + sigma * self.r_val)
        excess = 0.5 * (y - z) @ curvature @ (y - z)  # g(x, y) - g(x, z) without the cancellation
        slope = 0.5 * x.exp() * (y - z) * (y + z) / sigma
        return self.upper_value(x, y) + float(excess) / sigma, slope
