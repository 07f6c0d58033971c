"""The deep conjugate direction method (Kaneda et al. 2023, arXiv 2205.10763), from its equations.

Each iteration asks a network for an approximate solution d of A d = r, makes d A-orthogonal to the last directions, and takes the
step along d that is exact for the quadratic.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from baselines.linear_solver.krylov import Iterates, Prepare, Solve, curved, dot
from baselines.linear_solver.training import train
from bench.contract import BenchError

Padding = Literal["zeros", "replicate"]


def dcdm(
    *, system: Any, generator: Generator, directions: int | None = 2, rate: float = 4e-3, batch: int = 16, channels: int = 8,
    vectors: int = 256,
) -> Iterator[Prepare]:  # fmt: skip
    """directions: earlier ones that a new one is made A-orthogonal to; 2 in the published code, None for all. That
    code trains by Adam at 1e-4 with batches of 10; here the rate is tuned. vectors: Lanczos steps for the training data.
    """
    checked(directions)
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    padding: Padding = (
        "replicate" if system.boundary == "neumann" else "zeros"
    )  # what the solution does beyond the border
    net = UNet(system.dims, channels, min(system.shape), padding)
    for _ in train(net, system, generator, rate=rate, batch=batch, vectors=vectors):
        yield lambda of: conjugate_directions(of, guess_of(net), directions)


def conjugate_directions(system: Any, guess: Callable[[Tensor], Tensor], directions: int | None = 2) -> Solve:
    """The iteration with any `guess` of residual -> direction (*shape); with the identity and 2 directions it is conjugate
    gradients. One product an iteration: images of earlier directions are kept."""
    checked(directions)

    def solve(b: Tensor) -> Iterates:
        x, residual = torch.zeros_like(b), b
        kept: deque[tuple[Tensor, Tensor, float]] = deque(maxlen=directions)
        while (size := float(residual.norm())) > 0:
            direction = system.project(guess(residual / size))
            for earlier, earlier_image, bend in kept:
                direction = direction - dot(direction, earlier_image) / bend * earlier
            image = system.multiply(direction)
            bend = curved(direction, image)
            step = dot(residual, direction) / bend
            x, residual = x + step * direction, residual - step * image
            kept.append((direction, image, bend))
            yield x, float(residual.norm())

    return solve


def checked(directions: int | None) -> None:
    if directions is not None and directions < 0:
        raise BenchError(f"linear_solver.directions={directions}: it has to be 0 or more, or null for all")


def guess_of(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """A network for batches (batch, 1, *shape) of float32 as a function of one field of float64."""
    return lambda r: net(r.float()[None, None])[0, 0].double()


class UNet(nn.Module):
    """Residual blocks at halved resolutions, without biases, so that net(c r) = c net(r) for c > 0.

    dims: 2 or 3. side: of the training domain; the deepest level has 4 to 7 cells a side there. Other sizes may be given later.
    padding: of the convolutions, "zeros" or "replicate".
    """

    def __init__(self, dims: int, channels: int, side: int, padding: Padding = "zeros") -> None:
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.pool = {2: F.avg_pool2d, 3: F.avg_pool3d}[dims]
        self.mode = {2: "bilinear", 3: "trilinear"}[dims]

        def layer(inputs: int = channels) -> nn.Module:
            return conv(inputs, channels, 3, padding=1, padding_mode=padding, bias=False)

        self.first = layer(1)
        self.last = conv(channels, 1, 1, bias=False)
        levels = max(1, int(math.log2(side)) - 2)
        pairs = [nn.ModuleList([layer(), layer()]) for _ in range(2 * levels + 1)]
        self.down, self.bottom, self.up = (
            nn.ModuleList(pairs[:levels]),
            pairs[levels],
            nn.ModuleList(pairs[levels + 1 :]),
        )

    def forward(self, r: Tensor) -> Tensor:
        x, skips = self.first(r), []
        for block in self.down:
            x = _residual(block, x)
            skips.append(x)
            x = self.pool(x, 2, ceil_mode=True)
        x = _residual(self.bottom, x)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = F.interpolate(x, size=skip.shape[2:], mode=self.mode, align_corners=False) + skip
            x = _residual(block, x)
        return self.last(x)  # type: ignore[no-any-return]


def _residual(block: Any, x: Tensor) -> Tensor:
    return x + block[1](torch.relu(block[0](x)))  # type: ignore[no-any-return]
