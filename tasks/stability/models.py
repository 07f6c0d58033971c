"""The three models, as functions of one flat vector of parameters in float64, with their Jacobians in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from bench.seeds import Stream

DTYPE = torch.float64  # in float32 a loss of 1e-14 cannot be told from rounding
Normal = Callable[[int], Tensor]  # a number -> as many standard normal values


class Model(Protocol):
    """outputs: (parameters,), (n, inputs) -> (n,). jacobian: -> (n, parameters). norm: what the trace bounds."""

    def start(self, normal: Normal) -> Tensor: ...
    def outputs(self, theta: Tensor, x: Tensor) -> Tensor: ...
    def jacobian(self, theta: Tensor, x: Tensor) -> Tensor: ...
    def norm(self, theta: Tensor) -> float: ...


@dataclass(frozen=True)
class Linear:
    """f(x) = theta . x."""

    inputs: int

    def start(self, normal: Normal) -> Tensor:
        """Normal, of expected squared length 1."""
        return normal(self.inputs) / math.sqrt(self.inputs)

    def outputs(self, theta: Tensor, x: Tensor) -> Tensor:
        return x @ theta

    def jacobian(self, theta: Tensor, x: Tensor) -> Tensor:
        return x

    def norm(self, theta: Tensor) -> float:
        """Euclidean."""
        return float(theta.norm())


@dataclass(frozen=True)
class Relu2:
    """f(x) = sum_k a_k ReLU(w_k . x), both layers trained; parameters are all w, then all a."""

    inputs: int
    width: int

    def start(self, normal: Normal) -> Tensor:
        """w ~ N(0, 1/inputs), a ~ N(0, 1/width)."""
        w = normal(self.width * self.inputs) / math.sqrt(self.inputs)
        a = normal(self.width) / math.sqrt(self.width)
        return torch.cat([w, a])

    def layers(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """(w, a) of shapes (width, inputs) and (width,)."""
        return theta[: -self.width].view(self.width, self.inputs), theta[-self.width :]

    def outputs(self, theta: Tensor, x: Tensor) -> Tensor:
        w, a = self.layers(theta)
        return (x @ w.T).clamp(min=0) @ a

    def jacobian(self, theta: Tensor, x: Tensor) -> Tensor:
        w, a = self.layers(theta)
        hidden = (x @ w.T).clamp(min=0)
        slope = (hidden > 0) * a
        return torch.cat([(slope[:, :, None] * x[:, None, :]).flatten(1), hidden], dim=1)

    def norm(self, theta: Tensor) -> float:
        """The path norm, sum_k |a_k| |w_k|."""
        w, a = self.layers(theta)
        return float(a.abs() @ w.norm(dim=1))


@dataclass(frozen=True)
class Diagonal:
    """f(x) = <u*u - v*v, x>, a diagonal linear network; parameters are u, then v. scale: of every one of them at the start."""

    inputs: int
    scale: float

    def start(self, normal: Normal) -> Tensor:
        """u = v = scale, so that the function starts at 0; nothing is drawn."""
        return torch.full((2 * self.inputs,), self.scale, dtype=DTYPE)

    def weights(self, theta: Tensor) -> Tensor:
        """u*u - v*v, (inputs,)."""
        u, v = theta.view(2, -1)
        return u * u - v * v

    def outputs(self, theta: Tensor, x: Tensor) -> Tensor:
        return x @ self.weights(theta)

    def jacobian(self, theta: Tensor, x: Tensor) -> Tensor:
        u, v = theta.view(2, -1)
        return torch.cat([2 * u * x, -2 * v * x], dim=1)

    def norm(self, theta: Tensor) -> float:
        """|u|^2 + |v|^2, at least the l1 norm of u*u - v*v."""
        return float(theta.square().sum())


def loss(model: Model, theta: Tensor, x: Tensor, y: Tensor) -> float:
    """Half the mean squared error."""
    return 0.5 * float((model.outputs(theta, x) - y).square().mean())


@dataclass(frozen=True)
class Gradient:
    """The gradient of half the mean squared error, which a stepper calls."""

    model: Model
    x: Tensor
    y: Tensor

    def __call__(self, theta: Tensor, chosen: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """chosen: (batch,) indices of samples, all of them if None. noise: (batch,), added to the targets."""
        x, y = (self.x, self.y) if chosen is None else (self.x[chosen], self.y[chosen])
        residual = self.model.outputs(theta, x) - y
        if noise is not None:
            residual = residual - noise
        return residual @ self.model.jacobian(theta, x) / len(x)


def curvature(model: Model, theta: Tensor, x: Tensor) -> dict[str, float]:
    """A probe: trace and largest eigenvalue of the Gauss-Newton matrix, and the model's norm."""
    from tasks.stability.threshold import spectrum

    jacobian = model.jacobian(theta, x)
    if not bool(jacobian.isfinite().all()):
        return {}
    trace, sharpness = spectrum(jacobian @ jacobian.T)
    return {"trace_now": trace, "sharpness_now": sharpness, "norm_now": model.norm(theta)}


def sphere(count: int, inputs: int, radius: float, stream: Stream) -> Tensor:
    """(count, inputs): uniform on the sphere of `radius`."""
    x = stream.normal(count, inputs, dtype=DTYPE)
    return radius * x / x.norm(dim=1, keepdim=True)
