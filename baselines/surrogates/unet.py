"""A U-Net (Ronneberger et al. 2015, arXiv 1505.04597) with group normalisation, in one, two or three dimensions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
GROWTH = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
HALF = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}


class UNet(nn.Module):
    """Halve the grid `levels` times, return with skips. (batch, x.., channels_in) -> (batch, x.., channels_out).

    Fewer levels are used where the number of points cannot be halved so often. PDEBench's has 4 levels, width 32 and
    batch normalisation, whose statistics drift in a rollout. Edges are padded around the domain if it is `periodic`, else
    by the outermost value.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        grid: tuple[int, ...],
        periodic: bool = True,
        width: int = 12,
        levels: int = 3,
    ) -> None:
        super().__init__()
        self.dims = len(grid)
        self.mode: Literal["circular", "replicate"] = "circular" if periodic else "replicate"
        levels = next(n for n in range(levels, -1, -1) if all(points % 2**n == 0 for points in grid))
        widths = [width * 2**i for i in range(levels + 1)]
        steps = list(zip(widths, widths[1:], strict=False))
        self.enter = self._block(channels_in, width)
        self.down = nn.ModuleList(self._block(a, b) for a, b in steps)
        self.grow = nn.ModuleList(GROWTH[self.dims](b, a, 2, stride=2) for a, b in steps)
        self.up = nn.ModuleList(self._block(2 * a, a) for a in widths[:-1])
        self.leave = CONVOLUTION[self.dims](width, channels_out, 1)

    def _block(self, channels_in: int, channels_out: int) -> nn.Sequential:
        """Two convolutions of size 3, each normalised."""
        layers: list[nn.Module] = []
        for source in (channels_in, channels_out):
            convolution = CONVOLUTION[self.dims]
            layers.append(convolution(source, channels_out, 3, padding=1, padding_mode=self.mode, bias=False))
            layers += [nn.GroupNorm(1, channels_out), nn.GELU()]
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """One prediction; see the class for the shapes."""
        hidden = self.enter(x.movedim(-1, 1))
        skips = []
        for down in self.down:
            skips.append(hidden)
            hidden = down(HALF[self.dims](hidden, 2))
        for grow, up in zip(reversed(self.grow), reversed(self.up), strict=True):  # type: ignore[call-overload]
            hidden = up(torch.cat([skips.pop(), grow(hidden)], dim=1))
        return self.leave(hidden).movedim(1, -1)
