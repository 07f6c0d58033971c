"""A residual convolutional network: the plain local surrogate, in one, two or three dimensions."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Conv(nn.Module):
    """(batch, x.., channels_in) -> (batch, x.., channels_out).

    `layers` residual blocks of one convolution each, with dilations 1, 2, 4, 1, 2, 4, ...: six of size 5, the default on a line,
    see 28 points to either side; six of size 3, the default in the plane and in space, see 14. Edges are padded as the domain
    goes on: around it if `periodic`, else by the outermost value.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        grid: tuple[int, ...],
        periodic: bool = True,
        width: int = 24,
        layers: int = 6,
        kernel: int | None = None,
    ) -> None:
        super().__init__()
        kernel = kernel or (5 if len(grid) == 1 else 3)
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel}: an odd size keeps the number of points")
        self.lift = nn.Linear(channels_in, width)
        make = CONVOLUTION[len(grid)]
        mode: Literal["circular", "replicate"] = "circular" if periodic else "replicate"
        dilations = [min(2 ** (i % 3), max(1, min(grid) // kernel)) for i in range(layers)]
        self.blocks = nn.ModuleList(
            make(width, width, kernel, padding=d * (kernel // 2), dilation=d, padding_mode=mode) for d in dilations
        )
        self.head = nn.Linear(width, channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """One prediction; see the class for the shapes."""
        hidden = self.lift(x).movedim(-1, 1)
        for block in self.blocks:
            hidden = hidden + functional.gelu(block(hidden))
        return self.head(hidden.movedim(1, -1))
