"""Functions of the second-order tasks: derivatives against differences and torch, bounds, shifted systems."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from baselines.curvatures import approximations
from bench.contract import BenchError
from tasks.second_order.functions import (
    Chebyshev,
    Function,
    Linear,
    LogSumExp,
    Rescaled,
    Rosenbrock,
)  # fmt: skip
from tasks.second_order.matrices import Diagonal, LowRank, Whole
from tests.minimisation import classifier, normal

FUNCTIONS: dict[str, Function] = {
    "logistic": classifier(2),
    "softmax": classifier(3),
    "log_sum_exp": LogSumExp(normal(6, 4), normal(6, seed=1), 0.7),
    "linear": Linear(normal(3, 4), normal(3, seed=1), 3.5),
    "rosenbrock": Rosenbrock(2.0),
    "rosenbrock_p": Rosenbrock(5.0),
    "chebyshev": Chebyshev(4, 4.0),
    "rescaled": Rescaled(LogSumExp(normal(6, 4), normal(6, seed=1), 0.7), normal(4, 4, seed=2)),
}


def differences(function: Function, x: Tensor) -> Tensor:
    """The Jacobian of the gradient, by central differences of step 1e-6."""
    columns = []
    for unit in torch.eye(len(x), dtype=x.dtype):
        up, down = (function.value_and_gradient(x + sign * 1e-6 * unit)[1] for sign in (1, -1))
        columns.append((up - down) / 2e-6)
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_and_hessians_are_derivatives(name):
    function = FUNCTIONS[name]
    x = 0.5 * normal(function.dimension, seed=3)
    gradient = function.value_and_gradient(x)[1]
    slopes = [
        (function.value_and_gradient(x + 1e-6 * unit)[0] - function.value_and_gradient(x - 1e-6 * unit)[0]) / 2e-6
        for unit in torch.eye(len(x), dtype=x.dtype)
    ]
    assert torch.allclose(gradient, torch.tensor(slopes, dtype=x.dtype), rtol=1e-5, atol=1e-6 * float(gradient.norm()))
    hessian = function.hessian(x).dense()
    assert torch.allclose(hessian, differences(function, x), rtol=1e-5, atol=1e-7 * float(hessian.norm()))


def system(x: Tensor, p: float) -> Tensor:
    """The chain of Chebyshev polynomials, in torch only."""
    u = torch.cat([(1 - x[:1]) / 2, x[1:] - (2 * x[:-1] ** 2 - 1)])
    return u.norm() ** p / p


def test_hessians_equal_torchs():
    x = 0.5 * normal(5, seed=3)
    ours = Chebyshev(5, 4.0).hessian(x).dense()
    assert torch.allclose(ours, torch.autograd.functional.hessian(lambda y: system(y, 4.0), x), rtol=1e-12, atol=1e-12)
    rows, offsets = normal(6, 4), normal(6, seed=1)
    y = normal(4, seed=2)
    ours = LogSumExp(rows, offsets, 0.7).hessian(y).dense()
    theirs = torch.autograd.functional.hessian(lambda z: 0.7 * ((rows @ z - offsets) / 0.7).logsumexp(0), y)
    assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_half_of_rosenbrocks_function():
    x = torch.tensor([-2.0, 2.0], dtype=torch.float64)
    value, gradient = Rosenbrock(2.0).value_and_gradient(x)
    assert value == pytest.approx(((1 + 2) ** 2 + 100 * (2 - 4) ** 2) / 2)
    assert gradient.tolist() == pytest.approx([-(1 + 2) - 200 * -2 * (2 - 4), 100 * (2 - 4)])


def test_a_coefficient_of_the_published_code_is_no_hessian():
    """Audit: the bending of the equations with the factor p |u|^-2 |u|^(p-2) (docs/audits.md)."""
    p, x = 4.0, 0.5 * normal(5, seed=3)
    chain = Chebyshev(5, p)
    u = chain.residuals(x)
    size, bending = float(u.norm()), chain.bending(x, u)
    published = chain.gauss_newton(x).dense() + p / size**2 * size ** (p - 2) * bending
    truth = torch.autograd.functional.hessian(lambda y: system(y, p), x)
    assert torch.allclose(chain.hessian(x).dense(), truth)
    assert float((published - truth).norm() / truth.norm()) > 0.1


def test_approximations_are_what_they_are_called():
    x = normal(4, seed=4)
    logistic, function = FUNCTIONS["logistic"], FUNCTIONS["log_sum_exp"]
    residuals = (logistic.inputs @ x).sigmoid() - logistic.targets[:, 0]
    empirical = (logistic.inputs.T * residuals**2) @ logistic.inputs / 30 + 0.01 * torch.eye(4)
    assert torch.allclose(approximations.fisher(function=logistic, x=x).dense(), empirical)
    gradient = function.value_and_gradient(x)[1]
    weighted = approximations.gauss_newton(function=function, x=x).dense()
    assert torch.allclose(weighted, function.hessian(x).dense() + torch.outer(gradient, gradient) / 0.7)
    chain = FUNCTIONS["chebyshev"]
    gradient, size = chain.value_and_gradient(x)[1], float(chain.residuals(x).norm())
    rank_one = 2 / size**4 * torch.outer(gradient, gradient)
    assert torch.allclose(approximations.fisher(function=chain, x=x).dense(), rank_one)
    whole = size**2 * chain.jacobian(x).T @ chain.jacobian(x) + rank_one
    assert torch.allclose(approximations.gauss_newton(function=chain, x=x).dense(), whole)
    assert (approximations.diagonal(function=chain, x=x).entries >= 0).all()
    assert not approximations.zero(function=chain, x=x).entries.any()


@pytest.mark.parametrize("name", ["logistic", "softmax", "log_sum_exp", "rescaled"])
def test_bounds_are_above_every_hessian(name):
    function = FUNCTIONS[name]
    for seed in range(20):
        gap = function.bound().dense() - function.hessian(3 * normal(function.dimension, seed=seed)).dense()
        assert float(torch.linalg.eigvalsh((gap + gap.T) / 2)[0]) > -1e-12


def test_what_a_function_lacks_is_said():
    with pytest.raises(BenchError, match="Rosenbrock has no constant upper bound.*another `curvature`"):
        approximations.bound(function=Rosenbrock(2.0), x=normal(2))
    with pytest.raises(BenchError, match="LogSumExp has no Fisher"):
        approximations.fisher(function=FUNCTIONS["log_sum_exp"], x=normal(4))
    with pytest.raises(BenchError, match="Softmax has no Gauss-Newton"):
        approximations.gauss_newton(function=classifier(2), x=normal(4))


def test_shifted_systems():
    right, factor = normal(5), normal(5, 1, seed=1)
    for matrix in (Whole(factor @ factor.T), LowRank(factor), Diagonal(factor[:, 0] ** 2)):
        solution = matrix.solve(0.3, right)
        assert torch.allclose(matrix.dense() @ solution + 0.3 * solution, right, atol=1e-12)
    assert LowRank(factor).solve(0.0, right) is None, "a singular matrix has no inverse"
    assert Whole(torch.diag(torch.tensor([1.0, -1.0]).double())).solve(0.5, normal(2)) is None
    assert Diagonal(torch.tensor([1.0, -1.0]).double()).solve(0.5, normal(2)) is None
