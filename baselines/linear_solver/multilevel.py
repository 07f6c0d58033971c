"""A learned linear preconditioner of conjugate gradients that is positive definite whatever its weights are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from baselines.linear_solver.krylov import Prepare, preconditioned
from baselines.linear_solver.training import train


def learned(
    *, system: Any, generator: Generator, rate: float = 1e-2, batch: int = 16, channels: int = 4, vectors: int = 256
) -> Iterator[Prepare]:
    """Conjugate gradients preconditioned by `Multilevel`, trained by the loss and the data of `dcdm`."""
    torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
    net = Multilevel(system.dims, channels, min(system.shape))

    def prepare(of: Any) -> Any:
        exact = Multilevel(system.dims, channels, min(system.shape)).double()
        exact.load_state_dict(net.state_dict())
        return preconditioned(of, lambda r: exact(r[None, None])[0, 0])

    for _ in train(net, system, generator, rate=rate, batch=batch, vectors=vectors):
        yield prepare


class Multilevel(nn.Module):
    """M r = e^s r + sum over levels l of P_l^T K_l^T K_l P_l r, with learned stencils K_l of 3^dims points, `channels` outputs.

    P_l halves the grid l times with the weights (1, 2, 1) / 4 along each axis, P_l^T interpolates linearly. So M is a sum of
    squares and symmetric: an additive multilevel preconditioner (Bramble, Pasciak and Xu 1990) whose scales and smoothers are
    learned. dims: 2 or 3. side: of the training domain.
    """

    tent: Tensor

    def __init__(self, dims: int, channels: int, side: int) -> None:
        super().__init__()
        self.conv = {2: F.conv2d, 3: F.conv3d}[dims]
        self.transposed = {2: F.conv_transpose2d, 3: F.conv_transpose3d}[dims]
        levels = max(2, int(math.log2(side)))
        self.log_shift = nn.Parameter(torch.zeros(()))
        self.stencils = nn.ParameterList(
            [nn.Parameter(2.0**level * 0.2 * torch.randn(channels, 1, *(3,) * dims)) for level in range(levels)]
        )
        line = torch.tensor([0.25, 0.5, 0.25])
        tent = line
        for _ in range(dims - 1):
            tent = tent[..., None] * line
        self.register_buffer("tent", tent[None, None], persistent=False)

    def forward(self, r: Tensor) -> Tensor:
        total, path = torch.exp(self.log_shift) * r, [r]
        for _ in self.stencils[1:]:
            path.append(self.conv(path[-1], self.tent, stride=2, padding=1))
        coarser: Tensor | None = None
        for x, stencil in zip(reversed(path), reversed(list(self.stencils)), strict=True):
            smoothed: Tensor = self.transposed(self.conv(x, stencil, padding=1), stencil, padding=1)
            coarser = smoothed if coarser is None else smoothed + self._finer(coarser, x)
        return total if coarser is None else total + coarser

    def _finer(self, x: Tensor, like: Tensor) -> Tensor:
        """The transpose of the step to the coarser grid."""
        spare = [(n - 1) % 2 for n in like.shape[2:]]
        return self.transposed(x, self.tent, stride=2, padding=1, output_padding=spare)  # type: ignore[no-any-return]
