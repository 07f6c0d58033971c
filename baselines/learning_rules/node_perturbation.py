"""Node perturbation: noise on the sums that enter the units, and one scalar a sample that says whether it helped."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor

from bench.contract import BenchError


class NodePerturbation:
    """Error of sample b at a layer's sums: n_b (L_b(s n) - L_b) / s, n standard normal; then outer products with the inputs.

    The losses L_b are those of each sample: with the batch's mean in their place, all samples would share one scalar. A step
    takes two forward passes and one outer product. Williams 1992; Werfel, Xie, Seung 2003.
    """

    def __init__(self, *, network: Any, generator: Generator, smoothing: float = 1e-3) -> None:
        if not smoothing > 0:
            raise BenchError(f"rule.smoothing={smoothing}: the noise has a deviation above 0")
        self.units, self.generator, self.smoothing = network.sizes[1:], generator, smoothing

    def __call__(self, f: Any, weights: Tensor) -> Tensor:
        clean = f.forward(weights)
        samples = len(clean.losses)
        noise = [torch.randn(samples, units, generator=self.generator, dtype=weights.dtype) for units in self.units]
        noisy = f.forward(weights, [self.smoothing * n for n in noise])
        change = ((noisy.losses - clean.losses) / self.smoothing)[:, None]
        return f.outer(clean, [change * n for n in noise])
