"""The model of `instability/lm_scaling`: the proxy's with a part on its output logits, watched more closely."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tasks.instability.transformer import Size, Transformer


class Same(nn.Module):
    """The default of the slot `output`: logits as they are."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, logits: Tensor) -> Tensor:
        """Logits of any shape."""
        return logits


class ScalingModel(Transformer):
    """The proxy's transformer with `output(width=)`, a module from logits to logits, behind its head."""

    def __init__(
        self,
        size: Size,
        attention: Callable[..., nn.Module],
        output: Callable[..., nn.Module],
        generator: torch.Generator,
    ) -> None:
        super().__init__(size, attention, generator)
        self.output = output(width=size.width)

    def forward(self, tokens: Tensor, seen: list[Tensor] | None = None) -> Tensor:
        """Tokens (batch, length) int64 -> logits (batch, length, vocab); `seen` as in the transformer."""
        logits: Tensor = self.output(super().forward(tokens, seen))
        return logits


def rms(x: Tensor) -> float:
    """Root of the mean square of all numbers of a tensor; taken in float64, so that 1e-30 is no zero."""
    return float(x.detach().double().square().mean().sqrt())


def adam_update(weight: Tensor, optimizer: Any) -> tuple[Tensor, float] | None:
    """(Adam's last step of `weight` before the rate, m / (sqrt(v) + eps) with both moments unbiased; its eps).

    Wortsman et al. 2023 (arXiv 2309.14322), section 3.4. None before the first step, or for an optimizer without moments.
    """
    state = getattr(optimizer, "state", {}).get(weight, {})
    group: dict[str, Any] = next((g for g in optimizer.param_groups if any(p is weight for p in g["params"])), {})
    if not {"exp_avg", "exp_avg_sq", "step"} <= set(state) or not {"betas", "eps"} <= set(group):
        return None
    first, second = (1 - beta ** float(state["step"]) for beta in group["betas"])
    root = (state["exp_avg_sq"].double() / second).sqrt()
    return state["exp_avg"].double() / first / (root + group["eps"]), float(group["eps"])


def probe(model: ScalingModel, tokens: Tensor, optimizer: Optimizer, **_: Any) -> dict[str, float]:
    """On `tokens` (batch, length): mean output logit, and largest log sum exp of output logits at any position. Of the first
    MLP layer: RMS of the gradient that the last step used (clipped), its ratio to Adam's eps, and RMS of Adam's unscaled
    update. There is no gradient before the first step, and no ratio and no update without Adam's moments.
    """
    with torch.no_grad():
        logits = model(tokens)
    numbers = {"mean_output_logit": float(logits.mean()), "max_output_lse": float(logits.logsumexp(dim=-1).max())}
    weight: Tensor = model.blocks[0].up.weight  # type: ignore[union-attr, assignment]
    if weight.grad is None:
        return numbers
    numbers["gradient_rms"] = rms(weight.grad)
    moments = adam_update(weight, optimizer)
    if moments is not None:
        update, eps = moments
        numbers |= {"update_rms": rms(update), "gradient_over_eps": numbers["gradient_rms"] / eps}
    return numbers
