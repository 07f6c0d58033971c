"""Estimates of E[x_0|x_t] without gradient steps (slot `estimator` of `diffusion/score`).

The process is x_t = a x_0 + s z with a = exp(-t), s^2 = 1 - exp(-2t). Each estimator yields (number, denoiser), where a denoiser
takes x (batch, dimension) and t (batch,). All arithmetic is in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from bench.contract import BenchError

Denoiser = Callable[[Tensor, Tensor], Tensor]
Candidates = Iterator[tuple[int, Denoiser]]


def _levels(t: Tensor) -> tuple[Tensor, Tensor]:
    """a and s^2, (batch, 1)."""
    times = t.double()[:, None]
    return torch.exp(-times), -torch.expm1(-2 * times)


def standard(**_: Any) -> Candidates:
    """The floor: the score of N(0, I), which is -x at all times; it looks at no sample."""
    yield 0, lambda x, t: _levels(t)[0] * x


def gaussian(*, samples: Tensor, **_: Any) -> Candidates:
    """The score of the Gaussian with the samples' mean and covariance: E[x_0|x_t] = m + a C (a^2 C + s^2)^-1 (x - a m)."""
    data = samples.double()
    mean, covariance = data.mean(0), data.T.cov().reshape(data.shape[1], -1)
    values, vectors = torch.linalg.eigh(covariance)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        a, noise = _levels(t)
        gain = a * values / (a**2 * values + noise)
        return mean + (gain * ((x.double() - a * mean) @ vectors)) @ vectors.T

    yield 0, denoise


def _kernel_density(data: Tensor, bandwidth: float) -> Denoiser:
    """The mean of x_0 given x_t if x_0 had the law of the samples plus noise of deviation `bandwidth`: with v = h^2 a^2 + s^2 the
    weights of the samples are softmax(-|x - a x_i|^2 / 2v), and each shrinks x to x_i by a h^2 / v."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        a, noise = _levels(t)
        variance = (a * bandwidth) ** 2 + noise
        weights = torch.softmax(_exponents(x.double(), a, variance, data), dim=1)
        mean = weights @ data
        return mean + a * bandwidth**2 / variance * (x.double() - a * mean)

    return denoise


def _exponents(x: Tensor, a: Tensor, variance: Tensor, data: Tensor) -> Tensor:
    """-|x - a x_i|^2 / 2 variance up to a constant of each row, (batch, n)."""
    return (a * (x @ data.T) - a**2 * data.square().sum(1) / 2) / variance


def empirical(*, samples: Tensor, **_: Any) -> Candidates:
    """The score of the samples' own law, the minimiser of the training loss under endless noise draws: what training without end
    of a network without bounds learns. Its samples are the training samples."""
    yield 0, _kernel_density(samples.double(), 0.0)


def kernel_density(
    *, samples: Tensor, least: float = 0.02, largest: float = 1.0, candidates: int = 21, **_: Any
) -> Candidates:
    """The scores of kernel density estimates, bandwidths on a log grid from the largest on; `stopping` chooses."""
    if not 0 < least <= largest:
        raise BenchError(f"estimator.least={least}, estimator.largest={largest}: bandwidths have 0 < least <= largest")
    for i in range(candidates):
        share = i / max(1, candidates - 1)
        bandwidth = math.exp((1 - share) * math.log(largest) + share * math.log(least))
        yield i, _kernel_density(samples.double(), bandwidth)
