"""Constraints: exact solutions, least squares, implicit gradients, experts, tasks and what bad input is told."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

from baselines.constraints.experts import Mixture
from baselines.constraints.implicit import differentiable
from bench.contract import BenchError, Diverged
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.constraints import claims
from tasks.constraints.base import answered, spread
from tasks.constraints.classical import FiniteDifferences
from tasks.constraints.equations import Sorption
from tasks.constraints.least_squares import minimise, normal
from tasks.constraints.network import Basis
from tasks.constraints.soft import Penalty
from tasks.constraints.solutions import sorption, stepped
from tasks.constraints.system import Limits, System
from tests.test_claims import record

DTYPE = torch.float64
TASKS = ("diffusion_sorption", "burgers", "poisson")


def uniform(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=DTYPE)


def task(name: str, **params: Any) -> Any:
    spec = config.task_spec(f"constraints/{name}")
    return spec.cls(spec.cls.Params(**{**config.parameters(spec, "smoke", {}), **params}))


def system(name: str, basis: Any = None, size: int = 5, limits: Limits | None = None, **params: Any) -> Any:
    """(system, parameters of three problems, what is counted)."""
    made = task(name, **params)
    equation, spent = made.equation(), Counter()
    torch.manual_seed(0)
    network = Basis(equation.count, size, 8, 1, equation.periodic)
    network.requires_grad_(basis is None)
    basis = basis or (lambda parameters, t, x: network(equation.scaled(parameters), t, x))
    log = SimpleNamespace(count=lambda **amounts: spent.update(amounts))
    limits = limits or Limits(500, 1e-10, 1e-4)
    setting = System(equation, made.grid(), basis, size, log, limits)
    setting.network, setting.solution = network, made.solution
    return setting, equation.draw(uniform(3, equation.count)), spent


def whole(one: Any, parameters: torch.Tensor, weight: float = 1.0) -> Any:
    """The rows of one expert for each problem, as a function of w."""
    constraint = Mixture(system=one, weight=weight)
    rows = (parameters, *(v[constraint._points].repeat(len(parameters), 1) for v in (one.t, one.x)))
    jets = one.basis(parameters, one.t, one.x)[:, :, constraint._points[0]]
    return lambda w: one.linearise(jets, w, constraint._scales.repeat(len(parameters), 1), rows)


def derivatives(field: Any, t: torch.Tensor, x: torch.Tensor, h: float = 1e-3) -> torch.Tensor:
    """Jets (C, 4, T X) of `field(t, x)` -> (C, T, X), by central differences of fourth order."""
    values = {(a, b): field(t + a * h, x + b * h).flatten(1) for a in range(-2, 3) for b in range(-2, 3) if not a * b}
    first = lambda f: (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * h)  # noqa: E731
    second = (-30 * values[0, 0] + 16 * (values[0, 1] + values[0, -1]) - values[0, 2] - values[0, -2]) / (12 * h * h)
    return torch.stack([values[0, 0], first(lambda k: values[k, 0]), first(lambda k: values[0, k]), second], dim=1)


# Equations and their solutions


@pytest.mark.parametrize("name", ["burgers", "poisson"])
def test_exact_solutions_satisfy_their_equations(name):
    equation, solution = task(name).equation(), task(name).solution
    parameters, t, x = (
        equation.draw(uniform(3, equation.count)),
        uniform(6).sort().values / 2 + 0.1,
        uniform(7, seed=2) * 0.9,
    )
    jets = derivatives(lambda t, x: solution(parameters, t, x), t, x)
    places = (t.repeat_interleave(len(x)).expand(3, -1), x.repeat(len(t)).expand(3, -1))
    assert float(equation.residual(jets, parameters, *places).abs().max()) < 1e-6
    if not equation.steady:
        near = solution(parameters, torch.tensor([1e-9], dtype=DTYPE), x)[:, 0]
        assert torch.allclose(near, equation.initial(parameters, x.expand(3, -1)), atol=1e-7)
    else:
        ends = solution(parameters, t[:1], torch.tensor([0.0, 1.0], dtype=DTYPE))
        assert float(ends.abs().max()) < 1e-14


def test_the_reference_of_sorption_is_of_second_order():
    equation, u0, t = Sorption(), np.array([0.05, 0.15]), np.array([0.1, 0.4, 1.0])
    exact = stepped(equation, u0, t, 512, 20)[..., ::16]
    space = [np.abs(stepped(equation, u0, t, n, 20)[..., :: n // 32] - exact).max() for n in (32, 64)]
    assert math.log2(space[0] / space[1]) == pytest.approx(2, abs=0.25)
    fine = stepped(equation, u0, t, 64, 160)
    time = [np.abs(stepped(equation, u0, t, 64, n) - fine).max() for n in (10, 20)]
    assert math.log2(time[0] / time[1]) == pytest.approx(2, abs=0.3)


def test_the_reference_of_sorption_keeps_its_ends_and_its_bounds():
    parameters = torch.tensor([[0.02], [0.2]], dtype=DTYPE)
    t, x = torch.linspace(0.05, 1, 6, dtype=DTYPE), torch.linspace(0, 1, 41, dtype=DTYPE)
    u = sorption(Sorption(), parameters, t, x)
    assert torch.allclose(u[..., 0], torch.ones(2, 6, dtype=DTYPE)) and float(u[..., -1].abs().max()) < 2e-3
    assert float(u.min()) >= 0 and float(u.max()) < 1 + 1e-12
    later = u[:, 1:, 1:10] - u[:, :-1, 1:10]
    assert float(later.min()) > 0, "the pollutant moves in"


@pytest.mark.parametrize(("name", "sizes"), [("poisson", (17, 33)), ("burgers", (64, 128))])
def test_finite_differences_converge_at_second_order(name, sizes):
    errors = []
    for columns in sizes:
        setting, parameters, _ = system(name, columns=columns, **({"viscosity": 0.1} if name == "burgers" else {}))
        t = torch.tensor([1.0], dtype=DTYPE)
        answer = FiniteDifferences(system=setting).field(parameters, t, setting.columns)
        errors.append(float((answer - setting.solution(parameters, t, setting.columns)).abs().max()))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.3)


def test_finite_differences_agree_with_the_reference_of_sorption():
    setting, parameters, _ = system("diffusion_sorption", columns=65)
    t = torch.tensor([0.5, 1.0], dtype=DTYPE)
    answer, exact = (
        FiniteDifferences(system=setting).field(parameters, t, setting.columns),
        setting.solution(parameters, t, setting.columns),
    )
    assert float((answer - exact).abs().max()) < 2e-3


@pytest.mark.parametrize("periodic", [True, False])
def test_jets_are_the_derivatives_of_the_basis(periodic):
    torch.manual_seed(1)
    basis, parameters = Basis(2, 3, 6, 2, periodic), uniform(2, 2)
    t, x = uniform(1), uniform(5, seed=3)
    for n in range(3):
        values = lambda t, x, n=n: basis(parameters, t.expand(len(x)), x)[:, 0, :, n][:, None]  # noqa: E731
        assert torch.allclose(derivatives(values, t, x), basis(parameters, t.expand(5), x)[..., n], atol=1e-6)
    if periodic:
        assert torch.allclose(basis(parameters, t.expand(5), x), basis(parameters, t.expand(5), x + 1), atol=1e-10)


# Least squares


def test_one_expert_on_a_linear_equation_is_a_least_squares_solution():
    setting, parameters, _ = system("poisson", size=4, limits=Limits(200, 1e-12, 1e-4))
    linearise = whole(setting, parameters, weight=3.0)
    with torch.no_grad():
        w = setting.minimise(normal(linearise), setting.start.expand(3, -1), 1, 1)
        at_zero, jacobian = linearise(torch.zeros_like(w))
        held = 1e-4 * torch.eye(4, dtype=DTYPE).expand(3, -1, -1)
        target = torch.cat([-at_zero, torch.zeros(3, 4, dtype=DTYPE)], dim=1)
        exact = torch.linalg.lstsq(torch.cat([jacobian, held], dim=1), target[..., None]).solution[..., 0]
        assert torch.allclose(w, exact, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("name", ["diffusion_sorption", "burgers"])
def test_least_squares_agree_with_scipy(name):
    setting, parameters, _ = system(name)
    with torch.no_grad():
        result = minimise(
            normal(whole(setting, parameters)), setting.start.expand(3, -1), ridge=1e-4, tolerance=1e-9, limit=500
        )
        assert bool(result.converged.all())
        for k in range(3):
            rows = whole(setting, parameters[k : k + 1])
            stacked = lambda w, rows=rows: np.concatenate([rows(torch.from_numpy(w)[None])[0][0].numpy(), 1e-4 * w])  # noqa: E731
            scipys = least_squares(stacked, setting.start.numpy(), method="lm", xtol=1e-12, ftol=1e-12, gtol=1e-12)
            ours = 0.5 * np.square(stacked(result.w[k].numpy())).sum()
            assert ours <= scipys.cost * (1 + 1e-6)


def test_a_solve_that_does_not_converge_ends_and_is_counted():
    setting, parameters, spent = system("diffusion_sorption", limits=Limits(1, 1e-12, 1e-4))
    Mixture(system=setting, experts=2)._loss(parameters)
    assert spent["unconverged"] == spent["solves"] == 6 and spent["iterations"] == 6
    with torch.no_grad():
        Mixture(system=setting)._loss(parameters)
    assert spent["served_unconverged"] == 3 and spent["served_cases"] == 3


def test_least_squares_reject_steps_that_are_not_finite_and_starts_that_are_not():
    """r = log w has its zero at 1; a full step from 8 leads to where it is not defined."""
    linearise = lambda w: (torch.log(w), (1 / w)[..., None])  # noqa: E731
    start = torch.full((1, 1), 8.0, dtype=DTYPE)
    result = minimise(normal(linearise), start, ridge=0.0, tolerance=1e-8, limit=100)
    assert bool(result.converged) and float(result.w) == pytest.approx(1)
    with pytest.raises(Diverged, match="not finite at its start"):
        minimise(normal(linearise), -start, ridge=0.0, tolerance=1e-8, limit=100)


# Implicit gradients


@pytest.mark.parametrize("name", ["burgers", "poisson"])
def test_implicit_gradients_are_those_of_solving_again(name):
    """Of a random function of the weights, in one bias and one weight of the basis, against central differences.

    Sorption is left out: its retardation bends at u = 0 within 1e-6, where a difference of any useful width sees nothing.
    """
    setting, parameters, _ = system(name, size=3, limits=Limits(300, 1e-11, 1e-2))
    probe, first = uniform(3, 3, seed=5), setting.network.layers[0]

    def solved() -> torch.Tensor:
        with torch.no_grad():
            return minimise(
                normal(whole(setting, parameters)), setting.start.expand(3, -1), ridge=1e-2, tolerance=1e-11, limit=300
            ).w

    w = differentiable(whole(setting, parameters), solved(), 1e-2)
    assert torch.allclose(w, solved(), atol=1e-9)
    gradients = torch.autograd.grad((probe * w).sum(), [first.bias, first.weight])
    h = 1e-3  # solutions are exact to the root of roundings
    for parameter, gradient in zip((first.bias, first.weight), gradients, strict=True):
        ends = []
        for side in (1, -2):
            with torch.no_grad():
                parameter.view(-1)[0] += side * h
            ends.append(float((probe * solved()).sum()))
        with torch.no_grad():
            parameter.view(-1)[0] += h
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(float(gradient.view(-1)[0]), rel=1e-3)


@pytest.mark.parametrize("interface", [0.0, 1.0])
def test_the_gradient_of_training_is_that_of_the_loss_with_two_experts(interface):
    """Through the weights of both experts and, with interface rows, through what couples them."""
    setting, parameters, _ = system("burgers", size=3, limits=Limits(300, 1e-11, 1e-2))
    constraint, first = Mixture(system=setting, experts=2, weight=5.0, interface=interface), setting.network.layers[0]
    (gradient,) = torch.autograd.grad(constraint._loss(parameters), first.bias)
    h, ends = 1e-3, []
    for side in (1, -2):
        with torch.no_grad():
            first.bias[0] += side * h
            ends.append(float(constraint._loss(parameters)))
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(float(gradient[0]), rel=2e-3)


@pytest.mark.parametrize(("weight", "equal"), [(1.0, True), (30.0, False)])
def test_with_equal_weights_one_expert_needs_no_implicit_term(weight, equal):
    """The training loss is then the objective that w minimises, so that its derivative in w is 0 (Golub and Pereyra 1973)."""
    setting, parameters, _ = system("burgers", limits=Limits(500, 1e-12, 1e-6))
    gradients = []
    for training in ("hard", "frozen"):
        loss = Mixture(system=setting, weight=weight, training=training)._loss(parameters)
        gradients.append(torch.autograd.grad(loss, setting.network.layers[0].weight)[0])
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-7) is equal


# Experts


def sines(parameters: torch.Tensor, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Four sine waves as a basis, which hold every solution of the task's Poisson equation."""
    waves = math.pi * torch.arange(1, 5, dtype=DTYPE)
    sine, cosine = torch.sin(x[:, None] * waves), torch.cos(x[:, None] * waves)
    jets = torch.stack([sine, torch.zeros_like(sine), waves * cosine, -(waves**2) * sine])
    return jets.expand(len(parameters), -1, -1, -1)


@pytest.mark.parametrize("interface", [0.0, 1.0])
@pytest.mark.parametrize("experts", [1, 4])
def test_experts_find_a_solution_that_lies_in_the_span_without_a_jump(experts, interface):
    setting, parameters, _ = system("poisson", basis=sines, size=4, columns=34, limits=Limits(100, 1e-12, 0.0))
    with torch.no_grad():
        constraint = Mixture(system=setting, experts=experts, interface=interface)
        t, x = torch.zeros(1, dtype=DTYPE), torch.linspace(0, 1, 101, dtype=DTYPE)
        answer = constraint.field(parameters, t, x)
    assert torch.allclose(answer, setting.solution(parameters, t, x), atol=1e-8)
    assert len(constraint.edges) == experts - 1
    beside = torch.cat([constraint.edges - 1e-9, constraint.edges + 1e-9])
    with torch.no_grad():
        left, right = constraint.field(parameters, t, beside).chunk(2, dim=-1)
    assert experts == 1 or float((left - right).abs().max()) < 1e-7


def test_an_experts_objective_falls_when_stretches_are_halved():
    """Each of 2K experts may keep the weights of the one of K that it came from: exact for a linear equation."""
    setting, parameters, _ = system("poisson", size=4, columns=34, limits=Limits(500, 1e-12, 1e-4))
    values = []
    for experts in (1, 2, 4, 8):
        constraint = Mixture(system=setting, experts=experts, training="none")
        with torch.no_grad():
            jets = setting.basis(parameters, setting.t, setting.x)
            w, linearise = constraint._solved(jets, None, parameters)
            values.append(float(linearise(w)[0].square().sum() + 1e-8 * w.square().sum()) / experts)
    assert all(after <= before * (1 + 1e-9) for before, after in zip(values, values[1:], strict=False))


def test_interface_rows_close_the_jumps():
    jumps = []
    for interface in (0.0, 0.01, 1.0, 100.0):
        setting, parameters, _ = system("burgers", columns=16)
        constraint = Mixture(system=setting, experts=2, interface=interface)
        with torch.no_grad():
            around = torch.cat([constraint.edges - 1e-9, constraint.edges + 1e-9])
            left, right = constraint.field(parameters, setting.times, around).chunk(2, dim=-1)
        jumps.append(float((left - right).square().mean()))
    assert jumps[3] < jumps[2] < jumps[1] < jumps[0] and jumps[3] < 1e-3 * jumps[0]


def test_on_a_circle_the_first_expert_owns_both_sides_of_zero():
    setting, _, _ = system("burgers", columns=8)
    constraint = Mixture(system=setting, experts=2)
    assert constraint.edges.tolist() == [0.4375, 0.9375]
    assert constraint._owners(torch.tensor([0.0, 0.43, 0.44, 0.93, 0.94])).tolist() == [0, 0, 1, 1, 0]


def test_stretches_of_unequal_length_are_padded_with_rows_that_count_nothing():
    setting, parameters, _ = system("burgers", columns=8)
    constraint = Mixture(system=setting, experts=3)
    counted = (constraint._scales[:, : -int(setting.on_condition.sum())] > 0).sum(dim=1)
    assert counted.tolist() == [12, 12, 8]
    assert torch.allclose(constraint._scales.square().sum(dim=1), torch.full((3,), 2.0, dtype=DTYPE))
    assert torch.isfinite(constraint._loss(parameters))


# Audits of published code (docs/audits.md)


def test_audit_the_other_sign_at_the_right_end_is_unstable():
    """u = +D u_x at x = 1 lets exp((x - 1) / D) grow, a layer that coarse grids do not see; u = -D u_x lets nothing grow."""

    def growth(sign: float, intervals: int, d: float = 0.02) -> float:
        h = 1 / intervals
        matrix = np.zeros((intervals, intervals))  # u = 0 at x = 0
        for i in range(intervals - 1):
            matrix[i, i], matrix[i, i + 1] = -2, 1
            if i:
                matrix[i, i - 1] = 1
        matrix[-1, -2:] = 2, -2 + sign * 2 * h / d  # a mirrored point meets the condition at second order
        return float(np.linalg.eigvals(d * matrix / h**2).real.max())

    assert growth(-1, 400) < 0
    assert growth(1, 400) == pytest.approx(1 / 0.02, rel=0.05), "D / D^2, the rate of that layer"


def test_audit_a_relative_initial_row_weighs_little_concentrations_without_bound():
    """Rows (u - u0) / u0 miss by the same 0.001: against u0 = 0.2 and 0.0002 they differ by a thousand."""
    rows = [0.001 / u0 for u0 in (0.2, 0.0002)]
    assert rows[1] / rows[0] == pytest.approx(1000)
    equation, jets = Sorption(), torch.zeros(2, 4, 1, dtype=DTYPE)
    parameters = torch.tensor([[0.2], [0.0002]], dtype=DTYPE)
    jets[:, 0] = parameters + 0.001
    inside = torch.full((2, 1), 0.5, dtype=DTYPE)
    here = equation.condition(jets, parameters, 0 * inside, inside)
    assert torch.allclose(here, torch.full_like(here, 0.001))


def test_corners_where_the_solution_jumps_have_no_row():
    setting, _, _ = system("diffusion_sorption", times=5, columns=10)
    assert len(setting.t) == 5 * 10 - 2 and int(setting.on_condition.sum()) == 8 + 2 * 4
    assert not bool(setting.equation.singular(setting.t, setting.x).any())


def test_audit_seconds_make_the_equation_weigh_a_five_hundredth():
    jets, places = uniform(1, 4, 6), torch.full((1, 6), 0.5, dtype=DTYPE)
    scaled = jets.clone()
    scaled[:, 1] /= 500  # d/dt in seconds, where the jet has it in horizons
    rows = Sorption(horizon=500.0).residual(jets, places[:, :1], places, places)
    seconds = Sorption(horizon=1.0).residual(scaled, places[:, :1], places, places)
    assert torch.allclose(rows, 500 * seconds)


# Tasks


@pytest.mark.parametrize("entry", ["soft_constraint", "mixture_2_interface", "finite_differences"])
@pytest.mark.parametrize("name", TASKS)
def test_a_run_scores_and_shows(name, entry):
    spec = config.task_spec(f"constraints/{name}")
    parts = config.resolve_parts(spec, config.entry(entry), {})
    done = call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 100, "."))
    assert done.status == "ok", done.reason
    assert done.exhibits and done.metrics["test_error"] > 0
    assert ("jump" in done.metrics) is (entry == "mixture_2_interface")
    assert done.costs.counts.get("steps", 0) == (0 if entry == "finite_differences" else 4)


def test_the_floor_scores_one_on_poisson_and_nothing_held_back_is_public():
    problem_task = task("poisson")
    problem = problem_task.problem(None, Seeds(100, problem_task.name))
    zero = lambda parameters, t, x: torch.zeros(len(parameters), len(t), len(x), dtype=DTYPE)  # noqa: E731
    assert problem_task.error(problem, zero, "test") == 1 and not problem.public
    exact = problem_task.solution
    assert problem_task.error(problem, exact, "test") == 0
    assert problem_task.violations(problem, exact)["residual"] < 1e-6


def test_violations_and_jumps_are_measured_from_values_alone():
    problem_task = task("burgers", times=9, columns=16)
    problem, solution = problem_task.problem(None, Seeds(100, problem_task.name)), problem_task.solution

    def exact(parameters: torch.Tensor, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return solution(parameters, t, x)

    violations = problem_task.violations(problem, exact)
    assert violations["residual"] < 1e-3 and violations["condition_error"] < 1e-10
    stepped = lambda parameters, t, x: exact(parameters, t, x) + 0.5 * (x > 0.3)  # noqa: E731
    assert problem_task.jumps(problem, stepped, torch.tensor([0.3], dtype=DTYPE))["jump"] == pytest.approx(
        0.5, abs=1e-5
    )
    assert problem_task.jumps(problem, exact, torch.zeros(0)) == {}


def test_the_spread_of_gradients_is_that_of_their_logarithms():
    assert spread([], []) is None and spread([1] * 6, [1.0] * 6) is None
    norms = [9.0] * 4 + [1.0, math.e, 1.0, math.e]
    assert spread([*range(8)], norms) == pytest.approx(math.sqrt(1 / 3))


# Bad input


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"experts": 9}, "experts=9: there are 8 columns"), ({"experts": 0}, "experts=0"), ({"weight": 0.0}, "weight=0.0"),
        ({"weight": math.nan}, "weight=nan"), ({"interface": -1.0}, "interface=-1.0"), ({"training": "adjoint"}, "hard, frozen"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_told(arguments, reason):
    with pytest.raises(BenchError, match=reason):
        Mixture(system=system("burgers", columns=8)[0], **arguments)


def test_a_penalty_without_weight_is_told():
    with pytest.raises(BenchError, match="weight=-1.0"):
        Penalty(system=system("burgers")[0], weight=-1.0)


@pytest.mark.parametrize(
    ("name", "params", "reason"),
    [
        ("burgers", {"basis": 0}, "task.basis=0"),
        ("burgers", {"tolerance": 0.0}, "task.tolerance=0.0"),
        ("burgers", {"tolerance": -1e-3}, "task.tolerance=-0.001"),
        ("burgers", {"viscosity": 0.0}, "task.viscosity=0.0"),
        ("burgers", {"ridge": -1.0}, "task.ridge=-1.0"),
        ("burgers", {"times": 1}, "task.times=1"),
        ("poisson", {"columns": 4}, "task.columns=4"),
        ("poisson", {"iterations": 0}, "task.iterations=0"),
        ("diffusion_sorption", {"diffusion": 0.0}, "task.diffusion=0.0"),
        ("diffusion_sorption", {"horizon": -5.0}, "task.horizon=-5.0"),
    ],
)
def test_parameters_that_make_no_sense_are_told(name, params, reason):
    with pytest.raises(BenchError, match=reason):
        task(name, **params)


def test_least_squares_without_a_tolerance_are_told():
    with pytest.raises(BenchError, match="tolerance=0.0"):
        minimise(normal(lambda w: (w, torch.eye(1)[None])), torch.ones(1, 1), ridge=0.0, tolerance=0.0, limit=5)


def test_answers_that_are_no_fields_are_told():
    grid = (torch.zeros(2, 1), torch.zeros(3), torch.zeros(4))
    with pytest.raises(BenchError, match="wanted a tensor of shape"):
        answered(lambda *_: torch.zeros(2, 3), *grid)
    with pytest.raises(Diverged, match="not finite"):
        answered(lambda *_: torch.full((2, 3, 4), math.nan), *grid)
    problem_task = task("poisson")
    with pytest.raises(BenchError, match="no tensor `edges`"):
        problem_task.jumps(problem_task.problem(None, Seeds(100, problem_task.name)), lambda *_: None, None)


# Measures


def run(steps: int = 200, experts: int = 1, status: str = "ok", **metrics: float) -> Any:
    made = record("a", status=status, **metrics)
    made.params, made.config = {"steps": steps}, {"physics_constraint": {"experts": experts}}
    return made


def test_measures_of_claims():
    records = {"a": [run(error=0.1)], "b": [run(error=0.4)], "c": [run(status="diverged")]}
    assert claims.over(records, of="a", over="b", metric="error") == pytest.approx(0.25)
    assert claims.over(records, of="c", over="b", metric="error") == pytest.approx(25)
    steps = {"a": [run(200, error=0.1), run(800, error=0.05)], "b": [run(200, error=0.4), run(800, error=0.2)]}
    assert claims.over_longer(steps, of="a", over="b", metric="error") == pytest.approx(0.5)
    assert claims.swept(steps, of="a", metric="error", parameter="steps") == pytest.approx(0.5)
    experts = {"a": [run(experts=4, error=0.3), run(experts=1, error=0.1)]}
    assert claims.swept_experts(experts, of="a", metric="error") == pytest.approx(3)
    for measure, wanted in (
        (claims.over, {"over": "b"}),
        (claims.swept, {"parameter": "steps"}),
        (claims.swept_experts, {}),
    ):
        wrong = {"a": [run(error=1.0)] * 2, "b": [run(error=1.0)]}
        with pytest.raises(BenchError, match="a: "):
            measure(wrong, of="a", metric="error", **wanted)
    with pytest.raises(BenchError, match="no run with more steps"):
        claims.over_longer(records, of="a", over="b", metric="error")
