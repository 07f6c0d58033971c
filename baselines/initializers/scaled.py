"""Larger or smaller initial weights (Liu et al. 2023, Omnigrok, arXiv 2210.01117)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def scaled(network: nn.Module, alpha: float = 2.0) -> None:
    """Multiply every initial weight by `alpha`; ValueError unless it is positive."""
    import torch

    if not alpha > 0:
        raise ValueError(f"alpha={alpha}: weights are multiplied by a positive number")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(alpha)
