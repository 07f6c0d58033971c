"""Backward passes that do not use the transposed weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor


class FeedbackAlignment:
    """Fixed random matrices, drawn like the weights' start, carry the error from layer to layer (Lillicrap et al. 2016).

    direct: from the output to each layer at once (Nokland 2016).
    """

    def __init__(self, *, network: Any, generator: Generator, direct: bool = False) -> None:
        sizes, self.direct = network.sizes, direct
        self.feedback = [
            torch.randn(sizes[-1] if direct else above, units, generator=generator) / units**0.5
            for units, above in zip(sizes[1:-1], sizes[2:], strict=True)
        ]

    def __call__(self, f: Any, weights: Tensor) -> Tensor:
        return f.backward(f.forward(weights), self.feedback, self.direct)


class SignSymmetry:
    """The signs of the transposed weights, scaled as the weights' start, carry the error back (Liao, Leibo, Poggio 2016)."""

    def __init__(self, *, network: Any, generator: Generator) -> None:
        self.network = network

    def __call__(self, f: Any, weights: Tensor) -> Tensor:
        matrices = [matrix for matrix, _ in self.network.layers(weights)[1:]]
        return f.backward(f.forward(weights), [matrix.T.sign() / len(matrix) ** 0.5 for matrix in matrices])
