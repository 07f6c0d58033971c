"""Second-order methods against closed forms, and their bad input."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from baselines.curvatures import approximations
from baselines.minimizers.first_order import fast_gradient
from baselines.minimizers.from_scipy import lbfgs, trust_region
from baselines.minimizers.second_order import cubic_newton, cubic_step, gns_newton, super_newton
from bench.contract import BenchError, Diverged
from tasks.second_order import lines
from tasks.second_order.functions import (
    Linear,
    LogSumExp,
    Rosenbrock,
)  # fmt: skip
from tasks.second_order.logistic import minimise
from tasks.second_order.matrices import Diagonal, exact
from tasks.second_order.oracle import Oracle, descend, rescaled
from tests.minimisation import METHODS, Count, Quadratic, classifier, normal, path_of


def test_without_curvature_a_step_is_gamma_along_the_gradient():
    points, counts = path_of(gns_newton, classifier(2), normal(4), 1, approximations.zero, gamma=1e-3)
    gradient = classifier(2).value_and_gradient(points[0])[1]
    assert torch.allclose(points[1], points[0] - 1e-3 * gradient / gradient.norm(), rtol=1e-12)
    assert "solves" not in counts, "a diagonal system is none"


def test_with_a_large_gamma_a_step_is_newtons_and_a_quadratic_takes_one():
    root = normal(5, 5)
    points, counts = path_of(gns_newton, Quadratic(root @ root.T + torch.eye(5)), normal(5, seed=1), 1, gamma=1e12)
    assert float(points[1].norm()) < 1e-9 and counts["gradients"] == 2 and counts["solves"] == 1


def test_no_step_of_a_convex_function_is_longer_than_gamma():
    for gamma in (1e-3, 1e-1, 10.0):
        points, _ = path_of(gns_newton, classifier(3), normal(12), 1, gamma=gamma)
        assert float((points[1] - points[0]).norm()) <= gamma


@pytest.mark.parametrize("p", [3.0, 4.0, 6.0])
def test_newtons_rate_on_a_power_is_the_closed_form(p):
    """In the metric A'A a Newton step takes the distance r to r (p - 2)/(p - 1), and a step with the Fisher matrix of rank one
    to r (p - 3)/(p - 2)."""
    rows = normal(3, 4)
    function, transform = rescaled(Linear(rows, normal(3, seed=1), p), "own")
    start = torch.linalg.solve(transform, normal(4, seed=2))
    before, gradient = function.value_and_gradient(start)
    for curvature, factor in ((exact, (p - 2) / (p - 1)), (approximations.fisher, (p - 3) / (p - 2))):
        step = curvature(function=function, x=start).solve(1e-6, -gradient)
        assert function.value_and_gradient(start + step)[0] / before == pytest.approx(factor**p, rel=1e-4, abs=1e-12)
    assert lines.newton_rate(p) == pytest.approx(-p * math.log10((p - 2) / (p - 1)))
    if p > 3:
        assert lines.fisher_rate(p) == pytest.approx(-p * math.log10((p - 3) / (p - 2)))


def test_rescaling_is_the_metric_of_the_paper():
    """A step in rescaled coordinates is -(H + |g|_* / gamma B)^-1 g with |g|_*^2 = g'B^-1 g."""
    function = LogSumExp(normal(6, 4), normal(6, seed=1), 0.7)
    seen, transform = rescaled(function, "own")
    x = normal(4, seed=2)
    points, _ = path_of(gns_newton, seen, torch.linalg.solve(transform, x), 1, gamma=0.01)
    gradient, metric = function.value_and_gradient(x)[1], function.metric()
    size = float(gradient @ torch.linalg.solve(metric, gradient)) ** 0.5
    step = -torch.linalg.solve(function.hessian(x).dense() + size / 0.01 * metric, gradient)
    assert torch.allclose(transform @ points[1], x + step, rtol=1e-7)


def test_the_cubic_step_is_the_minimum_of_its_model():
    for seed in range(20):
        values, slopes = normal(4, seed=seed).sort().values, normal(4, seed=100 + seed)
        step = cubic_step(values, slopes, 2.0)

        def model(d: Tensor, values: Tensor = values, slopes: Tensor = slopes) -> float:
            return float(slopes @ d + (values * d**2).sum() / 2 + 2.0 * d.norm() ** 3 / 6)

        gradient = slopes + (values + step.norm()) * step
        assert float(gradient.norm()) < 1e-8
        assert all(model(step) <= model(step + normal(4, seed=other)) for other in range(50))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_every_method_minimises_and_counts(method):
    function = classifier(2, l2=0.1)
    best, minimum = minimise(function, torch.zeros(4, dtype=torch.float64))
    points, counts = path_of(method, function, torch.zeros(4, dtype=torch.float64), 200)
    assert function.value_and_gradient(points[-1])[0] - minimum < 1e-9
    assert float((points[-1] - best).norm()) < 1e-3
    assert counts["gradients"] >= len(points) - 1
    assert ("hessians" in counts) == (method in (gns_newton, super_newton, cubic_newton, trust_region))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__name__)
def test_a_start_at_the_minimum_is_no_error(method):
    points, _ = path_of(method, Quadratic(torch.eye(3).double()), torch.zeros(3, dtype=torch.float64), 3)
    assert all(not point.any() for point in points)


@pytest.mark.parametrize("method", [gns_newton, super_newton, cubic_newton, trust_region])
def test_a_singular_hessian_is_no_obstacle(method):
    matrix = torch.diag(torch.tensor([1.0, 0.0, 2.0]).double())
    points, _ = path_of(method, Quadratic(matrix), torch.ones(3).double(), 50)
    assert Quadratic(matrix).value_and_gradient(points[-1])[0] < 1e-10
    if method is not trust_region:  # which goes to the edge of its region along a direction that costs nothing
        assert float(points[-1][1]) == pytest.approx(1.0), "nothing moves where the function is constant"


def test_an_indefinite_hessian_halves_gamma():
    """Audit: the published search leaves its loop at a failed factorisation and uses the step before it; at the first step there
    is none (docs/audits.md)."""
    start = torch.tensor([0.0, 1.0]).double()  # the Hessian is diag(1 - 200, 100) there
    assert Rosenbrock(2.0).hessian(start).solve(0.0, start) is None
    points, counts = path_of(gns_newton, Rosenbrock(2.0), start, 200, gamma=1e6)
    assert counts["solves"] > counts["gradients"] - 1, "a failed factorisation is counted, and is no evaluation"
    assert Rosenbrock(2.0).value_and_gradient(points[-1])[0] < 1e-10


def test_cubic_newton_leaves_a_point_where_the_hessian_is_indefinite():
    """Audit: the published cubic step is 0 where H + M r/2 is not positive definite at r = 1, and a step of 0 passes its test."""
    start, function = torch.tensor([0.0, 1.0]).double(), Rosenbrock(2.0)
    assert function.hessian(start).solve(0.5, start) is None, "M = 1, r = 1"
    points, _ = path_of(cubic_newton, function, start, 50, lipschitz=1.0)
    assert len({tuple(point.tolist()) for point in points}) == len(points), "no point is met twice"
    assert function.value_and_gradient(points[-1])[0] < 1e-10


def test_a_step_that_failed_the_test_is_never_taken():
    """Audit: after 40 rejections the published search takes the rejected step."""

    class Noisy(Quadratic):
        def value_and_gradient(self, x: Tensor) -> tuple[float, Tensor]:
            return 1.0, self.matrix @ x  # a value that never falls

    points, counts = path_of(gns_newton, Noisy(torch.eye(2).double()), torch.ones(2).double(), 5)
    assert len(points) == 1 and counts["gradients"] == 41


def test_the_published_stopping_tolerance_is_also_added_to_gamma():
    """Audit: lambda = |g| / (gamma + eps), eps the tolerance on f; with eps = 1 a step of gamma = 0.01 is 101 times as long."""
    gradient = normal(4)
    ours, published = (gradient / (gradient.norm() / (0.01 + eps)) for eps in (0.0, 1.0))
    assert float(published.norm() / ours.norm()) == pytest.approx(101)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (gns_newton, {"gamma": 0.0}), (gns_newton, {"gamma": math.nan}), (super_newton, {"scale": -1.0}),
        (cubic_newton, {"lipschitz": 0.0}), (trust_region, {"radius": 0.0}), (lbfgs, {"memory": 0}),
        (descend, {"smoothness": 0.0}), (fast_gradient, {"smoothness": -1.0}),
    ],
)  # fmt: skip
def test_arguments_have_to_be_positive(method, options):
    with pytest.raises(BenchError, match=f"method.{next(iter(options))}="):
        path_of(method, classifier(2), torch.zeros(4).double(), 1, **options)


def test_the_oracle_refuses_what_is_no_matrix():
    oracle = Oracle(classifier(2), lambda *, function, x: Diagonal(torch.full((4,), math.nan)), Count())
    with pytest.raises(Diverged, match="not finite"):
        oracle.hessian(normal(4))
    with pytest.raises(BenchError, match="for 4 unknowns"):
        Oracle(classifier(2), lambda *, function, x: Diagonal(torch.ones(3)), Count()).hessian(normal(4))
    value, gradient = oracle(torch.full((4,), 1e200, dtype=torch.float64))
    assert value == math.inf and gradient.isnan().all()
    assert Oracle(Rosenbrock(5.0), exact, Count())(torch.full((2,), 1e100, dtype=torch.float64))[0] == math.inf
