"""A recurrent network of rectified rates, and the probe of how far it has left its start."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.metrics.kernels import alignment, gram, ntk
from bench.metrics.spectra import effective_rank
from tasks.rich_lazy.parts import defined


class RateNetwork(nn.Module):
    """tau dh/dt = -h + W h + U x by Euler steps of `leak` tau, rectified: h <- max(0, (1 - leak) h + leak (W h + U x)).

    recurrent: W (hidden, hidden) at the start. U and the readout start as torch draws a linear layer; no biases.
    """

    def __init__(self, inputs: int, outputs: int, recurrent: Tensor, leak: float) -> None:
        super().__init__()
        hidden = len(recurrent)
        self.leak = leak
        self.input = nn.Linear(inputs, hidden, bias=False)
        self.recurrent = nn.Linear(hidden, hidden, bias=False)
        self.readout = nn.Linear(hidden, outputs, bias=False)
        with torch.no_grad():
            self.recurrent.weight.copy_(recurrent)

    def rates(self, x: Tensor) -> Tensor:
        """(trials, steps, inputs) -> (trials, steps, hidden), from rates of 0."""
        h = x.new_zeros(len(x), self.recurrent.in_features)
        history = []
        weight = self.recurrent.weight.T
        for drive in self.input(x).unbind(1):
            h = torch.relu(torch.lerp(h, torch.addmm(drive, h, weight), self.leak))
            history.append(h)
        return torch.stack(history, dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """(trials, steps, inputs) -> logits (trials, steps, outputs)."""
        return self.readout(self.rates(x))


def probe(model: RateNetwork, start: Mapping[str, Tensor], trials: Tensor) -> dict[str, float]:
    """What has changed since the weights were `start`, on `trials` (trials, steps, inputs).

    weight_change, weight_norm: Frobenius norm of the recurrent weights' change, and of the weights.
    representation_alignment: of H H', H the rates at the decision. kernel_alignment: of the tangent kernel of the
    decision's logits over the recurrent weights; both are left out where a network is silent. effective_rank: of the
    recurrent weights.
    """
    before = copy.deepcopy(model)
    before.load_state_dict(start)
    weight, old = model.recurrent.weight.detach(), before.recurrent.weight.detach()
    with torch.enable_grad():
        rates = [network.rates(trials)[:, -1] for network in (before, model)]
        kernels = [
            ntk(network.readout(h), [network.recurrent.weight])
            for network, h in zip((before, model), rates, strict=True)
        ]
    return defined(
        weight_change=lambda: float((weight - old).norm()),
        weight_norm=lambda: float(weight.norm()),
        representation_alignment=lambda: alignment(*map(gram, rates)),
        kernel_alignment=lambda: alignment(*kernels),
        effective_rank=lambda: effective_rank(weight),
    )
