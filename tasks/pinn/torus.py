"""A small network of two periodic coordinates and time that gives its fields with their derivatives in one pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tasks.pinn.network import Network
from tasks.pinn.vortices import Moving


class Torus(nn.Module):
    """u, v, p of x, y, which enter as points on circles, and of t in [0, final], which enters from -1 to 1."""

    def __init__(self, width: int, layers: int, final: float) -> None:
        super().__init__()
        self.final = final
        self.network = Network([5, *[width] * layers, 3])

    def _inputs(self, x: Tensor, y: Tensor, t: Tensor) -> list[Tensor]:
        """The network's inputs (n,)."""
        return [torch.cos(x), torch.sin(x), torch.cos(y), torch.sin(y), 2 * t / self.final - 1]

    def forward(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """The fields (n, 3) at x, y, t (n,)."""
        return self.network(torch.stack(self._inputs(x, y, t), dim=-1))  # type: ignore[no-any-return]

    def jets(self, x: Tensor, y: Tensor, t: Tensor) -> Moving:
        """The fields and their derivatives at x, y, t (n,), each (n, 3)."""
        inputs = self._inputs(x, y, t)
        (cos_x, sin_x, cos_y, sin_y, _), zero, late = inputs, torch.zeros_like(x), torch.full_like(x, 2 / self.final)
        parts = [
            inputs, [-sin_x, cos_x, zero, zero, zero], [zero, zero, -sin_y, cos_y, zero], [zero, zero, zero, zero, late],
            [-cos_x, -sin_x, zero, zero, zero], [zero, zero, -cos_y, -sin_y, zero],
        ]  # fmt: skip
        series = torch.stack([torch.stack(part, dim=-1) for part in parts])
        return Moving(*self.network.series(series, seconds=2))
