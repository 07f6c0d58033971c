"""Evolution strategies that use ranks of values only, so that no monotone change of the function matters."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from bench.contract import BenchError

LARGEST = 1000  # dimensions up to which a full covariance is kept


class ShapedStrategy:
    """x - lr / (n s) sum_i r_i u_i, n normal u_i in opposite pairs; r_i: ranks of f(x + s u_i), even over [-1/2, 1/2].

    Salimans et al. 2017 (arXiv 1703.03864).
    """

    def __init__(
        self, *, dimension: int, evaluations: int, generator: Generator, lr: float = 1e-3, sigma: float = 0.03,
        population: int = 20,
    ) -> None:  # fmt: skip
        if population < 2 or population % 2 or population > evaluations:
            raise BenchError(
                f"searcher.population={population}: an even number from 2 to the run's {evaluations} evaluations"
            )
        if not lr > 0 or not sigma > 0:
            raise BenchError(f"searcher: lr={lr} and sigma={sigma} have to be above 0")
        self.dimension, self.generator = dimension, generator
        self.lr, self.sigma, self.population = lr, sigma, population

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        half = torch.randn(self.population // 2, self.dimension, generator=self.generator, dtype=x.dtype)
        u = torch.cat([half, -half])
        ranks = f(x + self.sigma * u).argsort().argsort().to(x.dtype)
        return x - self.lr / (self.population * self.sigma) * (ranks / (self.population - 1) - 0.5) @ u


class CmaEs:
    """The (mu/mu_w, lambda)-CMA-ES with the parameters of Hansen's tutorial (arXiv 1604.00772), weights above 0 only.

    sigma: the first step size. separable: variances only, learned (d + 2)/3 times as fast (Ros and Hansen 2008); a full
    covariance of more than 1000 dimensions is a BenchError. population: 0 for 4 + 3 log d.
    """

    def __init__(
        self, *, dimension: int, evaluations: int, generator: Generator, sigma: float = 0.3, population: int = 0,
        separable: bool = False,
    ) -> None:  # fmt: skip
        d, n = dimension, population or 4 + int(3 * math.log(dimension))
        if not 4 <= n <= evaluations or not sigma > 0:
            raise BenchError(
                f"searcher: a population of {n} is 4 to the run's {evaluations} evaluations, sigma={sigma} above 0"
            )
        if d > LARGEST and not separable:
            raise BenchError(
                f"a full covariance of {d} dimensions is too large (at most {LARGEST}); set searcher.separable=true"
            )
        self.dimension, self.population, self.generator, self.separable = d, n, generator, separable
        raw = math.log((n + 1) / 2) - torch.arange(1, n // 2 + 1, dtype=torch.float64).log()
        self.weights = raw / raw.sum()
        mass = self.mass = float(1 / self.weights.square().sum())
        self.path_rate = (mass + 2) / (d + mass + 5)
        self.damping = 1 + 2 * max(0.0, math.sqrt((mass - 1) / (d + 1)) - 1) + self.path_rate
        self.covariance_path_rate = (4 + mass / d) / (d + 4 + 2 * mass / d)
        faster = (d + 2) / 3 if separable else 1.0
        self.rank_one = min(1.0, faster * 2 / ((d + 1.3) ** 2 + mass))
        self.rank_mu = min(1 - self.rank_one, faster * 2 * (mass - 2 + 1 / mass) / ((d + 2) ** 2 + mass))
        self.length = math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d**2))  # mean of |N(0, I)|
        self.sigma, self.generation, self.factored = sigma, 0, 0
        self.path, self.covariance_path = (torch.zeros(d, dtype=torch.float64) for _ in range(2))
        self.covariance = torch.ones(d, dtype=torch.float64) if separable else torch.eye(d, dtype=torch.float64)
        self.axes, self.scales = (
            torch.eye(0 if separable else d, dtype=torch.float64),
            torch.ones(d, dtype=torch.float64),
        )

    def _factor(self) -> None:
        """The covariance's axes and scales, as often as the tutorial says: it changes little from one generation to the next."""
        if self.separable:
            self.scales = self.covariance.sqrt()
        elif self.generation - self.factored > 1 / (10 * self.dimension * (self.rank_one + self.rank_mu)):
            self.factored = self.generation
            values, self.axes = torch.linalg.eigh(self.covariance)
            self.scales = values.clamp(min=1e-300).sqrt()

    def __call__(self, f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        self.generation += 1
        z = torch.randn(self.population, self.dimension, generator=self.generator, dtype=torch.float64)
        y = z * self.scales if self.separable else z * self.scales @ self.axes.T
        values = f(x + (self.sigma * y).to(x.dtype))
        best = values.argsort()[: len(self.weights)]
        step, white = self.weights @ y[best], self.weights @ z[best]
        if not self.separable:
            white = self.axes @ white
        moved = x + (self.sigma * step).to(x.dtype)
        self._adapt(step, white, y[best])
        return moved

    def _adapt(self, step: Tensor, white: Tensor, chosen: Tensor) -> None:
        """Equations 43 to 47 of the tutorial; `white` is C^(-1/2) step."""
        a, c = self.path_rate, self.covariance_path_rate
        self.path = (1 - a) * self.path + math.sqrt(a * (2 - a) * self.mass) * white
        norm = float(self.path.norm()) / math.sqrt(1 - (1 - a) ** (2 * self.generation))
        moving = float(norm < (1.4 + 2 / (self.dimension + 1)) * self.length)  # 0 while the step size still grows fast
        self.covariance_path = (1 - c) * self.covariance_path + moving * math.sqrt(c * (2 - c) * self.mass) * step
        kept = 1 - self.rank_one - self.rank_mu + (1 - moving) * c * (2 - c) * self.rank_one
        if self.separable:
            one, many = self.covariance_path.square(), self.weights @ chosen.square()
        else:
            one, many = torch.outer(self.covariance_path, self.covariance_path), chosen.T * self.weights @ chosen
        self.covariance = kept * self.covariance + self.rank_one * one + self.rank_mu * many
        self.sigma *= math.exp(a / self.damping * (float(self.path.norm()) / self.length - 1))
        self._factor()
