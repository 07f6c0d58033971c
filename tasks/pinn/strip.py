"""A small network of a periodic coordinate and one across that gives its fields with their derivatives in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.pinn.flow import Jets
from tasks.pinn.network import Network


class Strip(nn.Module):
    """u, v, p of x, which enters as a point on a circle, and y, which enters over the largest half width."""

    def __init__(self, width: int, layers: int, half_width: float) -> None:
        super().__init__()
        self.half_width = half_width
        self.network = Network([3, *[width] * layers, 3])

    def _inputs(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """The network's inputs (n,)."""
        return [torch.cos(x), torch.sin(x), y / self.half_width]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """The fields (n, 3) at x, y (n,)."""
        return self.network(torch.stack(self._inputs(x, y), dim=-1))  # type: ignore[no-any-return]

    def jets(self, x: Tensor, y: Tensor) -> Jets:
        """The fields and their derivatives at x, y (n,), each (n, 3)."""
        (cosine, sine, across), zero = self._inputs(x, y), torch.zeros_like(x)
        slope = torch.full_like(x, 1 / self.half_width)
        parts = [
            [cosine, sine, across], [-sine, cosine, zero], [zero, zero, slope], [-cosine, -sine, zero], [zero, zero, zero],
        ]  # fmt: skip
        series = torch.stack([torch.stack(part, dim=-1) for part in parts])
        return Jets(*self.network.series(series, seconds=2))
