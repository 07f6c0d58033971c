"""The functions to be minimised, in float64: values, gradients, Hessians, and the approximations that their structure offers.

An approximation that a function does not have is a BenchError that says so. Source of the approximations: the paper's section on
applications (arXiv 2506.13710). All Hessians are tested against automatic differentiation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from bench.contract import BenchError
from tasks.second_order.matrices import Diagonal, LowRank, Matrix, Whole

JITTER = 1e-8  # added to A'A, which is singular where there are more unknowns than rows


class Function(ABC):
    """A function of x (d,), twice differentiable."""

    dimension: int

    @abstractmethod
    def value_and_gradient(self, x: Tensor) -> tuple[float, Tensor]:
        """(f(x), its gradient (d,))."""

    @abstractmethod
    def hessian(self, x: Tensor) -> Matrix:
        """The second derivatives."""

    def diagonal(self, x: Tensor) -> Matrix:
        """The diagonal of the Hessian, negative entries replaced by 0."""
        return Diagonal(self.hessian(x).dense().diagonal().clamp(min=0))

    def nothing(self, x: Tensor) -> Matrix:
        """The matrix 0."""
        return Diagonal(torch.zeros_like(x))

    def gauss_newton(self, x: Tensor) -> Matrix:
        """Positive semidefinite: the Hessian without the part that its structure lets one drop."""
        raise self._lacks("Gauss-Newton matrix of its own")

    def fisher(self, x: Tensor) -> Matrix:
        """Positive semidefinite, made of first derivatives only."""
        raise self._lacks("Fisher matrix")

    def bound(self) -> Matrix:
        """A matrix that is at least the Hessian everywhere."""
        raise self._lacks("constant upper bound on its Hessian")

    def metric(self) -> Tensor:
        """The matrix B (d, d) in whose norm |v|^2 = v'Bv the paper measures."""
        return torch.eye(self.dimension, dtype=torch.float64)

    def _lacks(self, what: str) -> BenchError:
        return BenchError(f"{type(self).__name__} has no {what}; choose another `curvature`")


class Rescaled(Function):
    """y -> f(T y): a method in Euclidean norm on it is that method in the norm of B = (T T')^-1 on f."""

    def __init__(self, function: Function, transform: Tensor) -> None:
        self.function, self.transform, self.dimension = function, transform, function.dimension

    def value_and_gradient(self, x: Tensor) -> tuple[float, Tensor]:
        value, gradient = self.function.value_and_gradient(self.transform @ x)
        return value, self.transform.T @ gradient

    def hessian(self, x: Tensor) -> Matrix:
        return self._seen(self.function.hessian(self.transform @ x))

    def gauss_newton(self, x: Tensor) -> Matrix:
        return self._seen(self.function.gauss_newton(self.transform @ x))

    def fisher(self, x: Tensor) -> Matrix:
        return self._seen(self.function.fisher(self.transform @ x))

    def bound(self) -> Matrix:
        return self._seen(self.function.bound())

    def _seen(self, matrix: Matrix) -> Matrix:
        if isinstance(matrix, LowRank):
            return LowRank(self.transform.T @ matrix.factor)
        return Whole(self.transform.T @ matrix.dense() @ self.transform)


class Softmax(Function):
    """Mean cross entropy of a linear classifier plus l2/2 |x|^2; inputs (n, k) and labels (n,) in 0 .. classes - 1.

    x holds k weights for each class, or, with two classes, k weights of the log-odds of class 1 (logistic regression).
    """

    def __init__(self, inputs: Tensor, labels: Tensor, classes: int, l2: float) -> None:
        self.inputs, self.l2, self.free = inputs, l2, classes if classes > 2 else 1
        self.dimension = inputs.shape[1] * self.free
        self.targets = torch.nn.functional.one_hot(labels, classes).to(inputs.dtype)[:, -self.free :]

    def _logits(self, x: Tensor) -> Tensor:
        return self.inputs @ x.reshape(self.free, -1).T

    def _residuals(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(probabilities, probabilities - targets), (n, free)."""
        logits = self._logits(x)
        chances = logits.sigmoid() if self.free == 1 else logits.softmax(dim=1)
        return chances, chances - self.targets

    def value_and_gradient(self, x: Tensor) -> tuple[float, Tensor]:
        logits = self._logits(x)
        if self.free == 1:
            losses = torch.nn.functional.softplus(logits) - self.targets * logits
        else:
            losses = logits.logsumexp(dim=1) - (self.targets * logits).sum(dim=1)
        _, residuals = self._residuals(x)
        gradient = (residuals.T @ self.inputs).reshape(-1) / len(self.inputs) + self.l2 * x
        return float(losses.mean() + self.l2 / 2 * x.square().sum()), gradient

    def hessian(self, x: Tensor) -> Matrix:
        chances, _ = self._residuals(x)
        rows = []
        for one in range(self.free):
            weights = chances[:, one, None] * ((torch.arange(self.free) == one).to(chances.dtype) - chances)
            rows.append([self._gram(weights[:, other]) for other in range(self.free)])
        return self._regular(torch.cat([torch.cat(row, dim=1) for row in rows]))

    def fisher(self, x: Tensor) -> Matrix:
        """The empirical Fisher matrix: mean square of the samples' gradients, plus l2 I."""
        _, residuals = self._residuals(x)
        gradients = (residuals[:, :, None] * self.inputs[:, None, :]).reshape(len(self.inputs), -1)
        return self._regular(gradients.T @ gradients / len(gradients))

    def bound(self) -> Matrix:
        """X'X / 4n for two classes; (I - 11'/K)/2 in its place for K (Boehning 1992); plus l2 I."""
        each = torch.full((1, 1), 0.25, dtype=self.inputs.dtype)
        if self.free > 1:
            each = (torch.eye(self.free, dtype=self.inputs.dtype) - 1 / self.free) / 2
        return self._regular(torch.kron(each, self._gram(torch.ones(len(self.inputs), dtype=self.inputs.dtype))))

    def _gram(self, weights: Tensor) -> Tensor:
        return self.inputs.T @ (weights[:, None] * self.inputs) / len(self.inputs)

    def _regular(self, matrix: Tensor) -> Whole:
        return Whole(matrix + self.l2 * torch.eye(self.dimension, dtype=matrix.dtype))


class LogSumExp(Function):
    """mu log sum_i exp((a_i . x - b_i) / mu), rows a_i (n, d), b (n,)."""

    def __init__(self, rows: Tensor, offsets: Tensor, mu: float) -> None:
        self.rows, self.offsets, self.mu, self.dimension = rows, offsets, mu, rows.shape[1]

    def _scaled(self, x: Tensor) -> Tensor:
        return (self.rows @ x - self.offsets) / self.mu

    def value_and_gradient(self, x: Tensor) -> tuple[float, Tensor]:
        scaled = self._scaled(x)
        return float(self.mu * scaled.logsumexp(dim=0)), self.rows.T @ scaled.softmax(dim=0)

    def hessian(self, x: Tensor) -> Matrix:
        mean = self.rows.T @ self._scaled(x).softmax(dim=0)
        return Whole(self.gauss_newton(x).dense() - torch.outer(mean, mean) / self.mu)

    def gauss_newton(self, x: Tensor) -> Matrix:
        """A' diag(softmax) A / mu: the Hessian and g g' / mu."""
        weights = self._scaled(x).softmax(dim=0)
        return Whole(self.rows.T @ (weights[:, None] * self.rows) / self.mu)

    def bound(self) -> Matrix:
        """A'A / mu, since the weights are at most 1."""
        return Whole(self.rows.T @ self.rows / self.mu)

    def metric(self) -> Tensor:
        return self.rows.T @ self.rows + JITTER * torch.eye(self.dimension, dtype=self.rows.dtype)


class Equations(Function):
    """|u(x)|^p / p, p >= 2, for a system u = 0 of m equations with Jacobian J (m, d)."""

    def __init__(self, dimension: int, p: float) -> None:
        self.dimension, self.p = dimension, p

    @abstractmethod
    def residuals(self, x: Tensor) -> Tensor:
        """u(x), (m,)."""

    @abstractmethod
    def jacobian(self, x: Tensor) -> Tensor:
        """J(x), (m, d)."""

    @abstractmethod
    def bending(self, x: Tensor, weights: Tensor) -> Tensor:
        """sum_i weights_i times the Hessian of u_i, (d, d)."""

    def value_and_gradient(self, x: Tensor) -> tuple[float, Tensor]:
        u = self.residuals(x)
        size = float(u.norm())
        return size**self.p / self.p, self._power(size, 2) * (self.jacobian(x).T @ u)

    def hessian(self, x: Tensor) -> Matrix:
        u = self.residuals(x)
        bent = self._power(float(u.norm()), 2) * self.bending(x, u)
        return Whole(self.gauss_newton(x).dense() + bent)

    def gauss_newton(self, x: Tensor) -> Matrix:
        """|u|^(p-2) J'J and the Fisher matrix: all but the curvature of the equations themselves."""
        jacobian, size = self.jacobian(x), float(self.residuals(x).norm())
        return Whole(self._power(size, 2) * jacobian.T @ jacobian + self.fisher(x).dense())

    def fisher(self, x: Tensor) -> Matrix:
        """(p - 2) |u|^-p g g', of rank one; it is (p - 2) |u|^(p-4) (J'u)(J'u)'."""
        u = self.residuals(x)
        factor = math.sqrt((self.p - 2) * self._power(float(u.norm()), 2)) * (
            self.jacobian(x).T @ torch.nn.functional.normalize(u, dim=0)
        )
        return LowRank(factor[:, None])

    def _power(self, size: float, less: int) -> float:
        """size^(p - less), 1 where both are 0."""
        return size ** (self.p - less)


class Linear(Equations):
    """u = A x - b, A (m, d)."""

    def __init__(self, rows: Tensor, offsets: Tensor, p: float) -> None:
        super().__init__(rows.shape[1], p)
        self.rows, self.offsets = rows, offsets

    def residuals(self, x: Tensor) -> Tensor:
        return self.rows @ x - self.offsets

    def jacobian(self, x: Tensor) -> Tensor:
        return self.rows

    def bending(self, x: Tensor, weights: Tensor) -> Tensor:
        return torch.zeros(self.dimension, self.dimension, dtype=x.dtype)

    def metric(self) -> Tensor:
        return self.rows.T @ self.rows + JITTER * torch.eye(self.dimension, dtype=self.rows.dtype)


class Rosenbrock(Equations):
    """u = (1 - x_1, 10 (x_2 - x_1^2)): for p = 2 half of Rosenbrock's function."""

    def __init__(self, p: float) -> None:
        super().__init__(2, p)

    def residuals(self, x: Tensor) -> Tensor:
        return torch.stack([1 - x[0], 10 * (x[1] - x[0] ** 2)])

    def jacobian(self, x: Tensor) -> Tensor:
        return torch.tensor([[-1.0, 0.0], [-20 * float(x[0]), 10.0]], dtype=x.dtype)

    def bending(self, x: Tensor, weights: Tensor) -> Tensor:
        return torch.diag(torch.stack([-20 * weights[1], 0 * weights[1]]))


class Chebyshev(Equations):
    """u_1 = (1 - x_1)/2, u_i = x_i - (2 x_{i-1}^2 - 1): the only root is x = 1."""

    def residuals(self, x: Tensor) -> Tensor:
        return torch.cat([(1 - x[:1]) / 2, x[1:] - (2 * x[:-1] ** 2 - 1)])

    def jacobian(self, x: Tensor) -> Tensor:
        first = torch.ones_like(x)
        first[0] = -0.5
        return torch.diag(first) - torch.diag(4 * x[:-1], diagonal=-1)

    def bending(self, x: Tensor, weights: Tensor) -> Tensor:
        return torch.diag(torch.cat([-4 * weights[1:], torch.zeros_like(x[:1])]))
