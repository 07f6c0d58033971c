"""Second-order methods: functions against automatic differentiation, methods against closed forms, tasks, bad input."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.curvatures import approximations
from baselines.minimizers.first_order import fast_gradient
from baselines.minimizers.from_scipy import lbfgs, trust_region
from baselines.minimizers.second_order import cubic_newton, cubic_step, gns_newton, super_newton
from bench.contract import BenchError, Diverged, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds, Stream
from tasks.second_order import claims, lines
from tasks.second_order.base import line, mean_digits
from tasks.second_order.functions import (
    Chebyshev,
    Equations,
    Function,
    Linear,
    LogSumExp,
    Rescaled,
    Rosenbrock,
    Softmax,
)  # fmt: skip
from tasks.second_order.logistic import minimise
from tasks.second_order.matrices import Diagonal, LowRank, Whole, exact
from tasks.second_order.oracle import Oracle, descend, rescaled
from tests.test_claims import record

METHODS = (gns_newton, super_newton, cubic_newton, trust_region, lbfgs, descend, fast_gradient)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classifier(classes: int, rows: int = 30, inputs: int = 4, l2: float = 0.01) -> Softmax:
    labels = torch.arange(rows) % classes
    return Softmax(normal(rows, inputs), labels, classes, l2)


class Quadratic(Function):
    """x'Hx/2."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix, self.dimension = matrix, len(matrix)

    def value_and_gradient(self, x: Tensor) -> tuple[float, Tensor]:
        return float(x @ self.matrix @ x / 2), self.matrix @ x

    def hessian(self, x: Tensor) -> Whole:
        return Whole(self.matrix)


class Count:
    """A log that only counts."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, **amounts: int) -> None:
        for name, amount in amounts.items():
            self.counts[name] = self.counts.get(name, 0) + amount


def path_of(method: Any, function: Function, start: Tensor, steps: int, curvature: Any = exact, **options: Any) -> Any:
    """(points from the start on, the counts) of at most `steps` steps."""
    log, points = Count(), [start]

    def visit(x: Tensor) -> None:
        points.append(x.clone())
        if len(points) > steps:
            raise StopIteration

    try:
        method(start=start.clone(), oracle=Oracle(function, curvature, log), visit=visit, **options)
    except StopIteration:
        pass
    return points, log.counts


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


# --- methods against closed forms


def test_without_curvature_a_step_is_gamma_along_the_gradient():
    points, counts = path_of(gns_newton, FUNCTIONS["logistic"], normal(4), 1, approximations.zero, gamma=1e-3)
    gradient = FUNCTIONS["logistic"].value_and_gradient(points[0])[1]
    assert torch.allclose(points[1], points[0] - 1e-3 * gradient / gradient.norm(), rtol=1e-12)
    assert "solves" not in counts, "a diagonal system is none"


def test_with_a_large_gamma_a_step_is_newtons_and_a_quadratic_takes_one():
    root = normal(5, 5)
    points, counts = path_of(gns_newton, Quadratic(root @ root.T + torch.eye(5)), normal(5, seed=1), 1, gamma=1e12)
    assert float(points[1].norm()) < 1e-9 and counts["gradients"] == 2 and counts["solves"] == 1


def test_no_step_of_a_convex_function_is_longer_than_gamma():
    for gamma in (1e-3, 1e-1, 10.0):
        points, _ = path_of(gns_newton, FUNCTIONS["softmax"], normal(12), 1, gamma=gamma)
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


# --- tasks


def run(task: str, entry: str, seed: int = 0, preset: str = "smoke", **params: Any) -> Any:
    spec = config.task_spec(f"second_order/{task}")
    given = config.parameters(spec, preset, params)
    return call(Job(spec.target, given, config.resolve_parts(spec, config.entry(entry), {}), seed, ""))


def test_the_minimum_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    spec = config.task_spec("second_order/logistic")
    task = spec.cls(spec.cls.Params(rows=200))
    from bench.data import cache_dir

    problem = task.problem(task.prepare(cache_dir(), 0), Seeds(100, task.name))
    public = problem.public
    fitted = LogisticRegression(
        C=1 / (task.params.l2 * 200), solver="newton-cholesky", fit_intercept=False, tol=1e-12, max_iter=200
    ).fit(public["inputs"].numpy(), public["labels"].numpy())
    theirs = torch.from_numpy(fitted.coef_[0])
    value, gradient = task.function(public).value_and_gradient(theirs)
    assert value == pytest.approx(problem.hidden["minimum"], abs=1e-13)
    assert problem.origin == "official" and float((theirs - problem.hidden["minimiser"]).norm()) < 1e-5
    assert float(gradient.norm()) < 1e-7


def test_digits_are_softmax_regression_of_ten_classes():
    outcome = run("logistic", "gns_newton", data="digits", rows=60, gradients=12)
    assert outcome.status == "ok" and outcome.costs.counts["parameters"] == 650 and outcome.metrics["digits"] > 3


def test_minima_are_where_they_are_said_to_be():
    for name in ("log_sum_exp", "p_norm", "rosenbrock", "chebyshev"):
        spec = config.task_spec(f"second_order/{name}")
        task = spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", {})))
        problem = task.problem(None, Seeds(100, task.name))
        value, gradient = task.function(problem.public).value_and_gradient(problem.hidden["minimiser"])
        assert value == pytest.approx(problem.hidden["minimum"], abs=1e-12) and float(gradient.norm()) < 1e-9
        assert task.function(problem.public).value_and_gradient(problem.public["start"])[0] > value + 1e-3


def test_a_run_is_scored_by_what_it_spent():
    outcome = run("log_sum_exp", "gns_newton", gradients=100)
    metrics, counts = outcome.metrics, outcome.costs.counts
    assert metrics["gradients_to_8"] == counts["gradients"] and not outcome.censored
    assert metrics["solves_to_8"] == counts["solves"] and metrics["steps_to_8"] == counts["steps"]
    assert metrics["gradients_to_2"] <= metrics["gradients_to_4"] <= metrics["gradients_to_8"]
    assert metrics["rise"] < 0 and metrics["digits"] >= 8
    assert {name: one.kind for name, one in outcome.exhibits.items()} == {"path": "points", "answer": "series"}


def test_a_spent_budget_is_censored_and_scored():
    outcome = run("rosenbrock", "gd_line_search")
    assert outcome.status == "ok" and outcome.metrics["gradients_to_8"] == 40 == outcome.costs.counts["gradients"]
    assert "gradients_to_8" in outcome.censored and "steps_to_8" not in outcome.metrics
    assert "solves_to_8" not in run("log_sum_exp", "trust_region", gradients=100).metrics


def test_a_rejected_step_of_a_library_is_no_point():
    outcome = run("rosenbrock", "trust_region", gradients=100)
    assert outcome.metrics["rise"] < 0 and outcome.costs.counts["steps"] < outcome.costs.counts["gradients"] - 1


def test_an_approximation_that_a_task_lacks_is_named():
    outcome = run("rosenbrock", "gns_bound")
    assert outcome.status == "failed" and "no constant upper bound" in outcome.reason


@pytest.mark.parametrize(
    ("task", "params", "said"),
    [
        ("logistic", {"data": "iris"}, "there are breast_cancer, digits"), ("logistic", {"rows": 600}, "has 569 samples"),
        ("logistic", {"l2": 0.0}, "above 0"), ("p_norm", {"p": 1.5}, "at least 2"), ("rosenbrock", {"p": 1.0}, "at least 2"),
        ("chebyshev", {"p": 1.9}, "at least 2"), ("p_norm", {"equations": 9, "unknowns": 3}, "no solution"),
        ("log_sum_exp", {"mu": 0.0}, "above 0"), ("log_sum_exp", {"metric": "best"}, "own or identity"),
        ("rosenbrock", {"gradients": 0}, "above 0"),
    ],
)  # fmt: skip
def test_bad_parameters_are_named(task, params, said):
    try:
        outcome = run(task, "gns_newton", **params)
    except BenchError as error:
        assert said in str(error)
    else:
        assert outcome.status == "failed" and said in outcome.reason


def test_a_visit_outside_the_numbers_is_divergence():
    spec = config.task_spec("second_order/rosenbrock")
    task = spec.cls(spec.cls.Params(gradients=10))
    public = task.problem(None, Seeds(0, task.name)).public
    log = SimpleNamespace(
        phase=lambda name: __import__("contextlib").nullcontext(), count=lambda **n: None, track=lambda step, **v: None,
        evaluate=lambda step, predict: {}, stop=False, incumbent=None,
    )  # fmt: skip

    def wild(*, start: Tensor, oracle: Any, visit: Any) -> None:
        visit(start * math.inf)

    with pytest.raises(Diverged, match="f is nan after 1 points"):
        task.run(public, {"method": wild, "curvature": exact}, log, Seeds(0, task.name).of_entry())


def test_an_answer_of_another_shape_has_no_digits():
    spec = config.task_spec("second_order/rosenbrock")
    task = spec.cls(spec.cls.Params())
    problem = task.problem(None, Seeds(0, task.name))
    assert task.monitor(problem, lambda: torch.ones(3))["gap"] == math.inf
    with pytest.raises(BenchError, match="predict"):
        Solution().require_predict()


# --- scores and claims


def test_mean_digits_is_a_step_function():
    assert mean_digits([0, 10, 20], [-1.0, 4.0, 9.0], 40) == pytest.approx((0 * 10 + 4 * 10 + 8 * 20) / 40)
    assert mean_digits([0], [3.0], 10) == 3.0


def test_the_line_is_least_squares():
    assert line([1.0, 3.0, 5.0, 7.0]) == pytest.approx((2.0, 1.0))
    slope, fit = line([0.0, 1.0, 4.0])
    assert slope == pytest.approx(2.0) and fit == pytest.approx(12 / 13)
    assert line([1.0, 2.0]) == line([1.0, 1.0, 1.0]) == (None, None)


def test_measures():
    def cell(entry: str, censored: tuple[str, ...] = (), **metrics: float) -> Any:
        made = record(entry, **metrics)
        made.censored = list(censored)
        return made

    cells = {
        "a": [cell("a", gradients_to_4=10, gradients_to_6=20, gradients_to_8=40, rise=-0.1)],
        "b": [cell("b", gradients_to_8=10, rise=0.2), ],
    }  # fmt: skip
    assert claims.ratio(cells, of="a", over="b") == 4 and claims.pace(cells, of="a") == 2
    assert claims.value(cells, of="b", metric="rise") == 0.2 == claims.worst_rise(cells)
    assert claims.spread({"a": [cell("a", x=2.0), cell("a", x=3.0)]}, of="a", metric="x") == 1.5
    late = {"a": [cell("a", ("gradients_to_6",), gradients_to_4=10, gradients_to_6=50, gradients_to_8=50)]}
    with pytest.raises(BenchError, match="did not reach 1e-6"):
        claims.pace(late, of="a")
    fast = {"a": [cell("a", gradients_to_4=10, gradients_to_6=10, gradients_to_8=11)]}
    assert claims.pace(fast, of="a") == 1


def test_systems_are_abstract_and_streams_make_other_seeds_other_problems():
    with pytest.raises(TypeError):
        Equations(2, 2.0)  # type: ignore[abstract]
    starts = [run("rosenbrock", "gns_newton", seed).metrics["mean_digits"] for seed in (100, 101)]
    assert starts[0] != starts[1] and Stream(1).uniform(2).shape == (2,)
