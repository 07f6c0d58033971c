"""What a search over initial noise may ask of a diffusion model, with every evaluation of the denoiser counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contract import BenchError, Diverged
from tasks.diffusion import process

LAST, FIRST = 0.01, 3.0  # times at which sampling ends and starts
FORWARD = 1  # evaluations that a step without a backward pass counts as

Denoiser = Callable[[Tensor, float], Tensor]  # points (n, d), their time -> E[z|x_t] (n, d), the mean of their noise
Correction = Callable[[Tensor, int], Tensor]  # points (n, d), step -> addition (n, d) to the denoiser's noise


def sample(
    denoiser: Denoiser, x: Tensor, steps: int, correction: Correction | None = None, draws: Tensor | None = None
) -> process.Walk:
    """`steps` steps from x (n, d) at time FIRST, by times in a geometric row, and the denoiser's mean at time LAST as their ends.

    draws (steps, n, d): noise of each step, as `process.walk` takes it.
    """
    times = process.schedule(LAST, FIRST, steps)
    grid = times.tolist()[::-1]

    def predict(x: Tensor, k: int) -> Tensor:
        noise = denoiser(x, grid[k])
        return noise if correction is None else noise + correction(x, k)

    walk = process.walk(predict, x, times, draws)
    score = process.score_of_noise(denoiser(walk.ends, LAST), LAST)
    return process.Walk(process.denoised_of(score, walk.ends, LAST), walk.states, walk.gains)


@dataclass(frozen=True)
class Path:
    """Trajectories: states (steps, n, d) before each step, the noises (steps, n, d) drawn in it, the shift (steps,) of its
    mean by one unit of correction over its deviation, and rewards (n,) of their ends."""

    states: Tensor
    noises: Tensor
    gains: Tensor
    rewards: Tensor


class Sampler:
    """What a search may ask. Each answer is counted in evaluations of the denoiser, `steps` + 1 a sample.

    reward: samples (n, d) -> (n,). backward: evaluations that a backward pass counts as, beside the forward one.
    """

    def __init__(
        self, denoiser: Denoiser, dimension: int, steps: int, reward: Callable[[Tensor], Tensor], backward: int,
        count: Callable[..., None],
    ) -> None:  # fmt: skip
        self._denoiser, self._reward, self._count = denoiser, reward, count
        self.steps, self.backward, self.dimension = steps, backward, dimension

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
            samples = sample(self._denoiser, x, self.steps).ends
            return samples, self._rewarded(samples)

    def gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(rewards (n,), their gradients (n, d) in the initial noise), through every step of the sampler."""
        self._spend(x, FORWARD + self.backward)
        with torch.enable_grad():
            here = x.detach().requires_grad_()
            rewards = self._rewarded(sample(self._denoiser, here, self.steps).ends)
            (slopes,) = torch.autograd.grad(rewards.sum(), here)
        return rewards.detach(), slopes

    def trajectories(self, x: Tensor, correction: Correction, draws: Tensor) -> Path:
        """Corrected trajectories of the stochastic sampler, for fine-tuning.

        Counted with a backward pass at every step, as if the correction were a change of the denoiser's own parameters.
        """
        self._spend(x, FORWARD + self.backward)
        with torch.no_grad():
            walk = sample(self._denoiser, x, self.steps, correction, draws)
            return Path(torch.stack(walk.states), draws, torch.tensor(walk.gains), self._rewarded(walk.ends))
