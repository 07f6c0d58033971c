"""A residual convolutional network with periodic padding: the plain local surrogate."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Conv(nn.Module):
    """The last context frame plus a correction. (batch, points, channels_in) -> (batch, points, channels_out).

    `layers` residual blocks of one circular convolution each, with dilations 1, 2, 4, 1, 2, 4, ...: six of size 5 see
    28 points to either side.
    """

    def __init__(
        self, channels_in: int, channels_out: int, points: int, width: int = 24, layers: int = 6, kernel: int = 5
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel}: an odd size keeps the number of points")
        self.lift = nn.Linear(channels_in, width)
        dilations = [min(2 ** (i % 3), max(1, points // kernel)) for i in range(layers)]
        self.blocks = nn.ModuleList(
            nn.Conv1d(width, width, kernel, padding=d * (kernel // 2), dilation=d, padding_mode="circular")
            for d in dilations
        )
        self.head = nn.Linear(width, channels_out)
        nn.init.zeros_(self.head.weight)  # training starts from persistence
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """One prediction; see the class for the shapes."""
        last = x[..., -2:-1]  # the coordinate is the last channel
        hidden = self.lift(x).transpose(1, 2)
        for block in self.blocks:
            hidden = hidden + functional.gelu(block(hidden))
        return last + self.head(hidden.transpose(1, 2))
