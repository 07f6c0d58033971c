"""Muon for the hidden matrices, AdamW for the rest, as one optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


class Combined(torch.optim.Optimizer):
    """Several optimizers over disjoint parameters, seen as one: their groups side by side, one step."""

    def __init__(self, parts: Iterable[torch.optim.Optimizer]) -> None:
        self.parts = [part for part in parts if part.param_groups]
        super().__init__([{"params": list(group["params"])} for part in self.parts for group in part.param_groups], {})
        # the very dictionaries of the parts, so that a schedule that sets their rates reaches them
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step of each part."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss


def muon(
    model: nn.Module,
    steps: int,
    lr: float = 0.02,
    weight_decay: float = 0.0,
    momentum: float = 0.95,
    adam_ratio: float = 0.1,
) -> torch.optim.Optimizer:
    """Momentum, orthogonalised by five Newton-Schulz steps, for every 2-D weight that is no embedding; AdamW at
    `adam_ratio * lr` for all other parameters (Jordan et al. 2024, "Muon: an optimizer for hidden layers").

    torch.optim.Muon's own default weight decay of 0.1 is not used: decay is off unless asked for.
    """
    outer = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    trained = [p for p in model.parameters() if p.requires_grad]
    hidden = [p for p in trained if p.ndim == 2 and id(p) not in outer]
    chosen = {id(p) for p in hidden}
    rest = [p for p in trained if id(p) not in chosen]
    parts: list[torch.optim.Optimizer] = []
    if hidden:
        parts.append(torch.optim.Muon(hidden, lr=lr, weight_decay=weight_decay, momentum=momentum))
    if rest:
        parts.append(torch.optim.AdamW(rest, lr=adam_ratio * lr, betas=(0.9, 0.95), weight_decay=weight_decay))
    return Combined(parts)
