"""The inverse problem: exact where it can be, as good as noise allows where it cannot, and run by the contract."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from baselines.solvers import heat, inversion
from bench.contract import BenchError, Curves, Problem, Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.pde import fields, inverse
from tasks.pde.files.fields import Fields
from tasks.pde.inverse_1d import Inverse

NAME = "pde/inverse_1d"
EQUATIONS: dict[str, dict[str, float]] = {"advection": {"beta": 0.4}, "heat": {"nu": 0.1}, "burgers": {"nu": 0.1}}
ENTRIES = (
    "inverse_mean",
    "persistence",
    "inverse_filtered",
    "inverse_solver",
    "inverse_surrogate",
    "spectral_64",
    "conv",
)


def run(entry: str, cache: Any, seed: int = 0, task: dict[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
    spec = config.task_spec(NAME)
    outcome = call(
        Job(
            target=spec.target,
            params=config.parameters(spec, "smoke", task or {}),
            parts=config.resolve_parts(spec, config.entry(entry), parts),
            seed=seed,
            cache=str(cache),
        )
    )
    assert outcome.status == "ok", outcome.traceback or outcome.reason
    return outcome


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("cache")


def forward(name: str, points: int, time: float, **changed: float):
    """The differentiable map of the equation, for states (batch, points, 1)."""
    axes = [(torch.arange(points) + 0.5) / points]
    equation = {"name": name, **EQUATIONS[name], **changed}
    return lambda u: heat.solve(u, axes, torch.tensor([time]), equation, points)[..., 0, :]


def states(samples: int, points: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(fields.Waves.draw(samples, seed)(fields.grid(points)))[..., None]


# The dynamics -------------------------------------------------------------------------------------


@pytest.mark.parametrize("points", [32, 33])
@pytest.mark.parametrize("name", EQUATIONS)
def test_what_a_state_leads_to_is_what_made_the_data_and_what_the_solver_says(name: str, points: int):
    waves = fields.Waves.draw(4, 1)
    data = inverse.evolved(waves, points, np.array([0.0, 0.1]), name, **EQUATIONS[name])
    start = torch.from_numpy(data[:, 0])
    reached = inverse.reached(start + 0.5, 0.1, "heat", nu=0.1)
    torch.testing.assert_close(reached.mean(dim=1), start.mean(dim=1) + 0.5)
    reached = inverse.reached(start, 0.1, name, **EQUATIONS[name])
    torch.testing.assert_close(reached, torch.from_numpy(data[:, 1]), atol=1e-9, rtol=0)
    solved = forward(name, points, 0.1)(start[..., None])[..., 0]
    torch.testing.assert_close(solved, reached, atol=2e-3, rtol=0)


def test_a_state_that_a_search_has_blown_up_has_a_future_too():
    wild = torch.tensor([[math.nan, math.inf, -1e30, 0.0] * 8])
    assert bool(torch.isfinite(inverse.reached(wild, 0.1, "burgers", nu=0.1)).all())


@pytest.mark.parametrize("name", EQUATIONS)
def test_the_gradient_through_the_solver_is_that_of_finite_differences(name: str):
    model, start, weights = forward(name, 16, 0.1), states(2, 16), states(2, 16, seed=1)
    # The solver's time step follows the largest value, which a difference must not move.
    free = start.abs() < 0.9 * start.abs().amax(dim=(0, 1))
    point = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((weights * model(point)).sum(), point)
    values, slopes = inversion.linearised(lambda z: model(z[..., None])[..., 0], start[..., 0])
    torch.testing.assert_close(values, model(start)[..., 0])
    torch.testing.assert_close((weights.mT @ slopes)[:, 0], gradient[..., 0])
    for sample, place, _ in torch.nonzero(free)[::3].tolist():
        shift = torch.zeros_like(start)
        shift[sample, place] = 1e-5
        difference = (weights * (model(start + shift) - model(start - shift))).sum() / 2e-5
        assert float(gradient[sample, place]) == pytest.approx(float(difference), rel=1e-5, abs=1e-7)


# The classical inverse ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", EQUATIONS)
def test_without_noise_the_classical_inverse_is_exact(name: str, cache):
    found = run("inverse_filtered", cache, task={"equation": name, "noise": 0.0}).metrics
    assert found["nrmse"] < (5e-3 if name == "burgers" else 1e-5)  # the solver on 64 points is not exact for Burgers
    assert found["nrmse_reached"] < (5e-3 if name == "burgers" else 1e-5)


@pytest.mark.parametrize("nu", [0.02, 0.2, 1.0])
def test_heat_is_recovered_as_well_as_noise_allows_and_worse_the_more_has_decayed(nu: float):
    """Wiener's error of wave k: its power P less F^2 P^2 / (F^2 P + s^2), where F = exp(-(nu/pi) (2 pi k)^2 T)."""
    samples, points, time, noise = 400, 32, 0.1, 0.02
    generator = torch.Generator().manual_seed(0)
    x, k = torch.from_numpy(fields.grid(points)), torch.arange(1, 6)
    power = 1.0 / k**2  # mean square of a wave
    angles = 2 * math.pi * k[:, None] * x
    draws = torch.randn(2, samples, len(k), dtype=torch.float64, generator=generator) * power.sqrt()
    true = draws[0] @ torch.cos(angles) + draws[1] @ torch.sin(angles)
    model = forward("heat", points, time, nu=nu)
    late = model(true[..., None])
    size = noise * late.square().mean(dim=1, keepdim=True).sqrt()
    observed = late + size * torch.randn(late.shape, dtype=torch.float64, generator=generator)
    found = inversion.filtered(observed, model, true[..., None], noise)[..., 0]

    def powers(u: Tensor) -> Tensor:  # of a state's waves k, mean squares of the sine's and the cosine's factors
        return 2 * (torch.fft.rfft(u).abs() / points).square()[:, 1 : len(k) + 1]

    factor = torch.exp(-nu / math.pi * (2 * math.pi * k) ** 2 * time).double()
    white = size[:, :, 0].square() * 2 / points  # noise in one factor
    share = 1 - factor**2 * power / (factor**2 * power + white)
    wanted = (share * power).mean(dim=0)
    torch.testing.assert_close(powers(found - true).mean(dim=0), wanted, rtol=0.2, atol=1e-9)
    relative = wanted / power
    assert bool((relative.diff() > 0).all())
    if nu == 1.0:
        assert float(relative[0]) < 0.01 and float(relative[-1]) > 0.99  # the finest waves are gone for good


def test_the_prior_is_the_power_of_the_waves():
    basis = inversion.basis(states(4000, 32)[..., 0])
    assert basis.shape == (32, 8)
    size = basis.square().mean(dim=0)
    # Two terms, each of number k in a quarter of the cases; E a^2 = 1/3, shared by sine and cosine, each of mean square 1/2.
    torch.testing.assert_close(size, torch.full((8,), 2 / 4 / 3 / 4, dtype=size.dtype), rtol=0.15, atol=0)
    assert inversion.basis(torch.ones(3, 8, dtype=torch.float64)).tolist() == [[1.0]] * 8


# The search ---------------------------------------------------------------------------------------


def test_the_search_inverts_advection_and_starts_from_what_is_observed():
    true = states(3, 32)
    model = forward("advection", 32, 0.3)
    found = inverse.search(model(true), model, true, 0.0, iterations=200)
    assert float((found - true).square().mean().sqrt()) < 0.01
    torch.testing.assert_close(
        inverse.search(true, lambda u: 0 * u, true, 0.0, iterations=1), true, rtol=1e-9, atol=1e-9
    )


def test_a_finer_grid_has_64_values_with_lines_between_them():
    true = states(2, 256)
    found = inverse.search(true, lambda u: u, true, 0.0, iterations=50)
    assert found.shape == true.shape
    bends = torch.cat([found, found[:, :2]], dim=1)[..., 0].diff(n=2, dim=1)
    assert int((bends.abs() > 1e-9).sum(dim=1).max()) <= 2 * 64  # centres of 4 fine cells lie between two of them
    assert float((found - true).abs().max()) < 0.03
    with pytest.raises(BenchError, match="a grid of 100 points is no multiple of latent=64"):
        inverse.search(states(1, 100), lambda u: u, true, 0.0)
    with pytest.raises(BenchError, match="a model that torch can differentiate"):
        inverse.search(true, lambda u: u.detach(), true, 0.0)


# Cells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_gives_every_metric(entry: str, cache):
    other = entry == "spectral_64"  # which knows no heat
    brief = {"inversion.iterations": 5} if other else {}
    outcome = run(entry, cache, task={"equation": "burgers"} if other else {}, **brief)
    assert set(outcome.metrics) == {metric.name for metric in Inverse.metrics}
    trained = entry in ("inverse_surrogate", "conv")
    assert outcome.costs.counts.get("steps", 0) == (8 if trained else 0)
    if entry == "inverse_mean":
        assert outcome.metrics["nrmse"] == pytest.approx(1, abs=0.05)


def test_the_reference_beats_the_floor_and_a_search_lies_between(cache):
    entries = (Inverse.floors[0], "inverse_solver", Inverse.reference)
    floor, between, best = (run(one, cache).metrics["nrmse"] for one in entries)
    assert best < between < floor and math.log(floor / best) > Inverse.margin


def test_a_learned_model_serves_the_search(cache):
    task = {"steps": 150, "train": 64}
    found = run("inverse_surrogate", cache, task=task).metrics
    assert found["nrmse"] < 0.5 and found["nrmse_reached"] < 0.3


def made(seed: int = 0, **changed: Any) -> tuple[Inverse, Problem]:
    task = Inverse(Inverse.Params(**{**Inverse.presets["smoke"], **changed}))
    return task, task.problem(task.shards(0)(0, task.samples), Seeds(seed, NAME))


def test_the_noise_and_the_split_are_the_seeds():
    (_, first), (_, other), (_, clean) = made(0), made(1), made(0, noise=0.0)
    assert first.public["train"].shape == (8, 32, 2, 1) and not torch.equal(
        first.public["train"], other.public["train"]
    )
    assert torch.equal(first.public["train"], clean.public["train"])
    assert not torch.equal(first.hidden["observed_test"], other.hidden["observed_test"])
    late = first.hidden["test"][..., 1, :]
    assert torch.equal(clean.hidden["observed_test"], late)
    error = (first.hidden["observed_test"] - late).square().mean(dim=1) / late.square().mean(dim=1)
    assert float(error.mean().sqrt()) == pytest.approx(0.01, rel=0.2)
    assert first.public["equation"] == {"name": "heat", "constants": 0, "nu": 0.1} and first.public["noise"] == 0.01
    assert "observed_test" not in first.public and "test" not in first.public


def test_data_are_told_apart_by_the_equation_and_not_by_the_noise(tmp_path):
    names = {made(**one)[0].generated_file(tmp_path, 0).name for one in ({"equation": e} for e in EQUATIONS)}
    assert len(names) == 3
    assert made()[0].generated_file(tmp_path, 0) == made(noise=0.3)[0].generated_file(tmp_path, 0)


def test_wrong_parameters_and_answers_are_named(tmp_path):
    with pytest.raises(BenchError, match="equation='wave' is none of advection, heat, burgers"):
        Inverse(Inverse.Params(equation="wave")).prepare(tmp_path, 0)
    with pytest.raises(BenchError, match="noise=-1"):
        Inverse(Inverse.Params(noise=-1.0)).prepare(tmp_path, 0)
    task, problem = made()
    none: Curves = None  # type: ignore[assignment]
    with pytest.raises(BenchError, match=r"predict returned \(4, 32\)"):
        task.score(problem, Solution(lambda observed: observed[..., 0]), none)
    with pytest.raises(BenchError, match="no `predict`"):
        task.score(problem, Solution(), none)
    blown = task.score(problem, Solution(lambda observed: 1e30 * observed), none)
    assert blown["nrmse"] == 10 and math.isfinite(blown["nrmse_reached"] or 0)


def test_a_file_gives_its_first_and_last_frame(tmp_path):
    from tasks.pde.files import writing

    t, x = np.linspace(0, 0.4, 5), fields.grid(32)
    values = fields.advection(fields.Waves.draw(6, 5), x, t, 0.7).astype(np.float32)
    held = Fields(values[..., None], (x,), t, ("u",), {"beta": 0.7})
    path = tmp_path / "1D_Advection_Sols_beta0.7.hdf5"
    writing.write(path, held, [held], "scalar")
    sizes = {"points": 32, "frames": 5, "final_time": 0.4, "train": 4, "valid": 1, "test": 1}
    task = {**sizes, "file": str(path), "equation": "advection", "beta": 0.7, "noise": 0.0}
    outcome = run("inverse_filtered", tmp_path, task=task)
    assert outcome.metrics["nrmse"] < 1e-2 and outcome.origin == path.name
    wrong = replace(Inverse.Params(**task), beta=0.4)
    with pytest.raises(BenchError, match="holds 0.7, not the advection equation with 0.4"):
        Inverse(wrong).prepare(tmp_path, 0)
