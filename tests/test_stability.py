"""Stability: exact thresholds, Jacobians, update rules and tasks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.steppers.label_noise import LabelNoise
from baselines.steppers.sam import Sam
from bench.contract import BenchError
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds, Stream
from tasks.stability.escape import Escape, interpolate
from tasks.stability.minima import error, stability
from tasks.stability.models import DTYPE, Diagonal, Gradient, Linear, Relu2, curvature, loss, sphere
from tasks.stability.rates import stable_rate
from tasks.stability.steppers import Minibatch
from tasks.stability.threshold import mean_square_threshold, second_moment, spectrum

MODELS = (Linear(4), Relu2(4, 6), Diagonal(4, 0.3))


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=drawn(seed), dtype=DTYPE)


def gram(samples: int = 6, inputs: int = 9, seed: int = 0, norm: float | None = None) -> torch.Tensor:
    x = normal(samples, inputs, seed=seed) if norm is None else sphere(samples, inputs, norm, Stream(seed))
    return x @ x.T


def growth(g: torch.Tensor, rate: float, batch: int) -> float:
    """Spectral radius of the second moment's step, from its matrix of n^2 rows."""
    n = len(g)
    units = torch.eye(n * n, dtype=DTYPE).view(-1, n, n)
    columns = torch.stack([second_moment(unit, g, rate, batch).flatten() for unit in units], dim=1)
    return float(torch.linalg.eigvals(columns).abs().max())


# The threshold


@pytest.mark.parametrize("seed", range(3))
def test_with_equal_norms_single_samples_are_stable_up_to_two_over_the_trace(seed):
    g = gram(seed=seed, norm=2.0)
    assert spectrum(g)[0] == pytest.approx(4.0)
    assert mean_square_threshold(g) == pytest.approx(2 / 4.0, rel=1e-9)


@pytest.mark.parametrize("batch", [1, 2, 5, 50])
def test_orthogonal_rows_of_equal_norm_have_a_closed_form_for_every_batch(batch):
    """All modes have lambda = c / n and tr H = c: stable up to 2 / (lambda (1 - 1/B) + tr / B)."""
    n, c = 5, 3.0
    expected = 2 / ((c / n) * (1 - 1 / batch) + c / batch)
    assert mean_square_threshold(c * torch.eye(n, dtype=DTYPE), batch) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("norm", [None, 2.0])
def test_the_second_moment_stops_shrinking_at_the_threshold(batch, norm):
    g = gram(norm=norm)
    threshold = mean_square_threshold(g, batch)
    assert growth(g, threshold, batch) == pytest.approx(1.0, abs=1e-8)
    assert growth(g, 0.98 * threshold, batch) < 1 < growth(g, 1.02 * threshold, batch)


def test_the_second_moment_is_the_mean_over_all_draws():
    g, rate, n = gram(3, 5), 0.1, 3
    r = normal(n)
    steps = []
    for i in range(n):
        for j in range(n):
            picked = torch.zeros(n, dtype=DTYPE)
            picked[i] += 0.5
            picked[j] += 0.5
            steps.append(r - rate * g @ (picked * r))
    mean = torch.stack([torch.outer(s, s) for s in steps]).mean(0)
    assert torch.allclose(second_moment(torch.outer(r, r), g, rate, batch=2), mean)


@given(st.integers(0, 10**6), st.integers(2, 8), st.integers(1, 12))
@settings(deadline=None, max_examples=15)
def test_bounds_of_the_threshold(seed, samples, inputs):
    """Wu and Su 2023: at most 2 / trace for single samples. Every batch: between that of single samples and 2 / lambda_max,
    and not falling with the batch. Also where samples outnumber inputs and the gram is singular.
    """
    g = gram(samples, inputs, seed)
    trace, sharpness = spectrum(g)
    found = [mean_square_threshold(g, batch) for batch in (1, 2, 4, 64)]
    assert found[0] * trace <= 2 * (1 + 1e-6)
    assert all(a <= b * (1 + 1e-6) for a, b in zip(found, [*found[1:], 2 / sharpness], strict=True))
    assert mean_square_threshold(g, None) == pytest.approx(2 / sharpness)


@pytest.mark.parametrize("batch", [2, 4, 16])
def test_with_equal_norms_the_worst_mode_alone_bounds_the_threshold_from_below(batch):
    """E |theta'|^2 <= |theta|^2 mode by mode up to 2 / (lambda_max (1 - 1/B) + tr / B): enough, not needed, for B > 1."""
    g = gram(norm=2.0)
    trace, sharpness = spectrum(g)
    assert mean_square_threshold(g, batch) > 2 / (sharpness * (1 - 1 / batch) + trace / batch)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (torch.zeros(3, 3, dtype=DTYPE), "zero"),
        (torch.ones(2, 3, dtype=DTYPE), "square"),
        (torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=DTYPE), "symmetric"),
        (torch.full((2, 2), math.nan, dtype=DTYPE), "finite"),
    ],
)
def test_a_gram_that_is_none_is_told(bad, reason):
    for measure in (spectrum, mean_square_threshold):
        with pytest.raises(ValueError, match=reason):
            measure(bad)


def test_a_batch_of_none_is_told():
    with pytest.raises(ValueError, match="batch of 0"):
        mean_square_threshold(gram(), 0)


# Models and update rules


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_jacobian_and_gradient_are_those_of_autograd(model):
    x, y = normal(5, 4), normal(5, seed=1)
    theta = model.start(normal) + 0.1 * normal(len(model.start(normal)), seed=2)
    expected = torch.autograd.functional.jacobian(lambda t: model.outputs(t, x), theta)
    assert torch.allclose(model.jacobian(theta, x), expected)
    theta.requires_grad_()
    chosen, noise = torch.tensor([0, 3]), normal(2, seed=3)
    half = 0.5 * (model.outputs(theta, x[chosen]) - y[chosen] - noise).square().mean()
    (slope,) = torch.autograd.grad(half, theta)
    assert torch.allclose(Gradient(model, x, y)(theta.detach(), chosen, noise), slope)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_at_a_minimum_the_hessian_is_the_gauss_newton_matrix(model):
    x = normal(5, 4)
    theta = model.start(normal) + 0.1 * normal(len(model.start(normal)), seed=2)
    y = model.outputs(theta, x)
    hessian = torch.autograd.functional.hessian(lambda t: 0.5 * (model.outputs(t, x) - y).square().mean(), theta)
    found = curvature(model, theta, x)
    assert found["trace_now"] == pytest.approx(float(hessian.trace()))
    assert found["sharpness_now"] == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]))


def test_the_trace_bounds_the_norms_over_the_data():
    """Wu and Su 2023: E of the trace is at least sqrt(inputs) times the path norm, and 4 (|u|^2 + |v|^2) for the diagonal one."""
    x = sphere(20000, 4, 2.0, Stream(0))
    relu, diagonal = Relu2(4, 6), Diagonal(4, 0.3)
    theta = relu.start(normal)
    w, a = relu.layers(theta)
    expected = 0.5 * float(w.square().sum() + 4 * a.square().sum())
    assert float(relu.jacobian(theta, x).square().sum()) / len(x) == pytest.approx(expected, rel=0.02)
    assert expected >= math.sqrt(4) * relu.norm(theta)
    theta = diagonal.start(normal)
    assert float(diagonal.jacobian(theta, x).square().sum()) / len(x) == pytest.approx(4 * diagonal.norm(theta))
    assert diagonal.norm(theta) >= float(diagonal.weights(theta).abs().sum())


def test_a_step_of_every_rule():
    model, x, y = Linear(3), normal(4, 3), normal(4, seed=1)
    gradient, theta = Gradient(model, x, y), normal(3, seed=2)
    made = {"samples": 4, "steps": 8, "lr": 0.1}
    chosen = torch.randint(4, (1,), generator=drawn())
    plain = theta - 0.1 * (x[chosen] @ theta - y[chosen]) @ x[chosen]
    assert torch.allclose(Minibatch(generator=drawn(), **made)(theta, gradient), plain)
    everything = Minibatch(generator=drawn(), batch=None, **made)(theta, gradient)
    assert torch.allclose(everything, theta - 0.1 * x.T @ (x @ theta - y) / 4)
    assert torch.allclose(Sam(generator=drawn(), rho=0.0, **made)(theta, gradient), plain)
    quiet = LabelNoise(generator=drawn(), share=0.0, **made)
    assert torch.allclose(quiet(theta, gradient), plain)
    noisy = LabelNoise(generator=drawn(), share=0.5, **made)
    assert not torch.allclose(noisy(theta, gradient), plain) and noisy.left == 3


def test_at_an_exact_minimum_rules_stay():
    model, x, theta = Linear(3), normal(2, 3), normal(3, seed=2)
    gradient = Gradient(model, x, model.outputs(theta, x))
    for rule in (Minibatch, Sam):
        assert torch.equal(rule(samples=2, steps=1, generator=drawn(), lr=0.1)(theta, gradient), theta)


# Tasks


def outcome(task: str, entry: str, preset: str = "smoke", seed: int = 0, changes=None, parts=None) -> dict:
    spec = config.task_spec(f"stability/{task}")
    resolved = config.resolve_parts(spec, config.entry(entry), parts or {})
    return call(Job(spec.target, config.parameters(spec, preset, changes or {}), resolved, seed, "/nowhere"))


@pytest.mark.parametrize(("rate", "inside"), [(1.0, True), (1.9, True), (2.1, False), (3.0, False)])
def test_equal_norms_on_every_path(rate, inside):
    """|theta'|^2 = |theta|^2 - (2 eta - eta^2 c)(g . theta)^2: no step away below 2 / trace, none nearer above."""
    metrics = outcome("linear", "sgd_single", changes={"rate": rate}).metrics
    assert metrics["threshold_trace"] == pytest.approx(2.0)
    assert metrics["rate_threshold"] == pytest.approx(rate / 2)
    if inside:
        assert metrics["longest_step"] <= 1 + 1e-9 and metrics["final_ratio"] < 1
    else:
        assert metrics["shortest_step"] >= 1 - 1e-9 and metrics["final_ratio"] > 1


def test_at_the_threshold_itself_no_step_changes_the_distance():
    metrics = outcome("linear", "sgd_single", changes={"rate": 2.0}).metrics
    assert metrics["longest_step"] == pytest.approx(1.0) and metrics["shortest_step"] == pytest.approx(1.0)


@pytest.mark.parametrize(("share", "stays"), [(0.9, True), (1.1, False)])
@pytest.mark.parametrize("task", ["linear", "escape"])
def test_gradient_descent_stays_up_to_two_over_the_sharpness(task, share, stays):
    """An unstable mode grows by 1 - eta lambda a step: with 300 steps, thousandfold."""
    at_one = outcome(task, "full_gd", changes={"rate": 1.0}).metrics
    rate = share * 2 / at_one["rate_sharpness"]
    metrics = outcome(task, "full_gd", changes={"rate": rate}).metrics
    assert metrics["rate_threshold"] == pytest.approx(share)
    assert (metrics["escape_ratio"] < 1e3) is stays


def test_sgd_leaves_a_sharp_minimum_that_gradient_descent_keeps():
    changes = {"rate": 3.0, "steps": 600}
    assert outcome("escape", "sgd_single", changes=changes).metrics["escape_ratio"] > 1e3
    assert outcome("escape", "full_gd", changes=changes).metrics["escape_ratio"] < 1e3


def test_the_minimum_of_escape_interpolates():
    task = Escape(Escape.Params(**Escape.presets["smoke"]))
    public = task.problem(None, Seeds(0, task.name)).public
    assert loss(task.model(), public["minimum"], public["x"], public["y"]) < 1e-24
    assert loss(task.model(), public["start"], public["x"], public["y"]) > 1e-9


def test_the_stable_rate_ends_at_the_first_escape():
    rows = [{"escape_ratio": r} for r in (1.0, 2.0, 1e6, 1.0)]
    assert stable_rate((1, 2, 3, 4), rows) == 2
    assert stable_rate((4, 3, 2, 1), rows[::-1]) == 2, "rows may come in any order"
    assert stable_rate((1,), [{}]) == 0.0


def test_diagonal_at_small_finds_flatter_and_better_minima_at_a_larger_rate():
    """Wu and Su 2023; and gradient descent does not, while it breaks the bound of SGD."""
    slow, fast = (outcome("diagonal", "sgd_single", "small", parts={"stepper.lr": lr}).metrics for lr in (0.015, 0.03))
    descent = outcome("diagonal", "full_gd", "small", parts={"stepper.lr": 0.1}).metrics
    assert slow["interpolated"] == fast["interpolated"] == descent["interpolated"] == 1
    assert fast["trace"] < slow["trace"] and fast["test_error"] < slow["test_error"] < descent["test_error"]
    assert max(slow["rate_trace"], fast["rate_trace"]) <= 2 < descent["rate_trace"] and descent["rate_sharpness"] <= 2


@pytest.mark.parametrize("entry", ["sgd_single", "sgd_batch", "full_gd", "label_noise_sgd", "sam_single"])
@pytest.mark.parametrize("task", ["relu2", "diagonal"])
def test_every_entry_learns(task, entry):
    found, floor = outcome(task, entry), outcome(task, "stay_put")
    assert found.status == "ok", found.reason
    assert found.metrics["test_error"] < 0.5 * floor.metrics["test_error"]
    assert "rate_trace" not in floor.metrics, "a rule without a rate has no rate times trace"


def test_samples_are_counted():
    costs = outcome("relu2", "sgd_batch").costs.counts
    assert costs["steps"] == 1000 and costs["samples"] == 8000 and costs["parameters"] == 20 * 5 + 20
    assert outcome("relu2", "full_gd").costs.counts["samples"] == 20 * 1000


def test_a_rate_too_large_diverges():
    found = outcome("diagonal", "sgd_single", parts={"stepper.lr": 5.0})
    assert found.status == "diverged" and "training loss" in found.reason


# Bad input


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"stepper.batch": 50}, "there are 20 samples"),
        ({"stepper.batch": 0}, "there are 20 samples"),
        ({"stepper.lr": -0.1}, "positive"),
    ],
)
def test_a_rule_that_cannot_be_is_told(parts, reason):
    found = outcome("relu2", "sgd_single", parts=parts)
    assert found.status == "failed" and reason in found.reason


@pytest.mark.parametrize(
    ("task", "changes", "reason"),
    [
        ("relu2", {"samples": 0}, "task.samples=0"),
        ("relu2", {"width": -1}, "task.width=-1"),
        ("diagonal", {"inputs": 3}, "5 entries"),
        ("diagonal", {"scale": 0.0}, "task.scale"),
        ("linear", {"rate": 0.0}, "task.rate"),
    ],
)
def test_a_task_that_cannot_be_is_told(task, changes, reason):
    try:
        found = outcome(task, "sgd_single", changes=changes)
    except BenchError as told:
        assert reason in str(told)
    else:
        assert found.status == "failed" and reason in found.reason


def test_a_network_that_cannot_interpolate_is_told():
    model = Relu2(2, 1)
    with pytest.raises(BenchError, match="more task.width"):
        interpolate(model, model.start(normal), normal(20, 2), normal(20, seed=1), steps=200)


def test_rules_and_scores_say_what_is_wrong():
    made = {"samples": 4, "steps": 8, "generator": drawn()}
    for rule, options in ((LabelNoise, {"noise": -1.0}), (LabelNoise, {"share": 2.0}), (Sam, {"rho": -1.0})):
        with pytest.raises(BenchError, match="has to be|positive"):
            rule(**made, **options)
    with pytest.raises(BenchError, match="outputs of shape"):
        error(torch.zeros(3, 1), torch.zeros(3))
    with pytest.raises(ValueError, match="zero"):
        stability(torch.zeros(3, 2, dtype=DTYPE), {})
