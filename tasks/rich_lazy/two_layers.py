"""The two-layer linear network, its exact tangent kernel, and the probe of how far it has left its start."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.metrics.kernels import alignment, gram
from bench.metrics.spectra import effective_rank
from tasks.rich_lazy.parts import defined


class TwoLayers(nn.Module):
    """(samples, columns) -> (samples,): f(x) = a' W x from first W (rows, columns) and second a (rows,)."""

    def __init__(self, first: Tensor, second: Tensor) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(first.clone()), nn.Parameter(second.clone())

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.first.T @ self.second


def tangent_kernel(inputs: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The tangent kernel (samples, samples) of f over all weights: |a|^2 X X' + X W' W X', exactly."""
    return second @ second * gram(inputs) + gram(inputs @ first.T)


def invariant(first: Tensor, second: Tensor) -> Tensor:
    """W W' - a a' (rows, rows), which gradient flow conserves: both layers' gradients give the same change."""
    return first @ first.T - torch.outer(second, second)


def probe(model: TwoLayers, start: tuple[Tensor, Tensor], inputs: Tensor) -> dict[str, float]:
    """What has changed since the weights were `start` (first, second), on `inputs` (samples, columns).

    weight_change, weight_norm: Frobenius norm of the first layer's change, and of the first layer.
    representation_alignment: of H H' with H = X W'. kernel_alignment: of the tangent kernel over all weights.
    effective_rank: of the first layer. balance_drift: |change of W W' - a a'| / |W W' - a a'| at the start.
    """
    now = model.first.detach(), model.second.detach()
    before = invariant(*start)
    return defined(
        weight_change=lambda: float((now[0] - start[0]).norm()),
        weight_norm=lambda: float(now[0].norm()),
        representation_alignment=lambda: alignment(*(gram(inputs @ first.T) for first, _ in (start, now))),
        kernel_alignment=lambda: alignment(*(tangent_kernel(inputs, *weights) for weights in (start, now))),
        effective_rank=lambda: effective_rank(now[0]),
        balance_drift=lambda: float((invariant(*now) - before).norm() / before.norm()),
    )
