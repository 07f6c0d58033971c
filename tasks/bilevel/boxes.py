"""The two levels of `bilevel/discontinuous`, with psi and psi_sigma in closed form, coordinate by coordinate.

f = sum of (x - s)^2 + b y^2, g = sum of x y, x and y in [-1, 1]. The lower solution is y = -sign x; at x = 0 all of [-1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor


class Boxes:
    """s (d,), b (d,) above 0. Arguments x of the closed forms may have dimensions in front of (d,)."""

    def __init__(self, public: Mapping[str, Any]) -> None:
        self.s, self.b = public["s"], public["b"]
        self.scale = 2.0
        self.smoothness = (2 * float(self.b.max()), 1.0)  # g is linear in y; 1 is the slope's Lipschitz constant in x

    def draw(self, generator: Generator) -> Any:
        return None

    def upper_value(self, x: Tensor, y: Tensor, draw: Any = None) -> float:
        return float(((x - self.s).square() + self.b * y.square()).sum())

    def upper(self, x: Tensor, y: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        return 2 * (x - self.s), 2 * self.b * y

    def lower(self, x: Tensor, y: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        return y, x

    def curvature(self, x: Tensor, y: Tensor, v: Tensor, draw: Any = None) -> tuple[Tensor, Tensor]:
        return v, torch.zeros_like(v)

    def project_x(self, x: Tensor) -> Tensor:
        return x.clamp(-1, 1)

    def project_y(self, y: Tensor) -> Tensor:
        return y.clamp(-1, 1)

    def psi(self, x: Tensor) -> Tensor:
        """Of each coordinate: (x - s)^2 + b, but s^2 at x = 0."""
        return (x - self.s).square() + self.b * (x != 0)

    def psi_sigma(self, x: Tensor, sigma: float) -> Tensor:
        """Of each coordinate. The penalised solution y = -x / (2 sigma b) leaves [-1, 1] at |x| = 2 sigma b; from there on
        psi_sigma is psi, and below it psi - psi_sigma = b (1 - |x| / (2 sigma b))^2, which tends to b at 0 for every sigma.
        """
        inside = (1 - x.abs() / (2 * sigma * self.b)).clamp(min=0)
        return (x - self.s).square() + self.b * (1 - inside.square())

    def hyper(self, x: Tensor) -> tuple[float, Tensor]:
        """The gradient is that of the smooth part, also at 0, where psi has none."""
        return float(self.psi(x).sum()), 2 * (x - self.s)

    def penalised(self, x: Tensor, sigma: float) -> tuple[float, Tensor]:
        inside = (1 - x.abs() / (2 * sigma * self.b)).clamp(min=0)
        return float(self.psi_sigma(x, sigma).sum()), 2 * (x - self.s) + inside * x.sign() / sigma

    def relaxed(self, x: Tensor, tolerance: float) -> float:
        """Least f over y with x y at most `tolerance` above its minimum -|x|: |y| is at least 1 - tolerance / |x|."""
        forced = (1 - tolerance / x.abs().clamp(min=1e-300)).clamp(min=0)
        return float(((x - self.s).square() + self.b * forced.square()).sum())

    def least(self, tolerance: float) -> float:
        """The minimum of `relaxed`, which lies between 0 and s in each coordinate: over 20001 points there and its kink at
        `tolerance`. Elsewhere it is smooth, so that the points cost less than 1e-7 a coordinate.
        """
        shares = torch.linspace(0, 1, 20001, dtype=self.s.dtype)[:, None]
        kink = self.s.sign() * self.s.abs().clamp(max=tolerance)
        x = torch.cat([shares * self.s, kink[None]])
        forced = (1 - tolerance / x.abs().clamp(min=1e-300)).clamp(min=0)
        return float(((x - self.s).square() + self.b * forced.square()).min(dim=0).values.sum())

    def gaps(self, sigma: float) -> tuple[float, float]:
        """Largest |psi_sigma - psi| / b of coordinate 1 for |x| from edge / 1000 on and from edge = 2 sigma b on; 0 if empty."""
        first = Boxes({"s": self.s[:1], "b": self.b[:1]})
        edge = 2 * sigma * float(first.b)

        def gap(low: float) -> float:
            if low > 1:
                return 0.0
            x = torch.logspace(torch.log10(torch.tensor(low)).item(), 0, 1001, dtype=self.s.dtype)[:, None].clamp(
                min=low
            )
            return float((first.psi_sigma(x, sigma) - first.psi(x)).abs().max() / first.b[0])

        return gap(edge / 1000), gap(edge)
