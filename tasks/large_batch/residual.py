"""A small residual network for 32 x 32 pictures (He et al. 2016, arXiv 1512.03385, section 4.2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """(batch, before, h, w) -> (batch, after, h / stride, w / stride): two convolutions beside a shortcut without parameters.

    Where the block has a stride or more channels, the shortcut takes every `stride`-th pixel and pads channels with zeros
    (the paper's option A).
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)
        self.second = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.norm_second = nn.BatchNorm2d(after)
        self.stride, self.more = stride, after - before

    def forward(self, x: Tensor) -> Tensor:
        branch = functional.relu(self.norm(self.first(x)))
        shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return functional.relu(shortcut + self.norm_second(self.second(branch)))


class ResNet(nn.Sequential):
    """(batch, 3 x 32 x 32) pictures -> (batch, classes): 6 blocks_per_stage + 2 layers, `width` channels doubled twice.

    The first convolution has a stride of 2, which the paper's has not: a quarter of the cost.
    """

    def __init__(self, inputs: int, classes: int, width: int = 8, blocks_per_stage: int = 1) -> None:
        layers: list[nn.Module] = [nn.Unflatten(1, (3, 32, 32))]
        layers += [nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
        for stage in range(3):
            for block in range(blocks_per_stage):
                after = width * 2**stage
                layers.append(Block(channels, after, stride=2 if stage and not block else 1))
                channels = after
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))
