"""The physics-informed network: its residuals vanish for solutions, its derivatives are right, and it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from baselines.solvers import pinn
from bench.contract import BenchError
from bench.planning import config
from tests.test_pde_tasks import cell

Field = Callable[[Tensor, Tensor], Tensor]
ADVECTION = {"name": "advection", "beta": 0.4}
GAS: dict[str, Any] = {"name": "compressible", "boundary": "periodic", "eta": 0.02, "zeta": 0.03}


def jet(field: Field, x: Tensor, t: Tensor) -> pinn.Jet:
    """The field (…, channels) and its derivatives at x, t by automatic differentiation."""
    x, t = x.requires_grad_(), t.requires_grad_()
    value = field(x, t)

    def slope(of: Tensor, by: Tensor) -> Tensor:
        parts = [torch.autograd.grad((c + 0 * by).sum(), by, create_graph=True)[0] for c in of.unbind(-1)]
        return torch.stack(parts, dim=-1)

    dx = slope(value, x)
    return pinn.Jet(value, dx, slope(value, t), slope(dx, x))


def points(generator: int = 0, count: int = 3) -> tuple[Tensor, Tensor]:
    made = torch.rand(2, count, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(generator))
    return made[0], 0.1 + made[1]


def wave(x: Tensor, t: Tensor) -> Tensor:
    return torch.sin(2 * math.pi * (x - 0.4 * t))[..., None]


def front(x: Tensor, t: Tensor) -> Tensor:
    """A travelling front of Burgers' equation with diffusion 0.1: from 1.3 on the left to 0.3 on the right."""
    return 0.8 - 0.5 * torch.tanh(0.5 * (x - 0.8 * t) / (2 * 0.1))[..., None]


def cole_hopf(x: Tensor, t: Tensor) -> Tensor:
    """A periodic solution with diffusion 0.05: the logarithmic derivative of a solution of the heat equation."""
    k, nu = 2 * math.pi, 0.05
    decay = torch.exp(-nu * k * k * t)
    return (2 * nu * k * decay * torch.sin(k * x) / (2 + decay * torch.cos(k * x)))[..., None]


def logistic(x: Tensor, t: Tensor) -> Tensor:
    return (1 / (1 + 3 * torch.exp(-1.5 * t)) + 0 * x)[..., None]


def fisher(x: Tensor, t: Tensor) -> Tensor:
    """Ablowitz and Zeppetella's travelling front of u_t = u_xx + u (1 - u)."""
    return (1 + torch.exp((x - 5 / math.sqrt(6) * t) / math.sqrt(6)))[..., None] ** -2


def drift(x: Tensor, t: Tensor) -> Tensor:
    """A density carried along at a constant speed under a constant pressure."""
    return torch.stack([2 + torch.sin(2 * math.pi * (x - 0.3 * t)), 0 * x + 1.5, 0 * x + 0.3], dim=-1)


def expansion(x: Tensor, t: Tensor) -> Tensor:
    """v = x / (1 + t) with a uniform density and pressure, which viscosity heats."""
    viscosity, s = 4 / 3 * GAS["eta"] + GAS["zeta"], 1 + t
    return torch.stack([2 / s + 0 * x, s**-pinn.GAMMA + viscosity / s, x / s], dim=-1)


SOLUTIONS = [
    (ADVECTION, wave),
    ({"name": "burgers", "nu": 0.1 * math.pi}, front),
    ({"name": "burgers", "nu": 0.05 * math.pi}, cole_hopf),
    ({"name": "reaction_diffusion", "nu": 0.5, "rho": 1.5}, logistic),
    ({"name": "reaction_diffusion", "nu": 1.0, "rho": 1.0}, fisher),
    ({"name": "diffusion_sorption"}, lambda x, t: (0.5 + 0.2 * x + 0 * t)[..., None]),
    (GAS, drift),
    (GAS, expansion),
]


@pytest.mark.parametrize(("equation", "solution"), SOLUTIONS)
def test_the_residual_of_a_solution_vanishes_and_that_of_another_field_does_not(
    equation: dict[str, Any], solution: Field
):
    held = pinn.physics(equation)
    assert float(held.residual(jet(solution, *points()), equation).abs().max()) < 1e-12
    other = held.residual(
        jet(lambda x, t: solution(x, 1.2 * t) + 0.1 * torch.sin(3 * x)[..., None], *points()), equation
    )
    assert float(other.abs().max()) > 1e-5


def test_the_residuals_agree_with_the_solvers_that_made_the_data():
    """Where no solution is known in closed form: the slope of the field in time is that of the data's generator."""
    import numpy as np

    from tasks.pde.generate import compressible, diffusion_sorption

    x = torch.from_numpy((np.arange(512) + 0.5) / 512)
    u = 0.4 + 0.3 * torch.cos(math.pi * x)
    dx, dxx = -0.3 * math.pi * torch.sin(math.pi * x), -0.3 * math.pi**2 * torch.cos(math.pi * x)
    slope = -np.diff(diffusion_sorption.SOIL.fluxes(u.numpy())) * 512 / diffusion_sorption.SOIL.retardation(u.numpy())
    held = pinn.Jet(*(part[None, :, None] for part in (u, dx, torch.from_numpy(slope), dxx)))
    residual = pinn.physics({"name": "diffusion_sorption"}).residual(held, {})[0, 2:-2, 0]
    assert float(residual.abs().max()) < 1e-4 * float(np.abs(slope).max())

    def gas(x: Tensor, t: Tensor) -> Tensor:
        k = 2 * math.pi
        waves = [2 + 0.3 * torch.sin(k * x), 1.5 + 0.2 * torch.cos(k * x), 0.4 * torch.sin(k * x + 1)]
        return torch.stack(waves, dim=-1) + 0 * t[..., None]

    step, cells = 1e-4, torch.from_numpy((np.arange(1024) + 0.5) / 1024)[None]
    state = gas(cells, 0 * cells)
    moved, _ = compressible.advance(
        compressible.conservative(state, pinn.GAMMA), [0.0, step], [1 / 1024], pinn.GAMMA, GAS["eta"], GAS["zeta"],
        "periodic",
    )  # fmt: skip
    dt = (compressible.primitive(moved, pinn.GAMMA)[:, -1] - state) / step
    still = jet(gas, cells.clone(), 0 * cells)
    residual = pinn.physics(GAS).residual(still._replace(dt=dt), GAS)
    assert float((residual.square().mean() / dt.square().mean()).sqrt()) < 5e-3


@pytest.mark.parametrize("periodic", [True, False])
def test_the_networks_derivatives_are_those_of_automatic_differentiation(periodic: bool):
    torch.manual_seed(0)
    mean, scale = torch.randn(3, 1, 2), torch.rand(3, 1, 2) + 0.5
    networks = pinn.Networks(mean, scale, (-1.0, 2.0, 0.7), periodic, 8, 3).double()
    x, t = points()
    wanted, found = jet(networks, x.clone(), t.clone()), networks.jet(x, t)
    for a, b in zip(wanted, found, strict=True):
        torch.testing.assert_close(a, b)
    weights = list(networks.parameters())

    def total(of: pinn.Jet) -> Tensor:
        return sum((torch.sin((i + 1.0) * part)).sum() for i, part in enumerate(of))  # type: ignore[return-value]

    gradients = (torch.autograd.grad(total(one), weights) for one in (wanted, found))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
    if periodic:
        for a, b in zip(networks.jet(x, t), networks.jet(x + 2, t), strict=True):
            torch.testing.assert_close(a, b)


def test_summed_residuals_cancel_and_squares_of_each_do_not(monkeypatch: pytest.MonkeyPatch):
    def opposed(u: pinn.Jet, equation: Any) -> Tensor:
        one = 1 + 0 * u.value[..., :1]
        return torch.cat([one, 2 * one, -3 * one], dim=-1)

    monkeypatch.setitem(pinn.PHYSICS, "opposed", pinn.Physics(opposed))  # type: ignore[arg-type]
    ones = torch.ones(2, 1, 3)
    networks = pinn.Networks(ones, ones, (0.0, 1.0, 1.0), True, 8, 2)
    initial = networks((torch.arange(16) + 0.5).expand(2, 16) / 16, torch.zeros(2, 16)).detach()
    x, t = (part[:2].float() for part in points())
    apart, summed = (float(pinn.loss(networks, initial, x, t, {"name": "opposed"}, flag)) for flag in (False, True))
    assert apart == pytest.approx(2 * (1 + 4 + 9)) and summed == pytest.approx(0, abs=1e-9)


def advected(steps: int) -> float:
    x, t = (torch.arange(32) + 0.5) / 32, torch.tensor([0.25, 0.5])
    starts = torch.stack([wave(x, 0 * x), 0.1 * wave(x + 0.3, 0 * x)])
    found = pinn.solve(starts, [x], t, ADVECTION, steps=steps, width=20, layers=3, lr=5e-3)
    exact = torch.stack([torch.cat([wave(x + s, 0 * x + one) for one in t.tolist()], dim=-1) for s in (0, 0.3)])
    exact *= torch.tensor([1, 0.1])[:, None, None]
    assert found.shape == (2, 32, 2, 1)
    error = (found[..., 0] - exact).square().mean(dim=1) / exact.square().mean(dim=1)
    return float(error.sqrt().mean())


def test_training_lowers_the_error_even_where_gradients_are_off():
    with torch.no_grad():
        before, after = advected(20), advected(400)
    assert after < 0.1 < 0.5 < before


def test_other_equations_train_and_an_unknown_one_is_named():
    x, t = (torch.arange(16) + 0.5) / 16, torch.tensor([50.0, 100.0])
    found = pinn.solve(torch.full((2, 16, 1), 0.1), [x], t, {"name": "diffusion_sorption"}, steps=300)
    assert bool((found[:, :-1].diff(dim=1) < 0.02).all()) and float(found[:, 0].min()) > 0.5
    for boundary in ("periodic", "outgoing"):
        states = pinn.solve(drift(x, 0 * x)[None].float(), [x], t / 500, {**GAS, "boundary": boundary}, steps=3)
        assert states.shape == (1, 16, 2, 3) and bool(torch.isfinite(states).all())
    with pytest.raises(BenchError, match="knows advection, burgers, .*not 'darcy'"):
        pinn.solve(torch.zeros(1, 16, 1), [x], t, {"name": "darcy"}, steps=1)


def test_the_entry_is_a_cell(tmp_path):
    outcome = cell("pde/advection_1d", "pinn", tmp_path, **{"solver.steps": 5})
    assert outcome.status == "ok", outcome.reason
    other = cell("pde/advection_1d", "pinn", tmp_path, seed=1, **{"solver.steps": 5})
    assert other.metrics != outcome.metrics  # its weights and points are the seed's
    assert config.entry("pinn").division == "closed"
