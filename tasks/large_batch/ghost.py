"""Ghost batch normalisation (Hoffer, Hubara, Soudry 2017, algorithm 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GhostBatchNorm(nn.Module):
    """Batch norm whose statistics come from chunks of `chunk` samples; running statistics are updated once a chunk.

    (batch, features) or (batch, channels, height, width) -> the same shape. With chunk >= batch it is batch norm. A last
    short chunk is normalised by itself; one of a single value a channel, which has no variance, joins the chunk before.
    """

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm, chunk: int) -> None:
        super().__init__()
        if chunk < 2:
            raise ValueError(f"a ghost batch of {chunk} has no variance; use 2 or more")
        self.norm, self.chunk = norm, chunk

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.norm(x)
        chunks = list(x.split(self.chunk))
        if len(chunks) > 1 and chunks[-1].numel() // chunks[-1].shape[1] == 1:
            last = chunks.pop()
            chunks[-1] = torch.cat([chunks[-1], last])
        return torch.cat([self.norm(part) for part in chunks])


def with_ghosts(model: nn.Module, chunk: int) -> nn.Module:
    """`model` with every batch norm replaced by its ghost version, in place; the parameters are the same objects."""
    for name, child in model.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            setattr(model, name, GhostBatchNorm(child, chunk))
        else:
            with_ghosts(child, chunk)
    return model
