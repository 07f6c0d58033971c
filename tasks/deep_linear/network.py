"""A deep linear network as a list of matrices: its gradient by hand, what it conserves, and how it usually starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import Tensor, nn

from bench.contract import BenchError, Diverged
from bench.seeds import Stream


class Chain(nn.Module):
    """The map W_D ... W_1 of `weights` [W_1, ..., W_D], each a parameter."""

    def __init__(self, weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(w) for w in weights])

    def forward(self) -> Tensor:
        """(outputs, inputs)."""
        return product(list(self.weights))


def product(weights: Sequence[Tensor]) -> Tensor:
    """W_D ... W_1 of [W_1, ..., W_D]."""
    whole = weights[0]
    for w in weights[1:]:
        whole = w @ whole
    return whole


def loss(target: Tensor, whole: Tensor) -> Tensor:
    """1/2 ||target - whole||_F^2: the expected squared error on white inputs, less what no network could explain."""
    return 0.5 * (target - whole).square().sum()


def gaussian(sizes: Sequence[int], generator: torch.Generator, gain: float = 1.0) -> list[Tensor]:
    """Entries N(0, gain^2 / inputs of the layer): a layer keeps the length of a vector on average."""
    return [
        torch.randn(after, before, generator=generator, dtype=torch.float64) * (gain / math.sqrt(before))
        for before, after in zip(sizes, sizes[1:], strict=False)
    ]


def checked(weights: Sequence[Tensor], sizes: Sequence[int]) -> list[Tensor]:
    """Copies of `weights` in double precision; BenchError, saying what was expected, unless they are layers of `sizes`."""
    layers = [(after, before) for before, after in zip(sizes, sizes[1:], strict=False)]
    shapes = [tuple(getattr(w, "shape", ())) for w in weights]
    for i, (shape, expected) in enumerate(zip_longest(shapes, layers, fillvalue="none")):
        if shape != expected:
            raise BenchError(
                f"the initialisation gave {len(shapes)} matrices, the network has {len(layers)}; the shape of layer {i + 1} "
                f"is {shape}, expected {expected}: (outputs, inputs), from the input upwards"
            )
    if not all(bool(w.isfinite().all()) for w in weights):
        raise BenchError("the initialisation gave weights that are not finite")
    return [w.detach().to(torch.float64).clone() for w in weights]


def step(weights: list[Tensor], target: Tensor, rate: float) -> float:
    """One step of gradient descent on `loss`, in place; returns the loss before it.

    W_l += rate (W_D ... W_{l+1})^T (target - W_D ... W_1) (W_{l-1} ... W_1)^T. Raises Diverged.
    """
    partial: list[Tensor] = []  # W_l ... W_1, for each l
    for w in weights:
        partial.append(w @ partial[-1] if partial else w)
    back = target - partial[-1]
    before = 0.5 * float(back.square().sum())
    if not math.isfinite(before):
        raise Diverged(f"the loss is {before}; a smaller rate than {rate:g} may help")
    for i in range(len(weights) - 1, -1, -1):
        gradient = back @ partial[i - 1].T if i else back
        back = weights[i].T @ back  # with the weights before the step
        weights[i].add_(gradient, alpha=rate)
    return before


def invariants(weights: Sequence[Tensor]) -> list[Tensor]:
    """W_{l+1}^T W_{l+1} - W_l W_l^T of every hidden layer, which gradient flow leaves as it is."""
    return [after.T @ after - before @ before.T for before, after in zip(weights, weights[1:], strict=False)]


def haar(n: int, k: int, stream: Stream) -> Tensor:
    """k <= n orthonormal columns (n, k), uniformly distributed."""
    q, r = torch.linalg.qr(stream.normal(n, k, dtype=torch.float64))
    return q * r.diagonal().sign()


def exponents(weights: Sequence[Tensor]) -> Tensor:
    """Logarithms, (n,), in nats a layer, of the factors by which a product of square matrices stretches n directions.

    W_l Q_{l-1} = Q_l R_l; the mean of ln |R_ii| over layers. In many layers the Lyapunov exponents, without the
    underflow of the product itself; all 0 for orthogonal matrices.
    """
    q = torch.eye(len(weights[0]), dtype=torch.float64)
    total = torch.zeros(len(q), dtype=torch.float64)
    for w in weights:
        q, r = torch.linalg.qr(w @ q)
        total += r.diagonal().abs().clamp_min(1e-300).log()
    return total / len(weights)


def vector_exponents(weights: Sequence[Tensor], vectors: Tensor) -> Tensor:
    """Growth, (k,), in nats a layer, of the lengths of gradients (n, k) sent back from the output to the input."""
    total = torch.zeros(vectors.shape[1], dtype=torch.float64)
    for w in reversed(weights):
        vectors = w.T @ vectors
        length = vectors.norm(dim=0).clamp_min(1e-300)
        total, vectors = total + length.log(), vectors / length
    return total / len(weights)
