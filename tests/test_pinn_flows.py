"""Steady flows of pinn/: closed forms, the reference of the cavity, derivatives, exact walls, exact mass, bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.pinn.flows import Fields, Hard, Lift, Soft, Stream, patch, wall
from bench.contract import BenchError, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.pinn.cavity_flow import Cavity
from tasks.pinn.flow import SIDES, CavityFlow, Flow, FlowPoints, Jets, KovasznayFlow
from tasks.pinn.network import Plane

DTYPE = torch.float64
FLOWS: dict[str, Flow] = {"kovasznay": KovasznayFlow(40.0), "cavity": CavityFlow(100.0)}
MADE = {"soft": Soft, "hard": Hard, "stream": Stream}


def task(name: str, **params: Any) -> Any:
    spec = config.task_spec(f"pinn/{name}")
    return spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", params)))


def inside(flow: Flow, count: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    shares = torch.rand(2, count, dtype=DTYPE, generator=torch.Generator().manual_seed(seed))
    x, y = (a + (b - a) * share for a, b, share in zip(flow.corner, flow.far, shares, strict=True))
    return x, y


def made(kind: str, name: str) -> Any:
    torch.manual_seed(0)
    flow = FLOWS[name]

    def plane(outputs: int = 3) -> Plane:
        return Plane(8, 3, flow.corner, flow.far, outputs)

    points = FlowPoints(*inside(flow), torch.linspace(0, 1, 9, dtype=DTYPE))
    return MADE[kind](flow=flow, plane=plane, points=points)


def slope(of: Tensor, by: Tensor) -> Tensor:
    """The derivative of every column (n, fields) by `by` (n,)."""
    parts = [torch.autograd.grad(column.sum(), by, create_graph=True, allow_unused=True)[0] for column in of.unbind(-1)]
    return torch.stack([torch.zeros_like(by) if part is None else part for part in parts], dim=-1)


def automatic(function: Any, x: Tensor, y: Tensor) -> Jets:
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    value = function(x, y)
    dx, dy = slope(value, x), slope(value, y)
    return Jets(value, dx, dy, slope(dx, x), slope(dy, y))


def test_kovasznays_flow_satisfies_the_equations_and_its_own_sides():
    for reynolds in (1.0, 40.0, 400.0):
        held = task("kovasznay", reynolds=reynolds)
        flow = held.flow()
        parts = flow.residual(automatic(held.solution, *inside(flow)))
        scale = float(held.solution(*inside(flow)).abs().max())
        assert all(float(part.abs().max()) < 1e-10 * max(1.0, scale**2) for part in parts)
        wrong = KovasznayFlow(2 * reynolds).residual(automatic(held.solution, *inside(flow)))
        assert float(wrong[0].abs().max()) > 1e-3
        share = torch.linspace(0, 1, 11, dtype=DTYPE)
        for side in SIDES:
            given = torch.stack(flow.trace(side, share), dim=-1)
            assert torch.allclose(held.solution(*flow.side(side, share))[:, :2], given, atol=1e-12)
    assert KovasznayFlow(40.0).decay == pytest.approx(-0.963741, abs=1e-6)


def test_the_cavitys_reference_is_converged_and_keeps_its_walls():
    coarse, fine = Cavity(100.0, 2, 14), Cavity(100.0, 2, 18)
    x, y = (part.numpy() for part in inside(FLOWS["cavity"], 200))
    gaps = [np.abs(a - b).max() for a, b in zip(coarse.velocity(x, y), fine.velocity(x, y), strict=True)]
    assert max(gaps) < 5e-5
    share, zero = np.linspace(0, 1, 21), np.zeros(21)
    lid = fine.velocity(share, zero + 1)
    assert np.allclose(lid[0], (4 * share * (1 - share)) ** 2, atol=1e-12) and np.allclose(lid[1], 0, atol=1e-12)
    for place in ((share, zero), (zero, share), (zero + 1, share)):
        assert all(np.allclose(part, 0, atol=1e-12) for part in fine.velocity(*place))


def test_the_cavitys_reference_satisfies_the_vorticity_equation_and_mirrors_where_it_is_slow():
    """By differences of psi inside, away from the corners, where its fourth derivatives are not bounded."""
    flow, h = Cavity(50.0, 2, 20), 1e-3
    x, y = (0.25 + 0.5 * part.numpy() for part in inside(FLOWS["cavity"], 30))

    def spin(x: Any, y: Any) -> Any:
        return flow.derivative(x, y, (2, 0)) + flow.derivative(x, y, (0, 2))

    u, v = flow.velocity(x, y)
    middle, right, left, up, down = spin(x, y), spin(x + h, y), spin(x - h, y), spin(x, y + h), spin(x, y - h)
    carried = u * (right - left) / (2 * h) + v * (up - down) / (2 * h)
    spread = (right + left + up + down - 4 * middle) / (50.0 * h**2)
    assert np.abs(carried - spread).max() < 2e-3 * np.abs(spread).max()
    slow = Cavity(1e-6, 2, 14)
    assert np.allclose(slow.velocity(x, y)[0], slow.velocity(1 - x, y)[0], atol=1e-6), "creeping flow is symmetric"


def plainly(module: Any) -> Any:
    """The module's fields as a function of x and y that can be differentiated again and again."""
    if not isinstance(module, Stream):
        return module

    def fields(x: Tensor, y: Tensor) -> Tensor:
        psi, p = module.plane(x, y).unbind(-1)
        if module.exact:
            held, gate = module.flow.stream(x, y)
            psi = held + gate * psi
        return torch.stack([slope(psi[:, None], y)[:, 0], -slope(psi[:, None], x)[:, 0], p], dim=-1)

    return fields


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("name", FLOWS)
def test_fields_and_their_gradient_are_those_of_automatic_differentiation(name, kind):
    module = made(kind, name)
    wanted, fields = automatic(plainly(module), module.points.x, module.points.y), module.fields()
    both = [(a[:, :columns], b[:, :columns]) for a, b, columns in zip(wanted, fields, (3, 3, 3, 2, 2), strict=True)]
    for a, b in both:  # second derivatives of the pressure are in no equation
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    with torch.no_grad():
        assert torch.allclose(module(module.points.x, module.points.y), wanted.value, atol=1e-12)
    totals = [sum(((i + 1.0) * parts[side]).sin().sum() for i, parts in enumerate(both)) for side in (0, 1)]
    for a, b in zip(*(torch.autograd.grad(total, [*module.parameters()]) for total in totals), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_plane_and_its_gradient_are_those_of_automatic_differentiation(outputs):
    torch.manual_seed(0)
    plane, (x, y) = Plane(8, 3, (-1.0, 0.0), (2.0, 0.5), outputs), inside(FLOWS["cavity"])
    wanted, jets = automatic(plane, x, y), plane.jets(x, y)
    for a, b in zip(wanted, jets, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
    totals = [sum(((i + 1.0) * part).sin().sum() for i, part in enumerate(parts)) for parts in (wanted, jets)]
    for a, b in zip(*(torch.autograd.grad(total, [*plane.parameters()]) for total in totals), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FLOWS)
def test_walls_are_exact_where_they_are_said_to_be(name):
    flow, share = FLOWS[name], torch.linspace(0, 1, 33, dtype=DTYPE)
    exact = {"soft": False, "hard": True, "stream": name == "cavity"}
    for kind, is_exact in exact.items():
        module = made(kind, name)
        errors = [
            float((module(*flow.side(side, share))[:, :2] - torch.stack(flow.trace(side, share), dim=-1)).abs().max())
            for side in SIDES
        ]
        assert (max(errors) < 1e-12) is is_exact, (kind, errors)
        assert (float(module.misfit()) == 0) is is_exact
    for side in SIDES:
        x, y = flow.side(side, share)
        assert torch.allclose(patch(flow, x, y), torch.stack(flow.trace(side, share), dim=-1), atol=1e-12)
        assert float(wall(flow, x, y).abs().max()) < 1e-12


@pytest.mark.parametrize("name", FLOWS)
def test_a_stream_function_conserves_mass(name):
    module = made("stream", name)
    fields = module.fields()
    assert float((fields.dx[:, 0] + fields.dy[:, 1]).abs().max()) == 0
    assert float(module.flow.residual(Fields(*fields))[2].abs().max()) == 0


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("entry", ["flow_soft", "flow_hard", "flow_stream"])
def test_a_run_spends_its_budget_and_shows(name, entry):
    spec = config.task_spec(f"pinn/{name}")
    parts = config.resolve_parts(spec, config.entry(entry), {})
    done = call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 100, "."))
    assert done.status == "ok", done.traceback
    assert done.costs.counts["evals"] == 16 and done.exhibits.keys() == {"u", "v"}
    assert ("error_p" in done.metrics) is (name == "kovasznay")
    assert (done.metrics["wall_error"] < 1e-12) is (entry == "flow_hard" or (entry, name) == ("flow_stream", "cavity"))
    assert (done.metrics["divergence"] < 1e-5) is (entry == "flow_stream")


def test_the_floor_is_not_trained_and_the_truth_scores_nothing():
    held = task("kovasznay")
    problem = held.problem(None, Seeds(100, held.name))
    done = held.score(problem, Solution(held.solution), None)
    assert (
        done["error"] < 1e-14 and done["error_p"] < 1e-14 and done["wall_error"] < 1e-12 and done["divergence"] < 1e-6
    )
    lift = Lift(flow=FLOWS["kovasznay"], plane=None, points=None)  # type: ignore[arg-type]
    assert not list(lift.parameters()) and lift(*inside(FLOWS["kovasznay"])).shape == (40, 3)
    with pytest.raises(BenchError, match="it wants u, v, p"):
        held.monitor(problem, lambda x, y: x)


@pytest.mark.parametrize(
    ("name", "params", "reason"),
    [
        ("kovasznay", {"reynolds": 0.0}, "task.reynolds=0.0: a Reynolds number is finite and above 0"),
        ("cavity", {"reynolds": -100.0}, "task.reynolds"),
        ("cavity", {"reynolds": math.nan}, "task.reynolds=nan"),
        ("cavity", {"lid": 0}, "jumps at the corners"),
        ("cavity", {"lid": 1}, "mass is lost"),
        ("cavity", {"degree": 3}, "task.degree"),
    ],
)
def test_flows_that_do_not_exist_are_told(name, params, reason):
    with pytest.raises(BenchError, match=reason):
        task(name, **params)


def test_a_wall_weight_that_is_no_number_is_told():
    with pytest.raises(BenchError, match="formulation.wall_weight=nan"):
        Soft(flow=FLOWS["cavity"], plane=None, points=None, wall_weight=math.nan)  # type: ignore[arg-type]


def test_a_reference_that_newtons_method_does_not_find_is_told():
    with pytest.raises(BenchError, match="raise task.degree"):
        Cavity(20000.0, 2, 6)
