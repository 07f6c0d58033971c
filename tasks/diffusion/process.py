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


@dataclass(frozen=True)
class Walk:
    """Points (n, d) at the earliest time; states (n, d) before each step, latest time first; for each step the shift of its mean
    by one unit of predicted noise over the deviation of the noise drawn in it, 0 for a deterministic step."""

    ends: Tensor
    states: list[Tensor]
    gains: list[float]


def walk(predict: Callable[[Tensor, int], Tensor], x: Tensor, times: Tensor, draws: Tensor | None = None) -> Walk:
    """From points x (n, d) at times[-1] back to times[0]; predict(x, k) is E[z|x_t] at the k-th step's time, times[-1 - k].

    A step from t to u < t predicts x_0 and noise and mixes them anew (Song, Meng, Ermon 2021, arXiv 2010.02502, equation 12):
    x_u = a_u E[x_0] + sqrt(s_u^2 - c^2) E[z] + c w. Without `draws` c = 0 (DDIM), a step of the probability flow; with them
    (steps, n, d), standard normal, c = (s_u / s_t) sqrt(1 - a_t^2 / a_u^2), which is ancestral sampling (DDPM). Gradients pass
    through. BenchError for times that do not increase and for draws of another shape.
    """
    if times.ndim != 1 or len(times) < 2 or not bool((times[1:] > times[:-1]).all()) or not float(times[0]) > 0:
        raise BenchError("the sampler's times have to be one row of at least two that increase from above 0")
    if draws is not None and draws.shape != (len(times) - 1, *x.shape):
        wanted = (len(times) - 1, *x.shape)
        raise BenchError(
            f"draws of shape {tuple(draws.shape)}; the sampler wants {wanted}, one for each step and point"
        )
    states: list[Tensor] = []
    gains: list[float] = []
    a, s = (f(times.double()).tolist()[::-1] for f in (signal, deviation))
    for k in range(len(times) - 1):
        states.append(x)
        noise = predict(x, k)
        fresh = 0.0 if draws is None else s[k + 1] / s[k] * math.sqrt(1 - (a[k] / a[k + 1]) ** 2)
        kept = math.sqrt(max(0.0, s[k + 1] ** 2 - fresh**2))
        x = a[k + 1] / a[k] * (x - s[k] * noise) + kept * noise
        if draws is not None:
            x = x + fresh * draws[k]
        gains.append((kept - a[k + 1] * s[k] / a[k]) / fresh if fresh else 0.0)
    return Walk(x, states, gains)


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
        """Log joint density of component and point (n, K) at time t; the components' precisions, and these times their means.

        Both are (1 or n, K, d): 1 where all points have one time, so that the sums over coordinates are matrix products.
        """
        times = torch.as_tensor(t, dtype=x.dtype)
        times = (column(t, x) if times.numel() > 1 else column(times.reshape(-1), x[:1]))[..., None]
        variances = signal(times) ** 2 * self.variances + deviation(times) ** 2
        precisions, centres = 1 / variances, signal(times) * self.means
        linear = precisions * centres
        square = _over_coordinates(x.square(), precisions) - 2 * _over_coordinates(x, linear)
        constant = (centres * linear + torch.log(2 * math.pi * variances)).sum(-1)
        return torch.log(self.weights) - (square + constant) / 2, precisions, linear

    def log_density(self, x: Tensor, t: Tensor | float) -> Tensor:
        """log p_t(x), (n,)."""
        return torch.logsumexp(self._parts(x, t)[0], -1)

    def score(self, x: Tensor, t: Tensor | float) -> Tensor:
        """The gradient of log p_t at x: the components' scores, weighted by how probable each is given x."""
        joint, precisions, linear = self._parts(x, t)
        shares = torch.softmax(joint, -1)
        return _over_components(shares, linear) - x * _over_components(shares, precisions)

    def noise(self, x: Tensor, t: Tensor | float) -> Tensor:
        """E[z|x_t] (n, d) at x: what an exact denoiser says."""
        return noise_of(self.score(x, t), t)


def _over_coordinates(x: Tensor, values: Tensor) -> Tensor:
    """Sums over d of x (n, d) times values (1 or n, K, d): (n, K)."""
    return x @ values[0].T if len(values) == 1 else torch.einsum("nd,nkd->nk", x, values)


def _over_components(shares: Tensor, values: Tensor) -> Tensor:
    """Sums over K of shares (n, K) times values (1 or n, K, d): (n, d)."""
    return shares @ values[0] if len(values) == 1 else torch.einsum("nk,nkd->nd", shares, values)


def empirical(points: Tensor) -> Mixture:
    """The law of the samples (n, dimension) themselves, whose score minimises the training loss: sampling gives them back."""
    return Mixture(torch.full((len(points),), 1 / len(points), dtype=points.dtype), points, torch.zeros_like(points))
