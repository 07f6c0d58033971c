"""Training of approximate inverses without solutions, as in Kaneda et al. 2023 (arXiv 2205.10763): data and loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn

from bench.contract import BenchError, Diverged

LOW = 0.55  # the share of Ritz vectors, from the smallest value on, that samples are weighted towards
WEIGHT = 9.0  # of their coefficients
LAST = 0.03  # of the rate, to which it falls linearly over the training


def ritz_vectors(system: Any, count: int, generator: Generator) -> Tensor:
    """Ritz vectors (vectors, *shape) of A, smallest value first, after `count` steps of Lanczos from A times a random field.

    Each new vector is made orthogonal to all before. Fewer where these span all that A can reach.
    """
    start = torch.randn(system.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        vector = system.multiply(system.project(start)).reshape(-1)
        basis: list[Tensor] = [vector / vector.norm()]
        images: list[Tensor] = []
        while len(images) < len(basis):
            image = system.multiply(basis[-1].reshape(system.shape)).reshape(-1)
            images.append(image)
            known = torch.stack(basis)
            for _ in range(2):  # once leaves roundings that grow
                image = image - known.T @ (known @ image)
            image = system.project(image.reshape(system.shape)).reshape(-1)  # roundings bring the constant back
            if len(basis) < count and float(image.norm()) > 1e-10:
                basis.append(image / image.norm())
        known = torch.stack(basis)
        vectors = torch.linalg.eigh(known @ torch.stack(images).T)[1]
        return (vectors.T @ known).reshape(-1, *system.shape)


def residuals(vectors: Tensor, batch: int, generator: Generator) -> Tensor:
    """Residuals (batch, 1, *shape) of norm 1, float32: normal combinations of Ritz vectors, the low ones 9 times as strong."""
    coefficients = torch.randn(batch, len(vectors), generator=generator, dtype=torch.float64)
    coefficients[:, : int(LOW * len(vectors))] *= WEIGHT
    fields = coefficients @ vectors.flatten(1)
    fields = fields / fields.norm(dim=1, keepdim=True)
    return fields.reshape(batch, 1, *vectors.shape[1:]).float()


def misfit(system: Any, residual: Tensor, guess: Tensor) -> Tensor:
    """Mean of |r - a A f|^2 over a batch (batch, 1, *shape), a = r . f / f . A f, for r of norm 1: whatever the scale of f."""
    image = system.multiply(guess)
    r, f, image = residual.flatten(1), guess.flatten(1), image.flatten(1)
    scale = (r * f).sum(1) / (f * image).sum(1)
    return (r - scale[:, None] * image).square().sum(1).mean()


def train(
    net: nn.Module, system: Any, generator: Generator, *, rate: float, batch: int, vectors: int
) -> Iterator[None]:
    """Adam on `misfit`, a step an iteration, until the system's products are spent. `net` maps (batch, 1, *shape) to the same.

    BenchError for a number that is not above 0; Diverged if the loss is not finite.
    """
    for name, value in {"rate": rate, "batch": batch, "vectors": vectors}.items():
        if not value > 0:
            raise BenchError(f"linear_solver.{name}={value}: it has to be above 0")
    samples = ritz_vectors(system, min(vectors, system.meter.limit // 4, int(system.domain.sum()) // 2), generator)
    optimizer = torch.optim.Adam(net.parameters(), lr=rate)
    while True:
        share = system.meter.spent / system.meter.limit
        optimizer.param_groups[0]["lr"] = rate * (1 - (1 - LAST) * share)
        residual = residuals(samples, batch, generator)
        loss = misfit(system, residual, system.project(net(residual)))
        if not torch.isfinite(loss):
            raise Diverged(f"the training loss is {float(loss)}; take a smaller linear_solver.rate")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield
