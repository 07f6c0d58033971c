"""A normal distribution over initial noise, learned from rewards (FIND, Chen et al. 2024, arXiv 2407.19453).

The whole sampler is one action: z ~ N(mu, diag s^2), reward r(sampler(z)), and the policy's gradient is that of log N(z; mu, s).
"""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Generator, Tensor, nn

from bench.contract import BenchError

LEAST = 1e-4  # the least deviation
CALIBRATIONS = ("none", "mean", "network")


class Policy:
    """N(mu, diag s^2) over `dimension` numbers, and Adam on both."""

    def __init__(self, dimension: int, generator: Generator, lr: float, batch: int) -> None:
        if not lr > 0 or batch < 2:
            raise BenchError(f"policy: lr={lr} has to be above 0, batch={batch} at least 2")
        self.mean = torch.zeros(dimension, requires_grad=True)
        self.deviation = torch.ones(dimension, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.mean, self.deviation], lr=lr)
        self.generator, self.batch, self.dimension = generator, batch, dimension

    def start(self, e: Tensor) -> Tensor:
        """Initial noise (n, d) of standard normal e (n, d)."""
        return self.mean + self.deviation * e

    def drawn(self) -> Tensor:
        """Standard normal numbers (batch, d)."""
        return torch.randn(self.batch, self.dimension, generator=self.generator)

    def log_density(self, z: Tensor) -> Tensor:
        """log N(z; mu, s) (n,) without its constant."""
        return -(((z - self.mean) / self.deviation).square() / 2 + self.deviation.log()).sum(dim=1)

    def divergence(self) -> Tensor:
        """The paper's penalty on leaving N(0, I): |mu|^2 + |s - 1|^2, mean over the numbers."""
        return (self.mean.square() + (self.deviation - 1).square()).mean()

    def descend(self, loss: Tensor) -> None:
        """A step of Adam, after which deviations are at least LEAST."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            self.deviation.clamp_(min=LEAST)


class NoisePolicy(Policy):
    """reuse steps on each batch along min(rho A, clip(rho, 1 - c, 1 + c) A), rho the ratio of densities, A = r - baseline.

    calibration: the baseline, that is "network", a value network of (mu, s) as in the paper; "mean", of the batch; or "none".
    clip: c; 0 for none. kl: weight of the penalty on leaving N(0, I).
    """

    def __init__(
        self, *, dimension: int, steps: int, generator: Generator, lr: float = 0.02, batch: int = 16, reuse: int = 1,
        clip: float = 0.2, kl: float = 0.05, calibration: str = "network", value_lr: float = 0.01,
    ) -> None:  # fmt: skip
        super().__init__(dimension, generator, lr, batch)
        if reuse < 1 or not 0 <= clip < 1 or kl < 0:
            raise BenchError(f"policy: reuse={reuse} is at least 1, clip={clip} in [0, 1), kl={kl} 0 or more")
        if calibration not in CALIBRATIONS:
            raise BenchError(f"policy.calibration={calibration!r}: one of {', '.join(CALIBRATIONS)}")
        self.reuse, self.clip, self.kl, self.calibration = reuse, clip, kl, calibration
        if calibration == "network":
            self.value = seeded(nn.Sequential(nn.Linear(2 * dimension, 32), nn.ReLU(), nn.Linear(32, 1)), generator)
            self.value_optimizer = torch.optim.Adam(self.value.parameters(), lr=value_lr)

    def baseline(self, rewards: Tensor) -> Tensor:
        """What is subtracted from rewards (n,): a number, from before the network has seen them."""
        if self.calibration != "network":
            # The mean of equal rewards is another number by rounding, which Adam would make a whole step of.
            mean = rewards.mean() if rewards.max() > rewards.min() else rewards[0]
            return mean if self.calibration == "mean" else rewards.new_zeros(())
        told = torch.cat([self.mean, self.deviation]).detach()
        before = self.value(told)[0].detach()
        for _ in range(5):
            loss = (self.value(told) - rewards).square().mean()
            self.value_optimizer.zero_grad()
            loss.backward()
            self.value_optimizer.step()
        return before

    def update(self, sampler: Any) -> None:
        """A batch of samples, and `reuse` steps along it."""
        with torch.no_grad():
            z = self.start(self.drawn())
            old = self.log_density(z)
        _, rewards = sampler(z)
        advantages = rewards - self.baseline(rewards)
        for _ in range(self.reuse):
            self.descend(self.loss(z, old, advantages))

    def loss(self, z: Tensor, old: Tensor, advantages: Tensor) -> Tensor:
        """The clipped objective with its sign turned, and the penalty."""
        ratio = (self.log_density(z) - old).exp()
        gained = ratio * advantages
        if self.clip:
            gained = torch.minimum(gained, ratio.clamp(1 - self.clip, 1 + self.clip) * advantages)
        return self.kl * self.divergence() - gained.mean()


class Published(Policy):
    """The update of the authors' file, from its arithmetic; not a rule of the paper.

    Rewards come from the oldest entry of a buffer that holds each rollout 50 times and 1000 in all: the first rollout's for 20
    rollouts, then those of 19 rollouts ago, against the present noise. The old policy stays N(0, I); log-densities are means over
    the numbers; the ratio is clamped without the minimum, so that outside 1 - c to 1 + c nothing is learned.
    """

    COPIES, HELD = 50, 1000

    def __init__(
        self, *, dimension: int, steps: int, generator: Generator, lr: float = 1e-3, batch: int = 16, clip: float = 0.2,
        kl: float = 0.01, weight: float = 10.0,
    ) -> None:  # fmt: skip
        super().__init__(dimension, generator, lr, batch)
        self.clip, self.kl, self.weight = clip, kl, weight
        self.buffer: deque[Tensor] = deque(maxlen=self.HELD // self.COPIES)

    def update(self, sampler: Any) -> None:
        """A batch of samples, and a step that pairs their noise with the oldest rewards."""
        with torch.no_grad():
            z = self.start(self.drawn())
        self.buffer.append(sampler(z)[1])
        stale = self.buffer[0]
        advantages = stale - stale.mean()
        old = -z.square().mean(dim=1) / 2
        ratio = (self.log_density(z) / self.dimension - old).exp().clamp(1 - self.clip, 1 + self.clip)
        self.descend(self.kl * self.divergence() - self.weight * (ratio * advantages).mean())


def seeded(model: nn.Module, generator: Generator) -> nn.Module:
    """The model with its parameters drawn by `generator`, each uniform within 1 over the root of its layer's inputs."""
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                for values in (layer.weight, layer.bias):
                    values.uniform_(-1, 1, generator=generator).mul_(layer.in_features**-0.5)
    return model
