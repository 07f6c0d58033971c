"""A deep operator network (Lu et al. 2021, arXiv 1910.03193): fields are coefficients on a learned basis of functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(a, b), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class DeepONet(nn.Module):
    """(batch, x.., channels_in) -> (batch, x.., channels_out).

    The branch sees all values of all input fields, on at most `sensors` points along each axis (cell averages); the trunk
    sees the coordinates, on a periodic domain by sines and cosines of its first two harmonics. The output is the product
    of the two over `basis` functions, scaled by their number.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        grid: tuple[int, ...],
        periodic: bool = True,
        width: int = 64,
        basis: int = 48,
        sensors: int = 64,
    ) -> None:
        super().__init__()
        self.dims, self.periodic, self.basis = len(grid), periodic, basis
        self.fields = channels_in - self.dims
        most = sensors if self.dims == 1 else round(sensors ** (2 / (self.dims + 1)))
        self.seen = tuple(min(points, most) for points in grid)
        self.pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[self.dims - 1](self.seen)
        out = nn.Linear(2 * width, basis * channels_out)
        self.branch = nn.Sequential(_mlp(self.fields * math.prod(self.seen), 2 * width, 2 * width), nn.GELU(), out)
        self.trunk = _mlp(self.dims * (4 if periodic else 1), width, width, basis)

    def forward(self, x: Tensor) -> Tensor:
        """One prediction; see the class for the shapes."""
        fields, places = x[..., : self.fields], x[:1, ..., self.fields :]
        if self.periodic:
            low, high = places.flatten(0, -2).amin(dim=0), places.flatten(0, -2).amax(dim=0)
            angles = 2 * math.pi * (places - low) / (high - low).clamp(min=1e-12)
            places = torch.cat([f(k * angles) for k in (1, 2) for f in (torch.sin, torch.cos)], dim=-1)
        functions = self.trunk(places[0])  # (x.., basis)
        seen = self.pool(fields.movedim(-1, 1)).flatten(1)
        weights = self.branch(seen).view(len(x), -1, self.basis)  # (batch, channels_out, basis)
        return torch.einsum("...k,bck->b...c", functions, weights) / math.sqrt(self.basis)
