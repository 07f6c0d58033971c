"""AdamW with a decay of weights that does not grow with the learning rate (Loshchilov and Hutter 2017, arXiv 1711.05101)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


def adamw(
    model: nn.Module,
    steps: int,
    lr: float,
    decay: float = 1e-4,
    betas: Sequence[float] = (0.9, 0.95),
    eps: float = 1e-8,
) -> Optimizer:
    """AdamW whose weights shrink by f_t * decay in step t, f_t the schedule's factor, whatever the peak rate `lr`.

    torch's AdamW shrinks by f_t * lr * weight_decay, so its weight decay is decay / lr. ValueError if lr is not positive.
    """
    import torch

    if lr <= 0:
        raise ValueError(f"the decay is divided by the peak rate; lr = {lr} is not positive")
    return torch.optim.AdamW(model.parameters(), lr=lr, betas=(betas[0], betas[1]), eps=eps, weight_decay=decay / lr)
