"""What the family shares: the noising process, schedules of times, a sampler, and mixtures whose scores are known.

The process is that of Ornstein and Uhlenbeck, which preserves variance: dx = -x dt + sqrt(2) dW, so that
x_t = a_t x_0 + s_t z with a_t = exp(-t), s_t^2 = 1 - exp(-2t) and z standard normal (Song et al. 2021, arXiv 2011.13456;
2401.15604, section 2). The score is the gradient of log p_t. By Tweedie's formula it says the same as the mean of x_0 given x_t
and as the mean of the noise z given x_t: score = (a_t E[x_0|x_t] - x_t) / s_t^2 = -E[z|x_t] / s_t.

A time is a number or a tensor (batch,), one for each row; points are (batch, dimension).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contract import BenchError
from bench.seeds import Stream

Score = Callable[[Tensor, Tensor], Tensor]  # (x (batch, dimension), t (batch,)) -> (batch, dimension)
SPACINGS = ("uniform", "logarithmic", "quadratic")


def column(t: Tensor | float, x: Tensor) -> Tensor:
    """Times as (batch, 1), of the points' dtype; ValueError for a negative time or for a number of times unlike the batch's."""
    times = torch.as_tensor(t, dtype=x.dtype)
    if times.ndim > 1 or (times.ndim == 1 and len(times) not in (1, len(x))):
        raise ValueError(f"times have shape {tuple(times.shape)}; wanted one number or ({len(x)},), one for each point")
    if not bool((times >= 0).all()):
        raise ValueError("a time is negative or no number")
    return times.reshape(-1, 1).expand(len(x), 1)


def signal(t: Tensor) -> Tensor:
    """a_t = exp(-t), the share of the data that is left."""
    return torch.exp(-t)


def deviation(t: Tensor) -> Tensor:
    """s_t = sqrt(1 - exp(-2t)), the standard deviation of the noise; exact also for a small t."""
    return torch.sqrt(-torch.expm1(-2 * t))


def diffuse(x: Tensor, t: Tensor | float, noise: Tensor) -> Tensor:
    """x_t (batch, dimension) from data and standard normal noise of the same shape."""
    times = column(t, x)
    return signal(times) * x + deviation(times) * noise


def noise_of(score: Tensor, t: Tensor | float) -> Tensor:
    """E[z|x_t] = -s_t score, which a network of the noise would predict."""
    return -deviation(column(t, score)) * score


def score_of_noise(noise: Tensor, t: Tensor | float) -> Tensor:
    """The score that belongs to a prediction of the noise; infinite at t = 0."""
    return -noise / deviation(column(t, noise))


def denoised_of(score: Tensor, x: Tensor, t: Tensor | float) -> Tensor:
    """E[x_0|x_t] = (x_t + s_t^2 score) / a_t, Tweedie's formula."""
    times = column(t, x)
    return (x + deviation(times) ** 2 * score) / signal(times)


def score_of_denoised(denoised: Tensor, x: Tensor, t: Tensor | float) -> Tensor:
    """The score that belongs to a prediction of x_0: the parametric form of 2401.15604."""
    times = column(t, x)
    return (signal(times) * denoised - x) / deviation(times) ** 2


def schedule(start: float, end: float, steps: int, spacing: str = "logarithmic") -> Tensor:
    """steps + 1 increasing times from `start` to `end`, float64; the sampler walks them backwards.

    spacing: "uniform"; "quadratic", uniform in the root of t; "logarithmic", which is uniform in log t and so spends most of its
    steps where the data's detail appears. BenchError for a schedule that ends at or above its start on the way back.
    """
    if not (0 < start < end and math.isfinite(end)):
        raise BenchError(
            f"a schedule from t={start} to t={end}: it needs 0 < start < end, since sampling goes back in time"
        )
    if steps < 1:
        raise BenchError(f"a schedule of {steps} steps: it needs at least one")
    if spacing not in SPACINGS:
        raise BenchError(f"no spacing {spacing!r}; there are {', '.join(SPACINGS)}")
    places = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    if spacing == "logarithmic":
        times = start * (end / start) ** places
    else:
        power = 2 if spacing == "quadratic" else 1
        times = (start ** (1 / power) + (end ** (1 / power) - start ** (1 / power)) * places) ** power
    times[0], times[-1] = start, end
    return times


def reverse(
    score: Score, x: Tensor, times: Tensor, eta: float = 0.0, generator: torch.Generator | None = None
) -> Tensor:
    """Points (batch, dimension) at times[0], from `x` at times[-1]: one call of `score` for each of the steps between.

    A step from t to u < t predicts x_0 and noise and mixes them anew (Song, Meng, Ermon 2021, arXiv 2010.02502, equation 12):
    x_u = a_u E[x_0] + sqrt(s_u^2 - c^2) E[z] + c w, with c = eta (s_u / s_t) sqrt(1 - a_t^2 / a_u^2) and w standard normal.
    eta = 0 is deterministic (DDIM), a step of the probability flow; eta = 1 is ancestral sampling (DDPM), which draws from
    `generator` at every step. Gradients pass through. BenchError for times that do not increase, for an eta outside [0, 1] and
    for randomness without a generator.
    """
    if times.ndim != 1 or len(times) < 2 or not bool((times[1:] > times[:-1]).all()) or not float(times[0]) > 0:
        raise BenchError("the sampler's times have to be one row of at least two that increase from above 0")
    if not 0 <= eta <= 1:
        raise BenchError(f"eta={eta}: it lies between 0, deterministic, and 1, ancestral")
    if eta and generator is None:
        raise BenchError(f"eta={eta} draws noise; give a generator")
    a, s = (f(times.double()).tolist() for f in (signal, deviation))
    for i in range(len(times) - 1, 0, -1):
        t = torch.full((len(x),), float(times[i]), dtype=x.dtype)
        noise = -s[i] * score(x, t)
        fresh = eta * s[i - 1] / s[i] * math.sqrt(1 - (a[i] / a[i - 1]) ** 2)
        kept = math.sqrt(max(0.0, s[i - 1] ** 2 - fresh**2))
        x = a[i - 1] / a[i] * (x - s[i] * noise) + kept * noise
        if fresh:
            x = x + fresh * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    return x


@dataclass(frozen=True)
class Mixture:
    """A mixture of K Gaussians with diagonal covariances: weights (K,), means (K, dimension), variances (K, dimension).

    Variances may be 0: points of mass, whose noisy law still has a score (`empirical`). ValueError for shapes that do not fit,
    for a negative variance and for weights that are not positive with sum 1.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor

    def __post_init__(self) -> None:
        if (
            self.means.ndim != 2
            or self.variances.shape != self.means.shape
            or self.weights.shape != self.means.shape[:1]
        ):
            shapes = ", ".join(str(tuple(x.shape)) for x in (self.weights, self.means, self.variances))
            raise ValueError(f"weights, means and variances have shapes {shapes}; wanted (K,), (K, d) and (K, d)")
        if not bool((self.variances >= 0).all()):
            raise ValueError("a variance is negative or no number")
        if not bool((self.weights > 0).all()) or abs(float(self.weights.sum()) - 1) > 1e-6:
            raise ValueError("weights of a mixture are positive and sum to 1")

    def draw(self, count: int, stream: Stream) -> Tensor:
        """`count` independent points (count, dimension), of the means' dtype."""
        places = stream.uniform(count, dtype=torch.float64)
        chosen = torch.searchsorted(self.weights.double().cumsum(0), places, right=True).clamp(
            max=len(self.weights) - 1
        )
        noise = stream.normal(count, self.means.shape[1], dtype=self.means.dtype)
        return self.means[chosen] + self.variances[chosen].sqrt() * noise

    def _parts(self, x: Tensor, t: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
        """Log joint density of component and point (batch, K), standardised distances and variances (batch, K, d) at time t."""
        times = column(t, x)[..., None]
        variances = signal(times) ** 2 * self.variances + deviation(times) ** 2
        away = (signal(times) * self.means - x[:, None]) / variances
        square = (away**2 * variances + torch.log(2 * math.pi * variances)).sum(-1)
        return torch.log(self.weights) - square / 2, away, variances

    def log_density(self, x: Tensor, t: Tensor | float) -> Tensor:
        """log p_t(x), (batch,)."""
        return torch.logsumexp(self._parts(x, t)[0], -1)

    def score(self, x: Tensor, t: Tensor | float) -> Tensor:
        """The gradient of log p_t at x: the components' scores, weighted by how probable each is given x."""
        joint, away, _ = self._parts(x, t)
        return (torch.softmax(joint, -1)[..., None] * away).sum(-2)


def empirical(points: Tensor) -> Mixture:
    """The law of the samples (n, dimension) themselves, whose score minimises the training loss: sampling gives them back."""
    return Mixture(torch.full((len(points),), 1 / len(points), dtype=points.dtype), points, torch.zeros_like(points))
