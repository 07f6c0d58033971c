"""Rivals of a policy over initial noise: the best noises kept, gradients through the sampler, and fine-tuning of the denoiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from baselines.noise_policies.gaussian import Policy, seeded
from bench.contract import BenchError


class BestOfN:
    """The best initial noises of all that the budget buys; new samples start at one of the `kept` noises, each as likely."""

    def __init__(self, *, dimension: int, steps: int, generator: Generator, kept: int = 32, batch: int = 16) -> None:
        if kept < 1 or batch < 1:
            raise BenchError(f"policy: kept={kept} and batch={batch} have to be above 0")
        self.generator, self.dimension, self.kept, self.batch = generator, dimension, kept, batch
        self.noises, self.rewards = torch.zeros(0, dimension), torch.zeros(0)

    def update(self, sampler: Any) -> None:
        """A batch of standard normal noise; the best of all so far are kept."""
        z = torch.randn(self.batch, self.dimension, generator=self.generator)
        noises, rewards = torch.cat([self.noises, z]), torch.cat([self.rewards, sampler(z)[1]])
        best = rewards.argsort(descending=True, stable=True)[: self.kept]
        self.noises, self.rewards = noises[best], rewards[best]

    def start(self, e: Tensor) -> Tensor:
        """One of the noises kept, chosen by the first number of e (n, d), which is uniform after its distribution function."""
        if not len(self.noises):
            return e
        share = (1 + torch.erf(e[:, 0] / 2**0.5)) / 2
        return self.noises[(share * len(self.noises)).long().clamp(max=len(self.noises) - 1)]


class SamplerGradient(Policy):
    """N(mu, diag s^2) along the gradient of the reward through every step of the sampler: what rewards alone cannot tell."""

    def __init__(
        self, *, dimension: int, steps: int, generator: Generator, lr: float = 0.02, batch: int = 16, kl: float = 0.05
    ) -> None:
        super().__init__(dimension, generator, lr, batch)
        self.kl = kl

    def update(self, sampler: Any) -> None:
        """z = mu + s e carries the gradient of the reward in z to mu and s."""
        z = self.start(self.drawn())
        _, slopes = sampler.gradient(z.detach())
        self.descend(self.kl * self.divergence() - (slopes * z).sum(dim=1).mean())


class FineTuning:
    """A policy gradient over all steps of the sampler, on a correction of the denoiser.

    Source: DDPO, Black et al. 2024 (arXiv 2305.13301).

    kl: weight of |correction|^2, which is what holds the model to the pretrained one (DPOK, Fan et al. 2023, arXiv 2305.16381).
    """

    def __init__(
        self, *, dimension: int, steps: int, generator: Generator, lr: float = 0.03, batch: int = 16, width: int = 64,
        kl: float = 0.0,
    ) -> None:  # fmt: skip
        if not lr > 0 or batch < 2 or kl < 0:
            raise BenchError(f"policy: lr={lr} has to be above 0, batch={batch} at least 2, kl={kl} 0 or more")
        self.generator, self.dimension, self.steps, self.batch, self.kl = generator, dimension, steps, batch, kl
        last = nn.Linear(width, dimension)
        self.net = seeded(nn.Sequential(nn.Linear(dimension + 1, width), nn.Tanh(), last), generator)
        with torch.no_grad():
            for values in last.parameters():
                values.zero_()  # so that it starts at the pretrained model
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=lr)

    def start(self, e: Tensor) -> Tensor:
        """Initial noise is standard normal: this method changes the denoiser."""
        return e

    def correct(self, x: Tensor, step: int) -> Tensor:
        """Addition (n, d) to the denoiser's noise at x (n, d)."""
        when = torch.full((*x.shape[:-1], 1), step / self.steps)
        return self.net(torch.cat([x, when], dim=-1))

    def update(self, sampler: Any) -> None:
        """A batch of trajectories and one step along them."""
        x, draws = (
            torch.randn(*shape, self.batch, self.dimension, generator=self.generator) for shape in ((), (self.steps,))
        )
        path = sampler.trajectories(x, self.correct, draws)
        if path.rewards.max() == path.rewards.min():
            return  # no trajectory is better than another, and a step would follow roundings
        advantages = (path.rewards - path.rewards.mean()) / path.rewards.std()
        told = torch.stack([self.correct(states, k) for k, states in enumerate(path.states)])
        # The score of a normal step: its drawn noise times the shift of its mean over its deviation.
        scores = (path.noises * told).sum(dim=2) * path.gains[:, None]
        loss = self.kl * told.square().mean() - (advantages * scores.mean(dim=0)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
