"""The unsteady flow of pinn/: its closed form, derivatives, exact initial state, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.pinn.vortices import Hard, Initial, Soft
from bench.contract import BenchError, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.pinn.taylor_green import exact, grid
from tasks.pinn.torus import Torus
from tasks.pinn.vortices import Moments, Moving, Vortices

DTYPE = torch.float64
FLOW = Vortices(reynolds=10.0, final=5.0, drift=0.7, phase=(0.3, 1.1))
MADE = {"soft": Soft, "hard": Hard}


def drawn(count: int = 30, seed: int = 0) -> Tensor:
    """Places (count, 3) of x, y, t."""
    shares = torch.rand(count, 3, dtype=DTYPE, generator=torch.Generator().manual_seed(seed))
    return shares * torch.tensor([math.tau, math.tau, FLOW.final], dtype=DTYPE)


def made(kind: str) -> Any:
    torch.manual_seed(0)
    points = Moments(*drawn().unbind(-1), *drawn(12, seed=1)[:, :2].unbind(-1))
    return MADE[kind](flow=FLOW, torus=lambda: Torus(8, 2, FLOW.final), points=points)


def automatic(function: Any, places: Tensor) -> Moving:
    """The fields of x, y, t and their derivatives by autograd."""
    x, y, t = (part.clone().requires_grad_() for part in places.unbind(-1))

    def slope(of: Tensor, by: Tensor) -> Tensor:
        parts = [
            torch.autograd.grad(column.sum(), by, create_graph=True, allow_unused=True)[0] for column in of.unbind(-1)
        ]
        return torch.stack([torch.zeros_like(by) if part is None else part for part in parts], dim=-1)

    value = function(x, y, t)
    dx, dy = slope(value, x), slope(value, y)
    return Moving(value, dx, dy, slope(value, t), slope(dx, x), slope(dy, y))


def task(**params: Any) -> Any:
    spec = config.task_spec("pinn/taylor_green")
    return spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", params)))


def test_the_solution_satisfies_the_equations_and_starts_as_told():
    fields = automatic(lambda x, y, t: exact(FLOW, torch.stack([x, y, t], dim=-1)), drawn())
    assert max(float(part.abs().max()) for part in FLOW.residual(fields)) < 1e-12
    places = drawn() * torch.tensor([1.0, 1.0, 0.0], dtype=DTYPE)
    start = torch.stack(FLOW.initial(places[:, 0], places[:, 1]), dim=-1)
    assert torch.allclose(exact(FLOW, places)[:, :2], start, atol=1e-14)


def test_a_networks_derivatives_are_those_of_autograd_and_it_is_periodic():
    torch.manual_seed(1)
    torus = Torus(8, 2, FLOW.final)
    for ours, theirs in zip(torus.jets(*drawn().unbind(-1)), automatic(torus, drawn()), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)
    turned = drawn() + torch.tensor([math.tau, -math.tau, 0.0], dtype=DTYPE)
    assert torch.allclose(torus(*turned.unbind(-1)), torus(*drawn().unbind(-1)), atol=1e-12)


@pytest.mark.parametrize("kind", sorted(MADE))
def test_a_formulations_fields_are_derivatives_of_its_answer(kind):
    module = made(kind)
    for ours, theirs in zip(module.fields(), automatic(module, drawn()), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)


def test_the_hard_form_starts_exactly_whatever_its_weights_and_the_soft_one_pays():
    places = drawn() * torch.tensor([1.0, 1.0, 0.0], dtype=DTYPE)
    start = exact(FLOW, places)[:, :2]
    hard, soft = made("hard"), made("soft")
    assert torch.allclose(hard(*places.unbind(-1))[:, :2], start, atol=1e-14) and float(hard.misfit()) == 0
    residuals = sum(float(part.square().mean()) for part in FLOW.residual(soft.fields()))
    assert float(soft.loss()) == pytest.approx(residuals + float(soft.misfit())) and float(soft.misfit()) > 1


def test_the_exact_solution_scores_0_and_the_floor_what_decay_takes_away():
    problem_task = task(drift=0.7)
    problem = problem_task.problem(None, Seeds(100, problem_task.name))
    flow = problem_task.flow(tuple(problem.public["phase"]))
    answer = problem_task.score(
        problem, Solution(lambda x, y, t: exact(flow, torch.stack([x, y, t], dim=-1)), {}), None
    )
    assert max(answer[name] for name in ("error", "val_error", "error_p", "initial_error")) < 1e-12
    floor = problem_task.score(problem, Solution(Initial(flow=flow, torus=None, points=None), {}), None)
    assert floor["error"] > 0.3 and floor["initial_error"] < 1e-12
    other = problem_task.problem(None, Seeds(101, problem_task.name))
    assert problem.public["phase"] != other.public["phase"]
    assert grid(2.0)[:, 2].unique().tolist() == [2.0]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"reynolds": 0.0}, "task.reynolds=0.0: it has to be finite and above 0"),
        ({"final": -1.0}, "task.final=-1.0"),
        ({"drift": math.inf}, "task.drift=inf"),
        ({"points": 0}, "has to be above 0"),
    ],
)
def test_a_flow_that_is_none_is_named(params, words):
    with pytest.raises(BenchError, match=words):
        task(**params)


def test_an_answer_of_another_form_and_a_negative_weight_are_named():
    problem_task = task()
    with pytest.raises(BenchError, match="wants u, v, p at each"):
        problem_task.score(
            problem_task.problem(None, Seeds(100, problem_task.name)), Solution(lambda x, y, t: x, {}), None
        )
    with pytest.raises(BenchError, match="initial_weight"):
        Soft(flow=FLOW, torus=lambda: Torus(8, 2, 1.0), points=None, initial_weight=-1.0)


def test_the_budget_is_evaluations_and_training_lowers_the_loss():
    spec = config.task_spec("pinn/taylor_green")
    parts = config.resolve_parts(spec, config.entry("vortex_hard"), {})
    outcome = call(Job(spec.target, config.parameters(spec, "smoke", {"evals": 40}), parts, 100, "/nowhere"))
    assert outcome.status == "ok" and outcome.costs.counts["evals"] == 40
    assert outcome.metrics["loss"] < 0.3 and outcome.metrics["initial_error"] < 1e-12
