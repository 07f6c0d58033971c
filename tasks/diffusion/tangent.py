"""Two-layer ReLU networks and the kernel regression that they become as they grow wide (2401.15604; Jacot et al. 2018).

The network is f(u) = sqrt(2/m) sum_r a_r relu(w_r . u) on inputs u = (x, t, 1), with all a and w standard normal and both layers
trained. For m to infinity its tangent kernel stays at
K(u, v) = |u| |v| k1(rho) + u.v k0(rho), rho = u.v / (|u| |v|), where
k0(rho) = (pi - arccos rho) / pi and k1(rho) = (sqrt(1 - rho^2) + rho (pi - arccos rho)) / pi
(Cho and Saul 2009), for each output coordinate alone, and gradient flow on half the mean of squares is kernel regression:
f_T(v) = K(v, X) (I - exp(-T K(X, X) / N)) K(X, X)^-1 Y for a network that starts at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import BenchError

LARGEST = 2048  # points whose kernel matrix is taken apart; its cost grows as the cube
LEAST = 1e-12  # eigenvalues below this share of the largest are rounding


def inputs(x: Tensor, t: Tensor) -> Tensor:
    """u = (x, t, 1), (batch, dimension + 2)."""
    return torch.cat([x, t[:, None].to(x.dtype), torch.ones(len(x), 1, dtype=x.dtype)], dim=1)


def kernel(u: Tensor, v: Tensor) -> Tensor:
    """K(u, v), (points of u, points of v)."""
    products, norms = u @ v.T, u.norm(dim=1)[:, None] * v.norm(dim=1)
    rho = (products / norms).clamp(-1, 1)
    angle = (math.pi - torch.arccos(rho)) / math.pi
    return norms * (torch.sqrt(1 - rho**2) / math.pi + rho * angle) + products * angle


class Regression:
    """Kernel regression by gradient flow on N points, taken apart into eigenvectors once so that every time is cheap.

    x (N, dimension), t (N,), y (N, dimension). BenchError beyond LARGEST points.
    """

    def __init__(self, x: Tensor, t: Tensor, y: Tensor) -> None:
        if len(x) > LARGEST:
            raise BenchError(
                f"{len(x)} noisy points: a kernel matrix is taken apart up to {LARGEST}; lower task.samples or task.draws"
            )
        self.u = inputs(x.double(), t)
        values, self.vectors = torch.linalg.eigh(kernel(self.u, self.u))
        self.values = values.clamp(min=0)
        self.kept = self.values > LEAST * self.values.max()
        self.targets = self.vectors.T @ y.double()

    def flow(self, time: float) -> Tensor:
        """alpha (N, dimension) with f(v) = K(v, X) alpha, at `time` of gradient flow."""
        return self._weights(-torch.expm1(-time * self.values / len(self.u)))

    def ridge(self, penalty: float) -> Tensor:
        """alpha = (K + penalty N I)^-1 Y, which minimises mean square plus penalty times the square of the function's norm."""
        return self._weights(self.values / (self.values + penalty * len(self.u)))

    def _weights(self, learned: Tensor) -> Tensor:
        """alpha from the share of each eigenvector's targets that has been learned, (N,)."""
        shares = torch.where(self.kept, learned / self.values.clamp(min=LEAST), 0)
        return self.vectors @ (shares[:, None] * self.targets)

    def denoiser(self, weights: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """The regression function with these alpha: (x, t) -> (batch, dimension), float64."""
        return lambda x, t: kernel(inputs(x.double(), t), self.u) @ weights

    def stopping_time(self, deviation: float, constant: float) -> float:
        """The first time T at which the local complexity of the kernel's ball exceeds 1/(constant x deviation x T).

        Raskutti, Wainwright and Yu 2014 (arXiv 1306.3574): the complexity at radius 1/sqrt(T) is
        sqrt(sum_i min(l_i, 1/T) / N), with l_i the eigenvalues of K/N; `deviation` is that of the labels' noise, and the paper's
        constant is 2e. Found by bisection; BenchError for a deviation or constant not above 0.
        """
        if not (deviation > 0 and constant > 0):
            raise BenchError(f"noise of deviation {deviation}, constant {constant}: both have to be above 0")
        spectrum = self.values / len(self.u)

        def excess(log_time: float) -> float:
            time = math.exp(log_time)
            complexity = math.sqrt(float(spectrum.clamp(max=1 / time).sum()) / len(self.u))
            return complexity - 1 / (constant * deviation * time)

        low, high = math.log(1e-8), math.log(1e8)
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (low, middle) if excess(middle) > 0 else (middle, high)
        return math.exp(low)


def linear_noise(x: Tensor, t: Tensor, samples: Tensor, y: Tensor) -> float:
    """Standard deviation of the labels around the best denoiser of the samples' own Gaussian fit, which knows nothing of others.

    An upper estimate of the labels' noise E Var(x_0|x_t), which nobody can see.
    """
    mean, spread = samples.mean(0), samples.var(0)
    a = torch.exp(-t)[:, None]
    guess = mean + a * spread / (a**2 * spread + 1 - a**2) * (x - a * mean)
    return float((y - guess).square().mean().sqrt())


def flow(
    *, samples: Tensor, x: Tensor, t: Tensor, y: Tensor, generator: torch.Generator, constant: float = 0.0,
    least: float = 1e-1, largest: float = 1e5, candidates: int = 31,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """Candidates (number, denoiser): kernel regression at times of the flow at equal ratios from `least` to `largest`.

    constant: if above 0, number 0 comes first, at the time of `Regression.stopping_time` with this constant.
    """
    x, y, samples = x.double(), y.double(), samples.double()
    found = Regression(x, t, y)
    if constant:
        yield 0, found.denoiser(found.flow(found.stopping_time(linear_noise(x, t, samples, y), constant)))
    for i in range(candidates):
        yield i + 1, found.denoiser(found.flow(least * (largest / least) ** (i / max(1, candidates - 1))))


def ridge(
    *, samples: Tensor, x: Tensor, t: Tensor, y: Tensor, generator: torch.Generator,
    least: float = 1e-5, largest: float = 10.0, candidates: int = 31,
) -> Iterator[tuple[int, Any]]:  # fmt: skip
    """Candidates (number, denoiser): kernel ridge regression at penalties of equal ratios, the strongest first."""
    found = Regression(x, t, y)
    for i in range(candidates):
        yield i, found.denoiser(found.ridge(largest * (least / largest) ** (i / max(1, candidates - 1))))


class Wide(nn.Module):
    """(x, t) -> (batch, dimension): a network of `width` hidden units in the kernel's scaling, minus its own first output.

    The subtraction makes it start at 0, as the kernel regression does. Weights are of unit variance: the sqrt(2/m) in front is
    what keeps them near their start, and a rate that does not depend on the width follows one flow.
    """

    first_hidden: Tensor
    first_readout: Tensor

    def __init__(self, dimension: int, width: int) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.randn(width, dimension + 2))
        self.readout = nn.Parameter(torch.randn(dimension, width))
        self.register_buffer("first_hidden", self.hidden.detach().clone())
        self.register_buffer("first_readout", self.readout.detach().clone())
        self.scale = math.sqrt(2 / width)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        u = inputs(x, t)
        now, first = torch.relu(u @ self.hidden.T), torch.relu(u @ self.first_hidden.T)
        return self.scale * (now @ self.readout.T - first @ self.first_readout.T)
