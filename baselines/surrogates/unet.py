"""A 1-D U-Net (Ronneberger et al. 2015, arXiv 1505.04597) with periodic padding and group normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _block(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two convolutions of size 3, each normalised."""
    layers: list[nn.Module] = []
    for source in (channels_in, channels_out):
        layers.append(nn.Conv1d(source, channels_out, 3, padding=1, padding_mode="circular", bias=False))
        layers += [nn.GroupNorm(1, channels_out), nn.GELU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Halve the grid `levels` times, return with skips. (batch, points, channels_in) -> (batch, points, channels_out).

    Fewer levels are used where the number of points cannot be halved so often. PDEBench's has 4 levels, width 32 and
    batch normalisation, whose statistics drift in a rollout.
    """

    def __init__(self, channels_in: int, channels_out: int, points: int, width: int = 12, levels: int = 3) -> None:
        super().__init__()
        levels = next(n for n in range(levels, -1, -1) if points % 2**n == 0)
        widths = [width * 2**i for i in range(levels + 1)]
        self.enter = _block(channels_in, width)
        self.down = nn.ModuleList(_block(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.grow = nn.ModuleList(
            nn.ConvTranspose1d(b, a, 2, stride=2) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.up = nn.ModuleList(_block(2 * a, a) for a in widths[:-1])
        self.leave = nn.Conv1d(width, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """One prediction; see the class for the shapes."""
        hidden = self.enter(x.transpose(1, 2))
        skips = []
        for down in self.down:
            skips.append(hidden)
            hidden = down(nn.functional.max_pool1d(hidden, 2))
        for grow, up in zip(reversed(self.grow), reversed(self.up), strict=True):  # type: ignore[call-overload]
            hidden = up(torch.cat([skips.pop(), grow(hidden)], dim=1))
        return self.leave(hidden).transpose(1, 2)
