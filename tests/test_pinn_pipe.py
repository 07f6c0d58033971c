"""The pipe with a wave of pinn/: its reference, Poiseuille's limit, drag, exact walls, lubrication, bad input."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.pinn.pipes import AtRest, Hard, Lubrication, Soft
from bench.contract import BenchError, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.pinn.flow import Jets
from tasks.pinn.pipe import Pipe, PipePoints
from tasks.pinn.pipe_flow import PipeFlow, across, solved
from tasks.pinn.strip import Strip

DTYPE = torch.float64
PIPE = Pipe(20.0, 0.3)
MADE = {"soft": (Soft, {}), "hard": (Hard, {}), "distance": (Hard, {"distance": True})}


def inside(pipe: Pipe = PIPE, count: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    shares = torch.rand(2, count, dtype=DTYPE, generator=torch.Generator().manual_seed(seed))
    x = math.tau * shares[0]
    return x, (2 * shares[1] - 1) * pipe.half_width(x)[0]


def made(kind: str) -> Any:
    torch.manual_seed(0)
    cls, arguments = MADE[kind]
    points = PipePoints(*inside(), torch.linspace(0, 6, 9, dtype=DTYPE))
    return cls(pipe=PIPE, strip=lambda: Strip(8, 2, 1.3), points=points, **arguments)


def slope(of: Tensor, by: Tensor) -> Tensor:
    parts = [torch.autograd.grad(column.sum(), by, create_graph=True, allow_unused=True)[0] for column in of.unbind(-1)]
    return torch.stack([torch.zeros_like(by) if part is None else part for part in parts], dim=-1)


def automatic(function: Any, x: Tensor, y: Tensor) -> Jets:
    """The fields and their derivatives by autograd."""
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    value = function(x, y)
    dx, dy = slope(value, x), slope(value, y)
    return Jets(value, dx, dy, slope(dx, x), slope(dy, y))


def task(**params: Any) -> Any:
    spec = config.task_spec("pinn/sine_pipe")
    return spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", params)))


# The reference


def test_without_a_wave_the_flow_is_poiseuilles_parabola():
    x, y = inside(Pipe(20.0, 0.0))
    expected = torch.stack([1 - y * y, torch.zeros_like(y), torch.zeros_like(y)], dim=-1)
    assert torch.allclose(PipeFlow(Pipe(20.0, 0.0), 4, 3)(x, y), expected, atol=1e-13)


def test_the_reference_satisfies_the_equations_and_its_walls():
    fields = automatic(solved(PIPE), *inside())
    assert max(float(part.abs().max()) for part in PIPE.residual(fields)) < 1e-5
    x = torch.linspace(0, 6, 30, dtype=DTYPE)
    assert float(solved(PIPE)(x, PIPE.half_width(x)[0])[:, :2].abs().max()) < 1e-13


@pytest.mark.parametrize(("reynolds", "accuracy"), [(20.0, 2e-6), (50.0, 5e-5)])
def test_the_reference_converges_with_its_order(reynolds, accuracy):
    pipe = Pipe(reynolds, 0.3)
    coarse, fine, best = (PipeFlow(pipe, modes, degree)(*inside(pipe)) for modes, degree in ((8, 5), (12, 7), (16, 9)))
    off = [float((flow - best).abs().max()) for flow in (coarse, fine)]
    assert off[1] < accuracy and off[1] < off[0] / 20


def test_the_flux_is_the_same_through_every_section():
    x, share = torch.linspace(0, 6, 7, dtype=DTYPE), torch.linspace(-1, 1, 401, dtype=DTYPE)
    R = PIPE.half_width(x)[0]
    u = solved(PIPE)(x.repeat_interleave(401), (R[:, None] * share).flatten())[:, 0].view(7, 401)
    flux = torch.trapezoid(u, share, dim=1) * R
    assert float((flux / flux[0] - 1).abs().max()) < 1e-5


def test_polynomials_across_have_their_derivatives_and_parity():
    s = torch.linspace(-0.9, 0.9, 7, dtype=DTYPE).requires_grad_()
    for odd in (False, True):
        value, first, second = across(s, 4, odd=odd, walls=True)
        assert torch.allclose(slope(value, s), first) and torch.allclose(slope(first, s), second)
        assert torch.allclose(across(-s, 4, odd=odd, walls=True)[0], (-1) ** odd * value)


def test_drag_is_the_pressure_gradient_times_the_area():
    problem_task = task()
    assert problem_task.drag(solved(PIPE)) == pytest.approx(2 / 20 * 2 * math.tau, rel=1e-5)
    plain_pipe = task(amplitude=0.0)
    parabola = lambda x, y: torch.stack([1 - y * y, torch.zeros_like(y), torch.zeros_like(y)], dim=-1)  # noqa: E731
    assert plain_pipe.drag(parabola) == pytest.approx(2 / 20 * 2 * math.tau, rel=1e-7)


# Formulations


@pytest.mark.parametrize("kind", sorted(MADE))
def test_a_formulations_fields_are_derivatives_of_its_answer(kind):
    module = made(kind)
    for ours, theirs in zip(module.fields(), automatic(module, *inside()), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize("kind", ["hard", "distance"])
def test_walls_by_construction_are_at_rest_whatever_the_weights(kind):
    x = torch.linspace(0, 6, 30, dtype=DTYPE)
    for side in (1, -1):
        assert float(made(kind)(x, side * PIPE.half_width(x)[0])[:, :2].abs().max()) < 1e-14
    assert float(made(kind).misfit()) == 0 < float(made("soft").misfit())


def test_lubrication_is_exact_without_a_wave_and_near_for_a_slow_flow_in_a_slight_one():
    for pipe, accuracy in ((Pipe(20.0, 0.0), 1e-12), (Pipe(0.1, 0.02), 1e-2)):
        x, y = inside(pipe)
        answer = Lubrication(pipe=pipe, strip=None, points=PipePoints(x, y, x))(x, y)
        exact = solved(pipe)(x, y)
        assert float((answer - exact)[:, :2].norm() / exact[:, :2].norm()) < accuracy
    pressure = answer[:, 2] - answer[:, 2].mean(), exact[:, 2] - exact[:, 2].mean()
    assert (
        float((pressure[0] - pressure[1]).norm() / pressure[1].norm()) < 0.25
    )  # a wave of 2 pi is not long against the width


# The task, and bad input


def test_the_reference_scores_0_and_the_floor_1():
    problem_task = task()
    problem = problem_task.problem(None, Seeds(100, problem_task.name))
    exact = problem_task.score(problem, Solution(solved(PIPE), {}), None)
    assert max(exact[name] for name in ("error", "val_error", "error_p", "wall_error")) < 1e-12
    assert exact["drag_error"] < 1e-5 and exact["divergence"] < 1e-5
    floor = problem_task.score(problem, Solution(AtRest(pipe=PIPE, strip=None, points=None), {}), None)
    assert floor["error"] == pytest.approx(1) and floor["drag_error"] == pytest.approx(1) and floor["wall_error"] == 0.0


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"reynolds": 0.0}, "task.reynolds=0.0: a Reynolds number is finite and above 0"),
        ({"amplitude": 1.0}, "close at 1; give 0 or more and less than 1"),
        ({"amplitude": -0.1}, "task.amplitude=-0.1"),
        ({"points": 0}, "has to be above 0"),
    ],
)
def test_a_pipe_that_is_none_is_named(params, words):
    with pytest.raises(BenchError, match=words):
        task(**params)


def test_a_flow_that_is_not_reached_is_named():
    with pytest.raises(BenchError, match="no steady flow was reached; lower one of them"):
        PipeFlow(Pipe(1e6, 0.6), 4, 3)


def test_training_keeps_the_walls_exact_and_spends_the_budget():
    spec = config.task_spec("pinn/sine_pipe")
    parts = config.resolve_parts(spec, config.entry("pipe_hard"), {})
    outcome = call(Job(spec.target, config.parameters(spec, "smoke", {"evals": 60}), parts, 100, "/nowhere"))
    assert outcome.status == "ok" and outcome.costs.counts["evals"] == 60
    assert outcome.metrics["wall_error"] < 1e-14 and outcome.metrics["error"] < 0.9
