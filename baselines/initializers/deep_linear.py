"""Initialisations of deep linear networks; each returns [W_1, ..., W_D] in double precision, W_l (sizes[l], sizes[l-1]).

Saxe, McClelland and Ganguli 2013 (arXiv 1312.6120) unless another source is named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench.contract import BenchError


def small_random(sizes: Sequence[int], generator: torch.Generator, std: float = 1e-3) -> list[Tensor]:
    """Entries N(0, std^2), small enough that each mode of the target is learned by itself."""
    return [_normal(after, before, generator) * std for before, after in pairwise(sizes)]


def orthogonal(sizes: Sequence[int], generator: torch.Generator, gain: float = 1.0) -> list[Tensor]:
    """Random (semi-)orthogonal matrices, uniformly distributed, times gain."""
    weights = [torch.empty(after, before, dtype=torch.float64) for before, after in pairwise(sizes)]
    return [nn.init.orthogonal_(w, gain=gain, generator=generator) for w in weights]


def balanced(sizes: Sequence[int], generator: torch.Generator, gain: float = 1.0) -> list[Tensor]:
    """A whole map with entries N(0, gain^2 / inputs), shared evenly: W_{l+1}^T W_{l+1} = W_l W_l^T in every hidden layer.

    Arora, Cohen, Golowich and Hu 2018 (arXiv 1810.02281), procedure 1. Each layer takes the D-th root of the map's singular
    values; of a network narrower inside than at its ends, the largest ones.
    """
    whole = _normal(sizes[-1], sizes[0], generator) * (gain / math.sqrt(sizes[0]))
    left, strengths, right = torch.linalg.svd(whole, full_matrices=False)
    k = min(sizes)
    return _shared(left[:, :k], strengths[:k], right[:k].T, sizes, generator)


def mode_aligned(
    sizes: Sequence[int], inputs: Tensor, outputs: Tensor, generator: torch.Generator, strength: float = 0.01
) -> list[Tensor]:
    """Balanced, with the target's own singular vectors (inputs: columns (n_0, k), outputs: (n_D, k)), every mode at `strength`.

    From such a start the modes never couple, so the paper's scalar equations are exact. BenchError if a layer is narrower than k.
    """
    if not strength > 0:
        raise BenchError(f"mode_aligned_init.strength={strength}: a mode that starts at 0 never grows; take it above 0")
    strengths = torch.full((inputs.shape[1],), strength, dtype=torch.float64)
    return _shared(outputs, strengths, inputs, sizes, generator)


def greedy_pretrained(
    sizes: Sequence[int],
    generator: torch.Generator,
    top: float = 1.0,
    std: float = 0.1,
    steps: int = 150,
    rate: float = 0.1,
) -> list[Tensor]:
    """Each layer is an autoencoder of the layer below, trained from N(0, std^2 / inputs) on white inputs; the top one is random.

    An autoencoder minimises 1/2 E||x - decoder encoder x||^2 by `steps` of gradient descent at `rate`; its encoder stays. No
    target is needed. The top layer has no autoencoder in this scheme; its entries are N(0, top^2 / inputs).
    """
    if steps < 1:
        raise BenchError(f"deep_linear_init.steps={steps}: pretraining takes at least one step")
    weights: list[Tensor] = []
    covariance = torch.eye(sizes[0], dtype=torch.float64)  # of what the layer sees
    for before, after in pairwise(sizes[:-1]):
        encoder = _normal(after, before, generator) * (std / math.sqrt(before))
        decoder = _normal(before, after, generator) * (std / math.sqrt(before))
        eye = torch.eye(before, dtype=torch.float64)
        for _ in range(steps):
            error = (eye - decoder @ encoder) @ covariance
            slope = decoder.T @ error
            decoder = decoder + rate * error @ encoder.T
            encoder = encoder + rate * slope
        weights.append(encoder)
        covariance = encoder @ covariance @ encoder.T
    return [*weights, _normal(sizes[-1], sizes[-2], generator) * (top / math.sqrt(sizes[-2]))]


def _normal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64)


def _shared(
    left: Tensor, strengths: Tensor, right: Tensor, sizes: Sequence[int], generator: torch.Generator
) -> list[Tensor]:
    """Layers whose product is left diag(strengths) right^T, each with the D-th root of the strengths, in random bases.

    left: (n_D, k), right: (n_0, k), orthonormal columns.
    """
    k, narrow = len(strengths), min(sizes)
    if narrow < k:
        raise BenchError(f"{k} modes do not pass through a layer of {narrow} units; widen it to {k}")
    roots = strengths ** (1 / (len(sizes) - 1))
    hidden = [torch.linalg.qr(_normal(n, n, generator))[0][:, :k] for n in sizes[1:-1]]
    bases = [right, *hidden, left]
    return [after @ (roots[:, None] * before.T) for before, after in pairwise(bases)]
