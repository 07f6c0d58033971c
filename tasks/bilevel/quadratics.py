"""Two quadratic levels with everything in closed form, also where the lower level has many solutions.

g(x, y) = y'Qy / 2 - y'(Px + c), f(x, y) = |Cy - t|^2 / 2 + RHO |x|^2 / 2. X and Y are all of space. float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from bench.contract import BenchError

RHO = 0.05  # strength of the upper level's own penalty on x
NULL = 1e-10  # an eigenvalue of Q below this share of the largest counts as 0


class Quadratics:
    """Q (dy, dy), P (dy, dx), c (dy,), C (dy, dy), t (dy,). noise: deviation of each component of a sample's gradients.

    A sample adds to each level a linear function with normal coefficients, new for every draw: its gradients are unbiased,
    and at one draw they differ between two points exactly as the true ones do. BenchError unless the lower level has a
    solution for every x: Q positive semidefinite, the columns of P and c in its range.
    """

    def __init__(self, public: Mapping[str, Any]) -> None:
        self.q, self.p, self.c, self.outer, self.t = (public[name] for name in ("Q", "P", "c", "C", "t"))
        self.noise = float(public["noise"])
        values, vectors = torch.linalg.eigh(self.q)
        kept = values > NULL * values[-1]
        if not (float(values[-1]) > 0 and bool((values >= -NULL * values[-1]).all())):
            raise BenchError(
                f"the lower level has no solution: its curvature has the eigenvalue {float(values[0]):.3g}"
            )
        self.null = vectors[:, ~kept]
        loose = float((self.null.T @ torch.column_stack([self.p, self.c])).abs().sum())
        if loose > 1e-8 * float(self.p.norm() + self.c.norm()):
            raise BenchError("the lower level has no solution: it falls without end along directions without curvature")
        self.inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
        self.smoothness = (float(torch.linalg.matrix_norm(self.outer, 2)) ** 2, float(values[-1]))
        self.scale = 1.0  # the tasks draw P so that the largest second derivative of psi is 1 + RHO
        # y*(x) = slope x + offset: the minimum-norm solution plus the null direction that the upper level likes best
        best = torch.linalg.pinv(self.outer @ self.null)
        choose = torch.eye(len(self.q), dtype=self.q.dtype) - self.null @ best @ self.outer
        self.slope = choose @ self.inverse @ self.p
        self.offset = choose @ self.inverse @ self.c + self.null @ best @ self.t

    def draw(self, generator: Generator) -> Any:
        if not self.noise:
            return None
        dy, dx = self.p.shape
        drawn = self.noise * torch.randn(2, dx + dy, generator=generator, dtype=self.q.dtype)
        return [(row[:dx], row[dx:]) for row in drawn]

    def upper_value(self, x: Tensor, y: Tensor, draw: Any = None) -> float:
        value = 0.5 * (self.outer @ y - self.t).square().sum() + 0.5 * RHO * x.square().sum()
        return float(value if draw is None else value + draw[0][0] @ x + draw[0][1] @ y)

    def upper(self, x: Tensor, y: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        in_x, in_y = RHO * x, self.outer.T @ (self.outer @ y - self.t)
        return (in_x, in_y) if draw is None else (in_x + draw[0][0], in_y + draw[0][1])

    def lower(self, x: Tensor, y: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        in_x, in_y = -(self.p.T @ y), self.q @ y - self.p @ x - self.c
        return (in_x, in_y) if draw is None else (in_x + draw[1][0], in_y + draw[1][1])

    def curvature(self, x: Tensor, y: Tensor, v: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        return -(self.p.T @ v), self.q @ v

    def project_x(self, x: Tensor) -> Tensor:
        return x

    def project_y(self, y: Tensor) -> Tensor:
        return y

    def solution(self, x: Tensor) -> Tensor:
        """y*(x) (dy,): of the minimisers of g(x, .) the one of least f."""
        return self.slope @ x + self.offset

    def hyper(self, x: Tensor) -> tuple[float, Tensor]:
        y = self.solution(x)
        in_x, in_y = self.upper(x, y)
        return self.upper_value(x, y), in_x + self.slope.T @ in_y

    def penalised(self, x: Tensor, sigma: float) -> tuple[float, Tensor]:
        """min_y (sigma f + g) is one linear system; at a minimiser of g the value of g is -y'(Px + c) / 2."""
        force = self.p @ x + self.c
        curvature = sigma * self.outer.T @ self.outer + self.q
        y = torch.linalg.solve(curvature, sigma * self.outer.T @ self.t + force)
        z = self.inverse @ force
        excess = 0.5 * (y - z) @ self.q @ (y - z)  # g(x, y) - g(x, z) without the cancellation
        return self.upper_value(x, y) + float(excess) / sigma, self.upper(x, y)[0] - self.p.T @ (y - z) / sigma

    def least(self) -> tuple[Tensor, float]:
        """The minimiser of psi and the minimum: psi is a strongly convex quadratic."""
        inner = self.outer @ self.slope
        hessian = RHO * torch.eye(inner.shape[1], dtype=inner.dtype) + inner.T @ inner
        x = torch.linalg.solve(hessian, inner.T @ (self.t - self.outer @ self.offset))
        return x, self.hyper(x)[0]
