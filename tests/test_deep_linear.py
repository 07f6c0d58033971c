"""Deep linear networks: closed forms, what gradient flow conserves, Gaussian products, and the three tasks against them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.initializers import deep_linear as starts
from bench.contract import BenchError, Diverged
from bench.execute import Job, call
from bench.planning import config
from bench.records.record import Record
from bench.seeds import Stream
from tasks.deep_linear import modes as modes_task
from tasks.deep_linear import network, saxe, trajectories
from tests.test_claims import record


def cell(task: str, entry: str, seed: int = 0, preset: str = "smoke", parts: dict | None = None, **given) -> dict:
    spec = config.task_spec(f"deep_linear/{task}")
    resolved = config.resolve_parts(spec, config.entry(entry), parts or {})
    return call(Job(spec.target, config.parameters(spec, preset, given), resolved, seed, "/nowhere"))


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The theory


@given(st.floats(0.1, 10), st.floats(1e-6, 0.4), st.floats(0.5, 0.99))
@settings(deadline=None, max_examples=30)
def test_a_mode_takes_the_time_of_two_layers_and_solves_the_equation(s, low, high):
    u0, uf = low * s, high * s
    t = math.log(uf * (s - u0) / (u0 * (s - uf))) / (2 * s)
    assert float(saxe.mode([t], s, u0)[0]) == pytest.approx(uf, rel=1e-9)
    assert saxe.deep_mode_time(2, s, u0, uf) == pytest.approx(t, rel=1e-7)
    h = 1e-5 * t
    slope = float(np.diff(saxe.mode([t - h, t + h], s, u0))[0]) / (2 * h)
    assert slope == pytest.approx(2 * uf * (s - uf), rel=1e-4)


@pytest.mark.parametrize("layers", [3, 5, 20])
def test_the_integrated_mode_agrees_with_quadrature(layers):
    t = saxe.deep_mode_time(layers, 1.5, 0.02, 1.2)
    assert float(saxe.deep_mode([0.0, t], layers, 1.5, 0.02)[-1]) == pytest.approx(1.2, rel=1e-7)


def test_the_delay_of_infinite_depth_is_finite_and_approached_from_below():
    times = [layers * saxe.deep_mode_time(layers, 1.0, 0.01, 0.9) for layers in (2, 4, 16, 64, 1024, 2**20)]
    limit = saxe.infinite_depth_time(1.0, 0.01, 0.9)
    assert limit == pytest.approx(98.8889 + math.log(891), abs=1e-3)
    assert times == sorted(times) and times[-1] < limit
    assert times[-1] == pytest.approx(limit, rel=1e-4)


def test_newmans_exponents():
    """Two dimensions by hand, and a sum that is the mean logarithm of a Gaussian determinant."""
    euler = 0.5772156649015329
    assert saxe.gaussian_exponents(2) == pytest.approx([-euler / 2, (-euler - 2 * math.log(2)) / 2])
    matrices = torch.randn(4000, 5, 5, generator=drawn(), dtype=torch.float64) / math.sqrt(5)
    logs = torch.linalg.slogdet(matrices).logabsdet
    error = float(logs.std()) / math.sqrt(len(logs))
    assert float(logs.mean()) == pytest.approx(float(saxe.gaussian_exponents(5).sum()), abs=4 * error)


def test_the_sampling_error_of_exponents_is_that_of_chi_variables():
    found = torch.stack([network.exponents(network.gaussian([6] * 41, drawn(i))) for i in range(150)])
    expected = saxe.gaussian_exponent_errors(6, 40)
    assert found.std(dim=0).numpy() == pytest.approx(expected, rel=0.25)
    assert float(((found.mean(dim=0).numpy() - saxe.gaussian_exponents(6)) / (expected / math.sqrt(150))).max()) < 4


@pytest.mark.parametrize(
    "ask",
    [
        lambda: saxe.mode([1.0], 1.0, 0.0),
        lambda: saxe.deep_mode_time(2, 1.0, 0.5, 1.0),
        lambda: saxe.infinite_depth_time(1.0, 0.9, 0.5),
        lambda: saxe.gaussian_exponents(0),
    ],
)
def test_the_theory_refuses_what_it_does_not_cover(ask):
    with pytest.raises(BenchError, match="u0|above 0"):
        ask()


# The network


@pytest.mark.parametrize("sizes", [[4, 6, 3], [5, 5, 5, 5, 5], [3, 2]])
def test_a_step_is_that_of_autograd(sizes):
    weights = network.gaussian(sizes, drawn(1))
    target = torch.randn(sizes[-1], sizes[0], generator=drawn(2), dtype=torch.float64)
    model = network.Chain([w.clone() for w in weights])
    loss = network.loss(target, model())
    loss.backward()
    expected = [(w - 0.01 * w.grad).detach() for w in model.weights]
    assert network.step(weights, target, 0.01) == pytest.approx(float(loss))
    for found, wanted in zip(weights, expected, strict=True):
        assert torch.allclose(found, wanted, atol=1e-12)


def test_what_flow_conserves_drifts_in_proportion_to_the_rate():
    target = torch.randn(4, 4, generator=drawn(3), dtype=torch.float64)
    drifts = []
    for rate in (0.002, 0.001):
        weights = network.gaussian([4, 6, 5, 4], drawn(4))
        first = network.invariants(weights)
        for _ in range(round(1 / rate)):
            network.step(weights, target, rate)
        drifts.append(max(float((a - b).norm()) for a, b in zip(network.invariants(weights), first, strict=True)))
    assert 1.8 < drifts[0] / drifts[1] < 2.2 and drifts[1] < 0.05


def test_a_step_that_leaves_the_finite_numbers_is_divergence():
    weights = [w * 1e160 for w in network.gaussian([3, 3, 3], drawn())]
    with pytest.raises(Diverged, match="smaller rate"):
        network.step(weights, torch.eye(3, dtype=torch.float64), 0.1)


def test_exponents_of_scaled_and_diagonal_matrices():
    scales = torch.tensor([2.0, 0.5, 1e-3], dtype=torch.float64)
    assert torch.allclose(network.exponents([scales.diag()] * 400), scales.log())
    sent = network.vector_exponents(
        [2 * torch.eye(3, dtype=torch.float64)] * 2000, torch.randn(3, 4, dtype=torch.float64)
    )
    assert torch.allclose(sent, torch.full((4,), math.log(2), dtype=torch.float64), atol=2e-3)


# The initialisations


def test_orthogonal_products_have_singular_values_of_one_at_any_depth():
    for sizes in ([12] * 101, [8, 12, 8]):
        weights = starts.orthogonal(sizes, drawn())
        assert all(torch.allclose(torch.linalg.svdvals(w), torch.ones(min(w.shape), dtype=w.dtype)) for w in weights)
    values = torch.linalg.svdvals(network.product(starts.orthogonal([12] * 101, drawn())))
    assert torch.allclose(values, torch.ones(12, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("sizes", [[6, 9, 4], [5, 5, 5, 5], [6, 3, 7, 6]])
def test_balanced_weights_are_balanced(sizes):
    weights = starts.balanced(sizes, drawn())
    assert [tuple(w.shape) for w in weights] == list(zip(sizes[1:], sizes, strict=False))
    assert all(float(one.norm()) < 1e-12 for one in network.invariants(weights))
    assert int(torch.linalg.matrix_rank(network.product(weights))) == min(sizes)


def test_aligned_weights_are_balanced_and_diagonal_in_the_targets_modes():
    v, u = network.haar(6, 3, Stream(1)), network.haar(5, 3, Stream(2))
    weights = starts.mode_aligned([6, 4, 7, 5], v, u, drawn(), strength=0.2)
    assert torch.allclose(u.T @ network.product(weights) @ v, 0.2 * torch.eye(3, dtype=torch.float64))
    assert all(float(one.norm()) < 1e-12 for one in network.invariants(weights))
    with pytest.raises(BenchError, match="3 modes do not pass through a layer of 2"):
        starts.mode_aligned([6, 2, 5], v, u, drawn())
    with pytest.raises(BenchError, match="strength=0"):
        starts.mode_aligned([6, 4, 5], v, u, drawn(), strength=0)


def test_pretraining_on_white_inputs_finds_orthogonal_layers():
    weights = starts.greedy_pretrained([10] * 5, drawn(), steps=400)
    for w in weights[:-1]:
        assert torch.allclose(torch.linalg.svdvals(w), torch.ones(10, dtype=torch.float64), atol=0.02)
    assert float(weights[-1].std()) == pytest.approx(1 / math.sqrt(10), rel=0.3)
    wide = starts.greedy_pretrained([8, 12, 12, 8], drawn())[1]
    assert int((torch.linalg.svdvals(wide) > 0.5).sum()) == 8, "twelve units, of which the eight inputs reach eight"
    with pytest.raises(BenchError, match="at least one step"):
        starts.greedy_pretrained([4, 4, 4], drawn(), steps=0)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ([torch.zeros(3, 3)], "gave 1 matrices, .* layer 2 is none"),
        ([torch.zeros(3, 3), torch.zeros(3, 4)], r"layer 2 is \(3, 4\)"),
        ([torch.zeros(3, 3)] * 3, "gave 3 matrices, .* layer 3 is .* expected none"),
        ([torch.zeros(3, 3), torch.full((3, 3), math.nan)], "not finite"),
    ],
)
def test_weights_of_another_shape_are_refused(made, reason):
    with pytest.raises(BenchError, match=reason):
        network.checked(made, [3, 3, 3])


# deep_linear/modes


def test_the_tree_has_a_mode_for_each_distinction():
    values = torch.linalg.svdvals(modes_task.tree()).square()
    assert values.tolist() == pytest.approx([15, 7, 3, 3, 1, 1, 1, 1])


def test_aligned_runs_follow_the_closed_form_and_half_the_rate_is_half_the_error():
    errors = [cell("modes", "init_mode_aligned", lr=lr).metrics["trajectory_error"] for lr in (4e-3, 2e-3)]
    assert errors[0] < 0.02 and 1.8 < errors[0] / errors[1] < 2.2
    assert cell("modes", "init_mode_aligned", target="tree").metrics["trajectory_error"] < 0.02


def test_deep_aligned_runs_follow_the_integrated_equation():
    found = cell("modes", "init_mode_aligned", layers=5, hidden=16, time=8.0, parts={"mode_aligned_init.strength": 0.1})
    assert found.metrics["trajectory_error"] < 0.02 and found.metrics["half_time_error"] < 0.02
    ratio = 5 * saxe.deep_mode_time(5, 5.0, 0.1, 4.5) / saxe.infinite_depth_time(5.0, 0.1, 4.5)
    assert found.metrics["delay"] == pytest.approx(ratio, rel=0.02)


def test_small_random_weights_learn_the_strongest_mode_first():
    found = cell("modes", "init_small_random")
    assert found.status == "ok" and found.metrics["disorder"] == 0
    assert -1.15 < found.metrics["half_time_exponent"] < -0.8 and found.metrics["trajectory_error"] < 0.1
    assert found.metrics["conserved_drift"] < 1e-3 and found.metrics["final_loss"] < 0.01
    assert set(found.curves) >= {"mode_1", "mode_2", "mode_3", "mode_4", "loss"}


def test_the_probes_change_no_score():
    spec = config.task_spec("deep_linear/modes")
    parts = config.resolve_parts(spec, config.entry("init_gaussian"), {})
    params = config.parameters(spec, "smoke", {"time": 1.0})
    with_them, without = (call(Job(spec.target, params, parts, 0, "/nowhere", probes=p)) for p in (True, False))
    assert with_them.metrics == without.metrics and "mode_1" not in without.curves


@pytest.mark.parametrize("strength", [1e-30, 4.9])
def test_who_does_not_cross_a_mode_halfway_follows_no_trajectory(strength):
    """Weights that never move, or sit where they will end, agree with any theory."""
    found = cell("modes", "init_mode_aligned", parts={"mode_aligned_init.strength": strength}, time=2.0)
    assert found.metrics["trajectory_error"] >= 1 and "half_time_exponent" not in found.metrics


def test_crossings_are_interpolated():
    times, values = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 3.0])
    assert trajectories.crossing(times, values, 2.0) == pytest.approx(1.5)
    assert trajectories.crossing(times, values, 4.0) is None and trajectories.crossing(times, values, 0.0) is None


@pytest.mark.parametrize(
    ("task", "given", "reason"),
    [
        ("modes", {"target": "forest"}, "there are spectrum and tree"),
        ("modes", {"layers": 1}, "task.layers=1: it is at least 2"),
        ("modes", {"size": 3}, "task.size=3: it is at least 4"),
        ("modes", {"lr": 0.0}, "task.lr=0.0: it has to be above 0"),
        ("modes", {"hidden": 3}, "4 modes do not pass through a layer of 3"),
        ("depth", {"depth": 0}, "task.depth=0: it has to be above 0"),
        ("depth", {"lr": -1.0}, "task.lr=-1.0: it has to be above 0"),
        ("isometry", {"size": 0}, "task.size=0: it has to be above 0"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(task, given, reason):
    try:
        found = cell(task, "init_mode_aligned" if task == "modes" else "init_orthogonal", **given)
    except BenchError as error:
        assert reason in str(error)
    else:
        assert found.status == "failed" and reason in found.reason


# deep_linear/depth


def test_steps_are_counted_until_the_map_is_learned():
    found = cell("depth", "init_orthogonal", size=16, depth=8, steps=200, lr=0.02)
    steps = found.metrics["learning_steps"]
    assert found.metrics["learned"] == 1 and found.costs.counts["steps"] == steps < 200
    assert 0 < found.metrics["early_steps"] < steps and found.metrics["final_loss"] <= 0.05


def test_a_rate_too_large_diverges_and_one_too_small_is_censored():
    assert cell("depth", "init_orthogonal", lr=2.0).status == "diverged"
    slow = cell("depth", "init_orthogonal", lr=1e-5)
    assert slow.metrics["learning_steps"] == slow.costs.counts["steps"] == 60 and slow.metrics["learned"] == 0


@pytest.mark.parametrize("entry", ["adam+init_orthogonal", "muon+init_orthogonal"])
def test_any_optimizer_trains_the_chain(entry):
    found = cell("depth", entry, lr=0.08)
    assert found.status == "ok" and found.metrics["final_loss"] < 0.5


def test_the_best_of_a_grid_counts():
    derived = config.task_spec("deep_linear/depth").cls.derived[0]
    assert derived.reduce((0.1, 0.2, 0.4), [{"learning_steps": 9.0}, {"learning_steps": 5.0}, {}]) == 5.0


# deep_linear/isometry


def test_orthogonal_layers_are_an_isometry_and_gaussian_ones_follow_newman():
    orthogonal, gaussian = (cell("isometry", name).metrics for name in ("init_orthogonal", "init_gaussian"))
    assert orthogonal["rms_exponent"] < 1e-13 and orthogonal["gradient_exponent"] < 0.05
    assert gaussian["gaussian_z"] < 2 < orthogonal["gaussian_z"]
    assert gaussian["rms_exponent"] > 0.3 and gaussian["smallest_exponent"] < gaussian["largest_exponent"] < 0.2


def test_a_gain_shifts_every_exponent():
    once, twice = (
        cell("isometry", "init_gaussian", parts={"deep_linear_init.gain": gain}).metrics for gain in (1.0, 2.0)
    )
    assert twice["largest_exponent"] - once["largest_exponent"] == pytest.approx(math.log(2))


# The claims' measures


def runs(entry: str, metric: str, *found: tuple[dict, float | None]) -> list[Record]:
    made = []
    for params, value in found:
        status = "ok" if value is not None else "diverged"
        one = record(entry, status=status, **({metric: value} if value is not None else {}))
        one.params = params
        made.append(one)
    return made


def test_best_rates_and_slowdowns():
    from tasks.deep_linear import claims

    def at(depth: int, lr: float, steps: float | None) -> tuple[dict, float | None]:
        return {"depth": depth, "lr": lr, "steps": 400}, steps

    found = {"x": runs("x", "learning_steps", at(4, 0.1, 20), at(4, 0.2, 10), at(4, 0.4, None), at(4, 0.05, 40),
                       at(8, 0.1, 15), at(8, 0.2, None), at(8, 0.4, None), at(8, 0.05, 30))}  # fmt: skip
    assert claims.depth_slowdown(found, of="x") == pytest.approx(1.5)
    assert claims.rate_exponent(found, of="x") == pytest.approx(-1)
    never = {"x": found["x"][:1], "y": runs("y", "learning_steps", at(4, 0.1, None))}
    assert claims.speed_up(never, of="x", over="y") == pytest.approx(20)
    with pytest.raises(BenchError, match="at the edge"):
        claims.rate_exponent({"x": found["x"][:2] + found["x"][4:5]}, of="x")


def test_rates_and_delays_that_do_not_fit_the_claim_are_told():
    from tasks.deep_linear import claims

    pair = runs("x", "trajectory_error", ({"lr": 0.002}, 0.02), ({"lr": 0.001}, 0.01))
    assert claims.rate_ratio({"x": pair}, of="x", metric="trajectory_error") == pytest.approx(2)
    pair[0].params = {"lr": 0.004}
    with pytest.raises(BenchError, match="factor of 4, not 2"):
        claims.rate_ratio({"x": pair}, of="x", metric="trajectory_error")
    deep = runs("x", "delay", ({"layers": 2}, 0.3), ({"layers": 8}, 0.6))
    assert claims.delay_at_depth({"x": deep}, of="x") == pytest.approx(0.6)
    deep[1].metrics["delay"] = 0.2
    with pytest.raises(BenchError, match="falls with depth"):
        claims.delay_at_depth({"x": deep}, of="x")
    assert claims.value({"x": deep[:1]}, of="x", metric="delay") == 0.3
