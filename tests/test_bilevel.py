"""Bilevel optimisation: closed forms, counted oracles, methods, tasks and what bad input is told."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from baselines.bilevel import implicit, penalty
from bench.contract import BenchError, Exhausted
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.bilevel.base import TOLERANCES, checkpoints, reached
from tasks.bilevel.boxes import Boxes
from tasks.bilevel.claims import best_ratio, compared, complexity, sigma_slope, slope
from tasks.bilevel.discontinuous import Discontinuous
from tasks.bilevel.oracle import Oracle
from tasks.bilevel.penalty import double_loop
from tasks.bilevel.quadratic import Quadratic
from tasks.bilevel.quadratics import Quadratics
from tasks.bilevel.singular import Singular
from tests.test_claims import record

DTYPE = torch.float64
TASKS = ("quadratic", "singular", "discontinuous", "ridge", "cleaning")


def made(name: str, seed: int = 100, **params: Any) -> tuple[Any, Any, Any]:
    """(task, problem, model) at `smoke`."""
    spec = config.task_spec(f"bilevel/{name}")
    task = spec.cls(spec.cls.Params(**{**config.parameters(spec, "smoke", {}), **params}))
    problem = task.problem(task.prepare(None, 1), Seeds(seed, task.name))
    return task, problem, task.model(problem.public)


def counted(model: Any, limit: int = 10**9) -> Oracle:
    spent = [0]

    def count(gradients: int) -> None:
        if spent[0] + gradients > limit:
            raise Exhausted("spent")
        spent[0] += gradients

    return Oracle(model, SimpleNamespace(count=count), torch.Generator().manual_seed(0))


def last(method: Any, problem: Any, model: Any, iterations: int, **arguments: Any) -> torch.Tensor:
    """The upper variable after so many iterations."""
    made = method(
        oracle=counted(model), x=problem.public["x"], y=problem.public["y"],
        generator=torch.Generator().manual_seed(0), **arguments,
    )  # fmt: skip
    *_, (x, _) = itertools.islice(made, iterations)
    return x


# Closed forms


@pytest.mark.parametrize("name", TASKS)
def test_gradients_are_those_of_the_values(name):
    """Both levels' gradients and curvature against central differences; g's value is integrated from its own gradient."""
    _, problem, model = made(name)
    generator = torch.Generator().manual_seed(1)
    x, y = problem.public["x"] * 0.5, 0.1 * torch.randn(len(problem.public["y"]), generator=generator, dtype=DTYPE)
    dx, dy = (torch.randn(len(v), generator=generator, dtype=DTYPE) for v in (x, y))
    h = 1e-5
    along = (model.upper_value(x + h * dx, y + h * dy) - model.upper_value(x - h * dx, y - h * dy)) / (2 * h)
    in_x, in_y = model.upper(x, y)
    assert along == pytest.approx(float(in_x @ dx + in_y @ dy), rel=1e-6, abs=1e-9)
    ahead, behind = model.lower(x, y + h * dy), model.lower(x, y - h * dy)
    cross, bent = model.curvature(x, y, dy)
    assert torch.allclose((ahead[0] - behind[0]) / (2 * h), cross, atol=1e-8)
    assert torch.allclose((ahead[1] - behind[1]) / (2 * h), bent, atol=1e-8)
    moved = (model.lower(x + h * dx, y)[1] - model.lower(x - h * dx, y)[1]) / (2 * h)
    assert float(moved @ dy) == pytest.approx(float(cross @ dx), rel=1e-6, abs=1e-9), (
        "g_xy is one matrix, read both ways"
    )


@pytest.mark.parametrize("name", TASKS)
def test_hyper_gradient_and_penalised_gradient_are_those_of_their_values(name):
    _, problem, model = made(name)
    x = problem.public["x"] * 0.5
    direction = torch.randn(len(x), generator=torch.Generator().manual_seed(2), dtype=DTYPE)
    h = 1e-5
    for function in (model.hyper, lambda at: model.penalised(at, 0.3)):
        if function(x) is None:
            assert name == "cleaning"
            continue
        along = (function(x + h * direction)[0] - function(x - h * direction)[0]) / (2 * h)
        assert along == pytest.approx(float(function(x)[1] @ direction), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("name", ["quadratic", "singular", "ridge"])
def test_both_errors_of_the_penalty_are_proportional_to_sigma(name):
    """|psi_sigma - psi| = O(sigma) and the same of the gradients, the paper's central theorem; psi_sigma is below psi."""
    _, problem, model = made(name)
    x = problem.public["x"]
    value, gradient = model.hyper(x)
    sigmas = [10**-p for p in (2.0, 2.5, 3.0, 3.5, 4.0)]
    penalised = [model.penalised(x, sigma) for sigma in sigmas]
    assert all(psi <= value for psi, _ in penalised)
    logs = [math.log(sigma) for sigma in sigmas]
    assert slope(logs, [math.log(value - psi) for psi, _ in penalised]) == pytest.approx(1, abs=0.1)
    assert slope(logs, [math.log(float((slope_of - gradient).norm())) for _, slope_of in penalised]) == pytest.approx(
        1, abs=0.1
    )


def test_of_many_lower_solutions_the_best_for_the_upper_level_counts():
    _, problem, model = made("singular")
    x = problem.public["x"]
    y = model.solution(x)
    assert torch.allclose(model.lower(x, y)[1], torch.zeros_like(y), atol=1e-10)
    slope_y = model.upper(x, y)[1]
    assert model.null.shape[1] == 2 and float((model.null.T @ slope_y).abs().max()) < 1e-9


@pytest.mark.parametrize("name", ["quadratic", "singular"])
def test_the_hidden_minimum_is_stationary(name):
    _, problem, model = made(name)
    x, value = model.least()
    assert float(model.hyper(x)[1].norm()) < 1e-9 and value == problem.hidden["least"]


def test_no_penalty_is_close_to_a_hyper_objective_that_jumps():
    """psi = x^2 + 1 but 0 at x = 0. sup |psi_sigma - psi| tends to 1 at 0 for every sigma, and is 0 from |x| = 2 sigma on."""
    model = Boxes({"s": torch.zeros(1, dtype=DTYPE), "b": torch.ones(1, dtype=DTYPE)})
    for sigma in (0.2, 0.02, 0.002):
        sup, far = model.gaps(sigma)
        assert sup == pytest.approx((1 - 1 / 1000) ** 2) and far < 1e-12
        x = torch.tensor([sigma], dtype=DTYPE)
        y = torch.linspace(-1, 1, 20001, dtype=DTYPE)
        brute = ((sigma * (x**2 + y**2) + x * y).min() + x.abs()) / sigma  # min_y (sigma f + g) - min_z g
        assert float(model.psi_sigma(x, sigma)) == pytest.approx(float(brute), abs=1e-6)
    assert float(model.psi(torch.zeros(1, dtype=DTYPE))) == 0


def test_the_relaxed_value_lets_the_lower_variable_miss_by_the_tolerance():
    _, _, model = made("discontinuous")
    zero = torch.zeros_like(model.s)
    assert model.relaxed(zero, 0.01) == pytest.approx(float(model.s.square().sum()))
    assert model.relaxed(model.s, 1e-12) == pytest.approx(float(model.b.sum()))
    assert model.least(0.01) <= min(model.relaxed(zero, 0.01), model.relaxed(model.s, 0.01))


# Oracles and methods


def test_every_call_is_counted_and_the_budget_ends_it():
    _, problem, model = made("quadratic")
    x, y = problem.public["x"], problem.public["y"]
    oracle = counted(model, limit=5)
    oracle.upper(x, y), oracle.lower(x, y), oracle.curvature(x, y, y), oracle.upper_value(x, y)
    assert oracle.spent == 5
    with pytest.raises(Exhausted):
        oracle.lower(x, y)


def test_samples_are_unbiased_and_one_draw_is_one_function():
    _, problem, model = made("quadratic", noise=0.5)
    x, y = problem.public["x"], problem.public["y"]
    oracle = counted(model)
    mean = torch.stack([oracle.lower(x, y)[1] for _ in range(1500)]).mean(0)
    assert torch.allclose(mean, model.lower(x, y)[1], atol=0.08)
    draw = oracle.draw()
    difference = oracle.lower(x, y + 1, draw)[1] - oracle.lower(x, y, draw)[1]
    assert torch.allclose(difference, model.lower(x, y + 1)[1] - model.lower(x, y)[1])
    _, problem, model = made("cleaning")
    x, y = problem.public["x"], problem.public["y"]
    oracle = counted(model)
    mean = torch.stack([oracle.lower(x, y)[0] for _ in range(600)]).mean(0)
    assert torch.allclose(mean, model.lower(x, y)[0], atol=0.3 * float(model.lower(x, y)[0].max()))


EXACT = [
    (implicit.aid_cg, {"lr": 1.0, "steps": 20}),
    (implicit.soba, {"lr": 0.3}),
    (implicit.unrolled, {"lr": 1.0, "steps": 200}),
    (implicit.finite_differences, {"lr": 1.0, "steps": 200}),
]


@pytest.mark.parametrize(("method", "arguments"), EXACT, ids=lambda v: getattr(v, "__name__", ""))
def test_methods_without_a_penalty_find_the_minimum(method, arguments):
    _, problem, model = made("quadratic")
    x = last(method, problem, model, 2000 if method is implicit.soba else 300, **arguments)
    first = float(model.hyper(problem.public["x"])[1].norm())
    assert float(model.hyper(x)[1].norm()) < 1e-5 * first


@pytest.mark.parametrize("method", [double_loop, penalty.momentum])
@pytest.mark.parametrize("name", ["quadratic", "singular"])
def test_penalty_methods_end_where_the_penalised_gradient_is_zero(method, name):
    _, problem, model = made(name)
    x = last(method, problem, model, 3000, sigma=0.1, lr=0.1, inner=1.0)
    first = float(model.hyper(problem.public["x"])[1].norm())
    assert float(model.penalised(x, 0.1)[1].norm()) < 1e-6 * first
    assert float(model.hyper(x)[1].norm()) > 1e-5 * first, "the error of psi_sigma stays"


def test_the_other_first_order_methods_come_down():
    _, problem, model = made("quadratic")
    first = float(model.hyper(problem.public["x"])[1].norm())
    for method in (penalty.f2sa, penalty.annealed, penalty.bome):
        assert float(model.hyper(last(method, problem, model, 400))[1].norm()) < 0.5 * first, method.__name__


def test_momentum_of_full_memory_loss_is_plain_descent():
    _, problem, model = made("quadratic")
    plain = last(penalty.momentum, problem, model, 1, memory=1.0)
    assert torch.equal(plain, last(penalty.momentum, problem, model, 1, memory=0.1)), "the first step has no past"


# Audits of published code (docs/audits.md)


def test_audit_the_upper_gradient_at_the_unpenalised_solution_is_another_method():
    """An early f2sa.py of benchopt's bilevel benchmark moves the penalised variable by the upper gradient at z, not at y.

    Where g is quadratic its fixed point, Q (y - z) = -sigma f_y(z), gives the exact hyper-gradient for every lambda: the file is
    implicit differentiation without its bias, and not the method of the paper, whose error is of order sigma.
    """
    _, problem, model = made("quadratic")
    x, sigma = problem.public["x"], 0.5
    z = model.solution(x)
    f_x, f_y = model.upper(x, z)
    y = z - sigma * torch.linalg.solve(model.q, f_y)
    corrected = f_x + (model.lower(x, y)[0] - model.lower(x, z)[0]) / sigma
    assert torch.allclose(corrected, model.hyper(x)[1])
    assert not torch.allclose(model.penalised(x, sigma)[1], model.hyper(x)[1], rtol=1e-2)


def test_audit_a_linear_system_in_place_of_the_penalty_is_soba():
    """The same file's default, JAX, version keeps v and never reads lambda: v against g_yy v + f_y, x against f_x + g_xy v.

    With v of the other sign these are the directions of SOBA.
    """
    _, problem, model = made("quadratic")
    x, y, v = problem.public["x"], problem.public["y"], problem.public["y"] * 0
    rate, lr = 1 / model.smoothness[1], 0.1
    for _ in range(5):
        cross, bent = model.curvature(x, y, v)
        f_x, f_y = model.upper(x, y)
        x, y, v = x - lr * (cross + f_x), y - rate * model.lower(x, y)[1], v - rate * (bent + f_y)
    assert torch.allclose(x, last(implicit.soba, problem, model, 5, lr=lr, inner=1.0))


# Tasks


@pytest.mark.parametrize("name", TASKS)
def test_a_run_scores_and_shows(name):
    spec = config.task_spec(f"bilevel/{name}")
    parts = config.resolve_parts(spec, config.entry("penalty_double_loop"), {})
    done = call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 100, "."))
    assert done.status == "ok", done.reason
    assert done.exhibits and "exhibit" not in done.reason
    assert done.metrics[spec.cls.rank] >= 0 and done.costs.counts["gradients"] <= 600


def test_the_start_scores_one_and_a_method_that_leaves_diverges():
    spec = config.task_spec("bilevel/quadratic")
    params = config.parameters(spec, "smoke", {})
    parts = config.resolve_parts(spec, config.entry("upper_start"), {})
    done = call(Job(spec.target, params, parts, 100, "."))
    assert done.metrics["stationarity"] == 1 and done.metrics["upper_gap"] == pytest.approx(1)
    parts = {"bilevel_method": {"_target_": "tasks.bilevel.penalty.double_loop", "lr": 1e6}}
    assert call(Job(spec.target, params, parts, 100, ".")).status == "diverged"


def test_checkpoints_end_at_the_budget_and_tolerances_are_read_off():
    assert checkpoints(1000, 3) == [10, 100, 1000, math.inf]
    dates = reached([0, 10, 20], [1.0, 0.2, 0.09])
    assert dates["calls_05"] == 10 and dates["calls_10"] == 20 and dates["calls_15"] is None
    assert set(dates) == set(TOLERANCES)


# Bad input


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        (double_loop, {"sigma": 0.0}), (double_loop, {"sigma": -1.0}), (double_loop, {"lr": math.nan}),
        (penalty.momentum, {"sigma": -0.1}), (penalty.momentum, {"memory": 0.0}), (penalty.f2sa, {"growth": -1.0}),
        (penalty.annealed, {"last": 0.0}), (penalty.bome, {"eta": 0.0}), (implicit.soba, {"decay": -1.0}),
        (implicit.finite_differences, {"width": 0.0}),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_told(method, wrong):
    _, problem, model = made("quadratic")
    with pytest.raises(BenchError, match=f"method.{next(iter(wrong))}"):
        last(method, problem, model, 1, **wrong)


def test_a_lower_level_without_solution_is_told():
    public = made("singular")[1].public
    with pytest.raises(BenchError, match="falls without end"):
        Quadratics(
            {**public, "c": public["c"] + torch.randn(4, generator=torch.Generator().manual_seed(3), dtype=DTYPE)}
        )
    with pytest.raises(BenchError, match="no solution: its curvature"):
        Quadratics({**public, "Q": public["Q"] - 0.5 * torch.eye(4, dtype=DTYPE)})


@pytest.mark.parametrize(
    ("cls", "params", "reason"),
    [
        (Quadratic, {"noise": -1.0}, "task.noise"),
        (Quadratic, {"condition": 0.5}, "task.condition"),
        (Singular, {"rank": 10}, "use bilevel/quadratic"),
        (Discontinuous, {"dimension": 0}, "task.dimension"),
        (config.task_spec("bilevel/ridge").cls, {"train": 400}, "none is left to test"),
        (config.task_spec("bilevel/cleaning").cls, {"batch": 500}, "task.batch"),
        (config.task_spec("bilevel/cleaning").cls, {"wrong": 0.0}, "task.wrong"),
        (config.task_spec("bilevel/cleaning").cls, {"train": 1500}, "1797"),
    ],
)
def test_parameters_that_make_no_sense_are_told(cls, params, reason):
    with pytest.raises(BenchError, match=reason):
        cls(cls.Params(**params))


def test_a_solution_that_is_none_is_told():
    task, problem, _ = made("ridge")
    for wrong, reason in ((None, "has none"), (torch.zeros(3), "has none"), (torch.full((10,), 9.0), "outside")):
        with pytest.raises(BenchError, match=reason):
            task.checked(problem, wrong)


# Measures


def run(sigma: float, status: str = "ok", lr: float = 0.3, **metrics: float) -> Any:
    run = record("a", status=status, **metrics)
    run.config = {"bilevel_method": {"sigma": sigma, "lr": lr}}
    return run


def test_measures_of_claims():
    runs = [run(s, error=3 * s, calls_05=10.0, calls_10=100.0 / s, calls_15=1000.0) for s in (0.1, 1.0, 0.01)]
    assert sigma_slope({"a": runs}, of="a", metric="error") == pytest.approx(1)
    assert complexity({"a": runs}, of="a") == pytest.approx(2.0)
    assert compared({"a": runs}, of="a", metric="error", at={"sigma": 0.1}, over={"sigma": 1}) == pytest.approx(0.1)
    assert best_ratio({"a": runs, "b": [run(1.0, error=6.0)]}, of="a", over="b", metric="error") == pytest.approx(0.005)
    with pytest.raises(BenchError, match="three values"):
        sigma_slope({"a": runs[:2]}, of="a", metric="error")
    with pytest.raises(BenchError, match="1 tolerances"):
        complexity({"a": [run(1.0, calls_05=1.0)]}, of="a")
    with pytest.raises(BenchError, match="0 records"):
        compared({"a": runs}, of="a", metric="error", at={"sigma": 7}, over={"sigma": 1})
