"""Self-scaled BFGS: the inverse Hessian is rescaled before each update (Oren and Luenberger 1974, Al-Baali 1998).

    H  <-  (H - (H y s' + s y'H) / y's + (y'H y) s s' / (y's)^2) / tau  +  s s' / y's
    tau = min(1, y's / s'B s),      s = x_new - x,   y = g_new - g,   B = H^-1

With tau = 1 it is BFGS. s'Bs = -length g's, since s = -length H g. Urbán et al. 2025 (J. Comput. Phys.) use it to train
physics-informed networks. The line search is that of `torch.optim.LBFGS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim.lbfgs import _strong_wolfe

from bench.contract import BenchError

MOST = 12000  # parameters whose dense inverse fits memory here: 1.2 GB in float64
CURVED = 1e-12  # y's of a pair that updates, relative to the lengths of y and s


class SelfScaled(torch.optim.Optimizer):
    """One step is a direction, a line search, and an update of H (n, n) over all n parameters. It wants a closure.

    scaled: False is plain BFGS. Where the search finds no lower point, H is reset, and the next step goes down the gradient.
    """

    wants_closure = True

    def __init__(self, params: Iterable[Tensor], scaled: bool = True) -> None:
        super().__init__(params, {})
        self.scaled = scaled
        self.weights: list[Tensor] = [weight for group in self.param_groups for weight in group["params"]]
        if (count := sum(weight.numel() for weight in self.weights)) > MOST:
            raise BenchError(
                f"optimizer SelfScaled keeps a square matrix over {count} parameters; it goes to {MOST}; use LBFGS"
            )
        self.inverse: Tensor | None = None
        self.value, self.gradient = 0.0, torch.empty(0)

    def step(self, closure: Callable[[], Any]) -> float:  # type: ignore[override]
        """The loss after the step. The closure is evaluated along the line, and once more at the first step only."""
        if not len(self.gradient):
            self.value, self.gradient = float(closure()), self._gradient()
        x, g = self._place(), self.gradient
        fresh = self.inverse is None
        H = torch.eye(len(x), dtype=x.dtype) if self.inverse is None else self.inverse
        direction = -(H @ g)
        slope = float(g @ direction)
        if not slope < 0:
            self.inverse, direction, slope = None, -g, -float(g @ g)
            H, fresh = torch.eye(len(x), dtype=x.dtype), True
        first = 1 / max(1.0, float(g.abs().sum())) if fresh else 1.0

        def along(start: list[Tensor], length: float, way: Tensor) -> tuple[float, Tensor]:
            self._move(start[0] + length * way)
            return float(closure()), self._gradient()

        value, gradient, length, _ = _strong_wolfe(
            along, [x], first, direction, self.value, g, slope, tolerance_change=1e-16
        )
        length = float(length)
        self._move(x + length * direction)
        if not value < self.value:
            self.inverse = None
            self._move(x)
            return self.value
        s, y = length * direction, gradient - g
        self.value, self.gradient = float(value), gradient
        if float(y @ s) > CURVED * float(y.norm() * s.norm()):
            bend = -(length**2) * slope
            if fresh:  # the first pair sets the scale of H, after which the update starts
                H, bend = H * float(y @ s / (y @ y)), float((y @ y) * (s @ s) / (y @ s))
            self.inverse = updated(H, s, y, min(1.0, float(y @ s) / bend) if self.scaled else 1.0)
        return self.value

    def _place(self) -> Tensor:
        return torch.cat([weight.detach().flatten() for weight in self.weights])

    def _gradient(self) -> Tensor:
        parts = (torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in self.weights)
        return torch.cat([part.detach().flatten() for part in parts])

    @torch.no_grad()
    def _move(self, place: Tensor) -> None:
        parts = place.split([weight.numel() for weight in self.weights])
        for weight, part in zip(self.weights, parts, strict=True):
            weight.copy_(part.view_as(weight))


def updated(H: Tensor, s: Tensor, y: Tensor, tau: float) -> Tensor:
    """The update above, in place of H (n, n); s, y (n,) with y's > 0, tau in (0, 1]. It maps y to s."""
    Hy, inner = H @ y, float(y @ s)
    H.addr_(s, Hy, alpha=-1 / inner).addr_(Hy, s, alpha=-1 / inner)
    return H.div_(tau).addr_(s, s, alpha=float(y @ Hy) / (inner**2 * tau) + 1 / inner)
