"""The two levels of `bilevel/cleaning`: softmax regression with weighted samples. float64.

g = mean of sigmoid(x_i) CE_i(W) + DECAY |W|^2 / 2 on training data, f = mean of CE_i(W) on validation data; y is W (classes,
inputs), flat. The lower level is strongly convex; its solution is found by Newton's method to a gradient of 1e-10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from bench.contract import BenchError

DECAY = 0.01
BOUND = 10.0  # of |x|
NEWTON, CG, SMALL = 50, 500, 1e-10  # most steps of each, and the gradient at which the lower level counts as solved


class Softmax:
    """u (n, inputs), labels (n,): training data. u_val (m, inputs), labels_val (m,): validation data. A draw is `batch` samples
    of each, with replacement.
    """

    def __init__(self, public: Mapping[str, Any], classes: int) -> None:
        self.classes, self.batch = classes, int(public["batch"])
        self.u, self.u_val = public["u"], public["u_val"]
        self.targets, self.targets_val = (
            one_hot(public[name], classes).to(self.u.dtype) for name in ("labels", "labels_val")
        )
        of_f, of_g = (float(torch.linalg.matrix_norm(u, 2)) ** 2 / len(u) / 2 for u in (self.u_val, self.u))
        self.scale = 4 / len(self.u)  # a sample moves the lower solution by its share
        self.smoothness = (of_f, of_g + DECAY)  # a softmax's Hessian is at most 1/2

    def draw(self, generator: Generator) -> Any:
        sizes = (len(self.u), len(self.u_val))
        return [torch.randint(size, (self.batch,), generator=generator) for size in sizes]

    def matrix(self, y: Tensor) -> Tensor:
        """W (classes, inputs)."""
        return y.view(self.classes, -1)

    def _train(self, x: Tensor, draw: Any) -> tuple[Tensor, Tensor, Tensor]:
        return (self.u, self.targets, x) if draw is None else (self.u[draw[0]], self.targets[draw[0]], x[draw[0]])

    def _val(self, draw: Any) -> tuple[Tensor, Tensor]:
        return (self.u_val, self.targets_val) if draw is None else (self.u_val[draw[1]], self.targets_val[draw[1]])

    def upper_value(self, x: Tensor, y: Tensor, draw: Any = None) -> float:
        u, targets = self._val(draw)
        return float(losses(u @ self.matrix(y).T, targets).mean())

    def upper(self, x: Tensor, y: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        u, targets = self._val(draw)
        residual = (u @ self.matrix(y).T).softmax(dim=1) - targets
        return torch.zeros_like(x), (residual.T @ u / len(u)).flatten()

    def lower_value(self, x: Tensor, y: Tensor) -> float:
        """g(x, y), of all samples."""
        return float((x.sigmoid() * losses(self.u @ self.matrix(y).T, self.targets)).mean() + 0.5 * DECAY * y @ y)

    def lower(self, x: Tensor, y: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        u, targets, chosen = self._train(x, draw)
        logits, weight = u @ self.matrix(y).T, chosen.sigmoid()
        residual = weight[:, None] * (logits.softmax(dim=1) - targets)
        in_x = weight * (1 - weight) * losses(logits, targets) / len(u)
        return self._spread(in_x, x, draw), (residual.T @ u / len(u)).flatten() + DECAY * y

    def curvature(self, x: Tensor, y: Tensor, v: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        u, targets, chosen = self._train(x, draw)
        share, weight, moved = (u @ self.matrix(y).T).softmax(dim=1), chosen.sigmoid(), u @ self.matrix(v).T
        bent = weight[:, None] * share * (moved - (share * moved).sum(dim=1, keepdim=True))
        in_x = weight * (1 - weight) * ((share - targets) * moved).sum(dim=1) / len(u)
        return self._spread(in_x, x, draw), (bent.T @ u / len(u)).flatten() + DECAY * v

    def _bent(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        return self.curvature(x, y, v)[1]

    def _spread(self, values: Tensor, x: Tensor, draw: Any) -> Tensor:
        return values if draw is None else torch.zeros_like(x).index_add(0, draw[0], values)

    def project_x(self, x: Tensor) -> Tensor:
        return x.clamp(-BOUND, BOUND)

    def project_y(self, y: Tensor) -> Tensor:
        return y

    def solution(self, x: Tensor) -> Tensor:
        """y*(x), by Newton steps with halving. BenchError if 50 of them do not solve it."""
        y = torch.zeros(self.classes * self.u.shape[1], dtype=self.u.dtype)
        for _ in range(NEWTON):
            slope = self.lower(x, y)[1]
            if float(slope.norm()) < SMALL:
                return y
            step = conjugate_gradients(partial(self._bent, x, y), slope, CG, 1e-6)
            share, now = 1.0, self.lower_value(x, y)
            while (
                share > 1e-6
                and self.lower_value(x, y - share * step) > now - 1e-4 * share * float(slope @ step) + 1e-14
            ):
                share /= 2
            y = y - share * step
        raise BenchError(
            f"the lower level is not solved: a gradient of {float(slope.norm()):.1e} after {NEWTON} Newton steps"
        )

    def hyper(self, x: Tensor) -> tuple[float, Tensor]:
        y = self.solution(x)
        in_x, in_y = self.upper(x, y)
        v = conjugate_gradients(partial(self._bent, x, y), in_y, CG, 1e-9)
        return self.upper_value(x, y), in_x - self.curvature(x, y, v)[0]

    def penalised(self, x: Tensor, sigma: float) -> None:
        return None


def losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each sample, (samples,)."""
    return -(logits.log_softmax(dim=1) * targets).sum(dim=1)


def conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor, most: int, tolerance: float) -> Tensor:
    """v with product(v) = right to a residual of `tolerance` times |right|, in at most `most` products."""
    v, residual = torch.zeros_like(right), right
    direction, size = residual, residual @ residual
    goal = tolerance**2 * float(size)
    for _ in range(most):
        if float(size) <= goal:
            break
        image = product(direction)
        rate = size / (direction @ image)
        v, residual = v + rate * direction, residual - rate * image
        size, before = residual @ residual, size
        direction = residual + (size / before) * direction
    return v
