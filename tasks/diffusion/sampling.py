"""Sampling a mixture of normal distributions by its exact score, with every denoiser's evaluation counted.

The forward process is Ornstein-Uhlenbeck, x_t = a x_0 + s e with a = exp(-t) and s^2 = 1 - exp(-2t). A step is DDIM's (Song, Meng
and Ermon 2021, arXiv 2010.02502, equation 12).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contract import BenchError, Diverged

LAST, FIRST = 0.01, 3.0  # times at which sampling ends and starts
FORWARD = 1  # evaluations that a step without a backward pass counts as

Correction = Callable[[Tensor, int], Tensor]  # states (n, d), step -> addition (n, d) to the denoiser's noise


@dataclass(frozen=True)
class Mixture:
    """Normal components with centres (m, d), weights (m,) that add up to 1, and one deviation."""

    centres: Tensor
    weights: Tensor
    deviation: float

    def noise(self, x: Tensor, t: float) -> Tensor:
        """What an exact denoiser says at x (n, d): the mean of e given x_t = x, that is -s times the score."""
        a, s = coefficients(t)
        variance = (a * self.deviation) ** 2 + s**2
        centres = a * self.centres
        # |x|^2 is the same for all components, and leaves their shares.
        near = (x @ centres.T - centres.square().sum(dim=1) / 2) / variance
        return s * (x - torch.softmax(self.weights.log() + near, dim=1) @ centres) / variance

    def log_density(self, x: Tensor, t: float) -> Tensor:
        """log p_t (n,) at x (n, d)."""
        a, s = coefficients(t)
        variance = (a * self.deviation) ** 2 + s**2
        far = (x[:, None] - a * self.centres).square().sum(dim=2)
        constant = x.shape[1] / 2 * math.log(2 * math.pi * variance)
        return torch.logsumexp(self.weights.log() - far / (2 * variance), dim=1) - constant


def coefficients(t: float) -> tuple[float, float]:
    """(a, s) at time t."""
    return math.exp(-t), math.sqrt(-math.expm1(-2 * t))


def times(steps: int) -> list[float]:
    """steps + 1 times from FIRST to LAST, in a geometric row."""
    return [FIRST * (LAST / FIRST) ** (k / steps) for k in range(steps + 1)]


@dataclass(frozen=True)
class Path:
    """Trajectories: states (steps, n, d) before each step, the noises (steps, n, d) drawn in it, the shift (steps,) of its
    mean by one unit of correction over its deviation, and rewards (n,) of their ends."""

    states: Tensor
    noises: Tensor
    gains: Tensor
    rewards: Tensor


def walk(
    mixture: Mixture, x: Tensor, steps: int, correction: Correction | None = None, draws: Tensor | None = None
) -> tuple[Tensor, list[Tensor], list[float]]:
    """(samples (n, d), states before each step, gains) from x (n, d) at time FIRST.

    draws (steps, n, d): noise of each step, with the deviation of the reverse process (eta = 1). None is the deterministic
    sampler.
    """
    states, gains, grid = [], [], times(steps)
    for k in range(steps):
        states.append(x)
        (a, s), (b, r) = coefficients(grid[k]), coefficients(grid[k + 1])
        e = mixture.noise(x, grid[k])
        if correction is not None:
            e = e + correction(x, k)
        spread = 0.0 if draws is None else r / s * math.sqrt(1 - (a / b) ** 2)
        along = math.sqrt(max(0.0, r**2 - spread**2))
        x = b / a * (x - s * e) + along * e
        if draws is not None:
            x = x + spread * draws[k]
        gains.append((along - b * s / a) / spread if spread else 0.0)
    a, s = coefficients(grid[-1])
    return (x - s * mixture.noise(x, grid[-1])) / a, states, gains


class Sampler:
    """What a search may ask. Each answer is counted in evaluations of the denoiser, `steps` + 1 a sample.

    backward: evaluations that a backward pass counts as, beside the forward one. reward: samples (n, d) -> (n,).
    """

    def __init__(
        self, mixture: Mixture, steps: int, reward: Callable[[Tensor], Tensor], backward: int,
        count: Callable[..., None],
    ) -> None:  # fmt: skip
        self._mixture, self._reward, self._count = mixture, reward, count
        self.steps, self.backward, self.dimension = steps, backward, mixture.centres.shape[1]

    def _spend(self, x: Tensor, each: int) -> None:
        if x.ndim != 2 or x.shape[1] != self.dimension:
            raise BenchError(f"initial noise of shape {tuple(x.shape)}; expected (samples, {self.dimension})")
        if not bool(x.isfinite().all()):
            raise Diverged("the initial noise is not finite")
        self._count(evals=len(x) * (self.steps + 1) * each)

    def _rewarded(self, samples: Tensor) -> Tensor:
        rewards = self._reward(samples)
        if not bool(rewards.isfinite().all()):
            raise Diverged("a reward is not finite")
        return rewards

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(samples (n, d), rewards (n,)) from initial noise x (n, d), by the deterministic sampler."""
        self._spend(x, FORWARD)
        with torch.no_grad():
            samples = walk(self._mixture, x, self.steps)[0]
            return samples, self._rewarded(samples)

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(rewards (n,), their gradients (n, d) in the initial noise), through every step of the sampler."""
        self._spend(x, FORWARD + self.backward)
        with torch.enable_grad():
            here = x.detach().requires_grad_()
            rewards = self._rewarded(walk(self._mixture, here, self.steps)[0])
            (slopes,) = torch.autograd.grad(rewards.sum(), here)
        return rewards.detach(), slopes

    def trajectories(self, x: Tensor, correction: Correction, draws: Tensor) -> Path:
        """Corrected trajectories of the stochastic sampler, for fine-tuning.

        Counted with a backward pass at every step, as if the correction were a change of the denoiser's own parameters.
        """
        self._spend(x, FORWARD + self.backward)
        with torch.no_grad():
            samples, states, gains = walk(self._mixture, x, self.steps, correction, draws)
            return Path(torch.stack(states), draws, torch.tensor(gains), self._rewarded(samples))
