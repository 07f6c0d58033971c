"""The second-order tasks: minima, scores, budgets, bad parameters, measures of claims."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.contract import BenchError, Diverged, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds, Stream
from tasks.second_order import claims
from tasks.second_order.base import line, mean_digits
from tasks.second_order.functions import (
    Equations,
)  # fmt: skip
from tasks.second_order.matrices import exact
from tests.test_claims import record


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
