"""The two-layer network with a quadratic activation, its exact solution, and what is probed of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Quadratic(nn.Module):
    """logits = V (W x)², W (width, 2 x symbols), V (classes, width); no biases (Tian 2025, eq. 1)."""

    def __init__(self, symbols: int, classes: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(2 * symbols, width, bias=False)
        self.output = nn.Linear(width, classes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.hidden(x).square())


def exact(p: int) -> Quadratic:
    """The network of zero loss for addition mod an odd p, in float64, with 3(p-1) hidden units.

    For k = 1..(p-1)/2 and φ = 2πj/6, ψ = 4φ, j = 0..5: the hidden unit sees cos(w_k a + φ) + cos(w_k b + ψ) and writes
    cos(w_k c + φ + ψ), w_k = 2πk/p; scaled by 2/(3p), the output is onehot(a + b) - 1/p.
    """
    if p % 2 == 0:
        raise ValueError(f"p={p}: the construction wants an odd modulus")
    network = Quadratic(p, p, 3 * (p - 1)).double()
    residues = torch.arange(p, dtype=torch.float64)
    rows, columns = [], []
    for k in range(1, (p - 1) // 2 + 1):
        angle = 2 * math.pi * k / p * residues
        for j in range(6):
            phi = 2 * math.pi * j / 6
            psi = 4 * phi
            rows.append(torch.cat([torch.cos(angle + phi), torch.cos(angle + psi)]))
            columns.append(torch.cos(angle + phi + psi))
    with torch.no_grad():
        network.hidden.weight.copy_(torch.stack(rows))
        network.output.weight.copy_(torch.stack(columns, 1) * 2 / (3 * p))
    return network


def fourier_purity(weight: Tensor, symbols: int) -> Tensor:
    """(width,) share of power at each neuron's strongest non-zero frequency, both operands' spectra added.

    weight (width, 2 x symbols). 1 for a pure cosine, about 1/((symbols-1)/2) times a few for noise.
    """
    spectrum = torch.fft.rfft(weight.detach().double().reshape(len(weight), 2, symbols)).abs().square().sum(1)[:, 1:]
    return spectrum.amax(-1) / spectrum.sum(-1).clamp_min(1e-300)


def probe(network: nn.Module, symbols: int) -> dict[str, float]:
    """Fourier purity of the first layer, where there is one over the operands, and the norm of all weights."""
    numbers = {"weight_norm": math.sqrt(sum(float(p.detach().square().sum()) for p in network.parameters()))}
    for module in network.modules():
        if isinstance(module, nn.Linear) and module.in_features == 2 * symbols:
            numbers["fourier_purity"] = float(fourier_purity(module.weight, symbols).mean())
            break
    return numbers
