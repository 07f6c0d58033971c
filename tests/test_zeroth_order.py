"""Zeroth-order tasks: closed forms of estimates, oracles that count, rules against exact gradients, memory, and bad input."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.estimators.coordinates import Coordinates
from baselines.estimators.derivatives import ForwardGradient
from baselines.estimators.no_feedback import NoFeedback
from baselines.learning_rules.feedback import FeedbackAlignment, SignSymmetry
from baselines.learning_rules.node_perturbation import NodePerturbation
from baselines.searchers.evolution import CmaEs, ShapedStrategy
from baselines.searchers.mezo import BLOCK, Mezo
from bench.contract import BenchError, Exhausted
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.large_batch.digits import location
from tasks.zeroth_order import descent, theory
from tasks.zeroth_order.estimates import cosine
from tasks.zeroth_order.estimators import Differences
from tasks.zeroth_order.memory import PeakMemory
from tasks.zeroth_order.network import Network, Weights
from tasks.zeroth_order.oracles import NetworkOracle, Oracle, gradient
from tasks.zeroth_order.quadratic import DTYPE, hessian, values

digits = pytest.mark.skipif(location() is None, reason="scikit-learn, which ships the digits, is not here")


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Counter:
    """Counts what an oracle asks for."""

    def __init__(self) -> None:
        self.evals = 0

    def __call__(self, evals: int) -> None:
        self.evals += evals


def quadratic(d: int = 6, seed: int = 0) -> tuple[Oracle, torch.Tensor, torch.Tensor, Counter]:
    """(oracle, point, gradient there, counter) of a quadratic function."""
    stream = Seeds(seed, "test").stream("data", "quadratic")
    matrix, point, counter = hessian(d, 10.0, stream), stream.normal(d, dtype=DTYPE), Counter()
    return Oracle(lambda points: values(matrix, points), counter), point, matrix @ point, counter


def network_oracle(sizes=(5, 4, 3), batch: int = 7) -> tuple[NetworkOracle, torch.Tensor, Counter]:
    """(oracle, weights in float64, counter) of a small network."""
    counter = Counter()
    oracle = NetworkOracle(Network(sizes), counter)
    oracle.x = torch.randn(batch, sizes[0], generator=drawn(1), dtype=DTYPE)
    oracle.y = torch.randint(sizes[-1], (batch,), generator=drawn(2))
    return oracle, oracle.network.start(drawn(3)).double(), counter


def repeated(method, oracle, point, count: int) -> torch.Tensor:
    return torch.stack([method(oracle, point) for _ in range(count)])


# Closed forms


@pytest.mark.parametrize(("d", "k"), [(10, 1), (10, 10), (30, 5)])
def test_squared_cosines_have_the_law_of_a_beta_variable(d, k):
    """Beta(k/2, (d - 1)/2) has mean k/(d + k - 1), and variance 2k(d - 1)/((d + k - 1)^2 (d + k + 1))."""
    oracle, point, g, _ = quadratic(d)
    method = Differences(dimension=d, evaluations=2 * k, generator=drawn())
    squared = cosine(repeated(method, oracle, point, 3000), g).square()
    assert float(squared.mean()) == pytest.approx(theory.cosine_squared(k, d), rel=0.08)
    assert float(squared.var()) == pytest.approx(2 * k * (d - 1) / ((d + k - 1) ** 2 * (d + k + 1)), rel=0.2)


@pytest.mark.parametrize("law", ["gaussian", "rademacher"])
def test_variance_and_mean_of_differences(law):
    oracle, point, g, _ = quadratic(20)
    method = Differences(dimension=20, evaluations=8, generator=drawn(), law=law)
    estimates = repeated(method, oracle, point, 4000)
    spread = float((estimates - g).square().sum(dim=1).mean() / g.square().sum())
    assert spread == pytest.approx(theory.relative_variance(4, 20, law), rel=0.08)
    assert method.second_moment == pytest.approx(1 + theory.relative_variance(4, 20, law))
    assert torch.allclose(estimates.mean(dim=0), g, atol=4 * float(g.norm()) * (spread / 20 / 4000) ** 0.5)


def test_one_direction_of_signs_has_the_mean_cosine_of_a_normal_one():
    oracle, point, g, _ = quadratic(12)
    estimates = repeated(
        Differences(dimension=12, evaluations=2, generator=drawn(), law="rademacher"), oracle, point, 6000
    )
    assert float(cosine(estimates, g).square().mean()) == pytest.approx(1 / 12, rel=0.06)


def test_coordinates_are_exact_and_hold_their_share():
    oracle, point, g, counter = quadratic(8)
    every = Coordinates(dimension=8, evaluations=16, generator=drawn(), every=True)
    assert torch.allclose(every(oracle, point), g) and counter.evals == 16
    few = repeated(Coordinates(dimension=8, evaluations=4, generator=drawn()), oracle, point, 4000)
    assert float(cosine(few, g).square().mean()) == pytest.approx(theory.coordinate_cosine_squared(2, 8), rel=0.06)
    assert torch.allclose(few.mean(dim=0), g, atol=0.1 * float(g.norm()))


def test_forward_gradients_are_the_limit_of_differences():
    oracle, weights, _ = network_oracle()
    made = {"dimension": len(weights), "evaluations": 6}
    exact = ForwardGradient(generator=drawn(), **made)(oracle, weights)
    off = [
        float((Differences(generator=drawn(), smoothing=s, **made)(oracle, weights) - exact).norm())
        for s in (0.02, 0.002)
    ]
    assert off[0] / off[1] == pytest.approx(100, rel=0.1), "central differences are of second order in their step"


@pytest.mark.parametrize("smoothing", [1e-3, 1.0, 100.0])
def test_of_a_linear_function_every_step_gives_the_slope(smoothing):
    slope, counter = torch.randn(5, generator=drawn(4), dtype=DTYPE), Counter()
    oracle, point = Oracle(lambda points: points @ slope, counter), torch.zeros(5, dtype=DTYPE)
    for one_sided in (False, True):
        method = Differences(dimension=5, evaluations=5, generator=drawn(), smoothing=smoothing, one_sided=one_sided)
        estimates, u = method.slopes(oracle, point)
        assert torch.allclose(estimates, u @ slope)


def test_one_sided_and_central_differences_have_one_mean_for_symmetric_directions():
    """The even part of the difference meets an odd direction: its mean is 0 at any step, and only the variance is larger."""
    oracle, point, g, _ = quadratic(4)
    means, spreads = [], []
    for one_sided in (False, True):
        method = Differences(dimension=4, evaluations=2, generator=drawn(), smoothing=1.0, one_sided=one_sided)
        estimates = repeated(method, oracle, point, 8000)
        means.append(estimates.mean(dim=0))
        spreads.append(float(estimates.var(dim=0).sum()))
    error = 4 * (max(spreads) / 8000) ** 0.5
    assert float((means[0] - g).norm()) < error and float((means[1] - g).norm()) < error
    assert spreads[1] > 1.2 * spreads[0]


def test_small_steps_in_single_precision_lose_the_difference():
    d = 50
    oracle, point, g, _ = quadratic(d)

    def error(smoothing: float) -> float:
        made = {"dimension": d, "evaluations": 20, "smoothing": smoothing}
        single = Differences(generator=drawn(), **made).slopes(oracle, point.float().double())[0]
        rounded = Oracle(lambda points: oracle(points.double()).float(), Counter())
        rough, u = Differences(generator=drawn(), **made).slopes(rounded, point.float())
        return float((rough.double() - u.double() @ g).norm() / single.norm())

    assert error(1e-8) > 0.3 and error(1e-2) < 0.02


def test_without_feedback_the_mean_is_zero():
    oracle, point, g, _ = quadratic(10)
    estimates = repeated(NoFeedback(dimension=10, evaluations=2, generator=drawn()), oracle, point, 4000)
    assert float(estimates.mean(dim=0).norm() / g.norm()) < 0.12
    assert float(cosine(estimates, g).square().mean()) == pytest.approx(0.1, rel=0.1)


def test_many_directions_are_one_product():
    import time

    oracle, point, _, _ = quadratic(1000)
    method = Differences(dimension=1000, evaluations=200, generator=drawn())
    start = time.process_time()
    method(oracle, point)
    assert time.process_time() - start < 1


# Networks


def test_a_backward_pass_with_the_transposed_weights_is_the_gradient():
    oracle, weights, counter = network_oracle((5, 4, 6, 3))
    exact = gradient(lambda w: oracle.network.loss(w, oracle.x, oracle.y), weights)
    transposed = [matrix.T for matrix, _ in oracle.network.layers(weights)[1:]]
    assert torch.allclose(oracle.backward(oracle.forward(weights), transposed), exact)
    assert counter.evals == 3, "as a gradient"
    assert torch.allclose(oracle.gradient(weights), exact) and counter.evals == 6


def test_slopes_and_values_agree_and_are_counted():
    oracle, weights, counter = network_oracle()
    u = torch.randn(3, len(weights), generator=drawn(5), dtype=DTYPE)
    assert torch.allclose(oracle.slopes(weights, u), u @ oracle.gradient(weights)) and counter.evals == 2 * 3 + 3
    assert torch.allclose(oracle.slopes(weights, u[:1]), oracle.slopes(weights, u)[:1])
    many = oracle(torch.stack([weights, 2 * weights]))
    assert torch.allclose(many[1], oracle(2 * weights)) and counter.evals == 9 + 2 + 6 + 3


def test_node_perturbation_has_the_gradient_as_its_mean_and_needs_each_samples_loss():
    oracle, weights, counter = network_oracle()
    exact = gradient(lambda w: oracle.network.loss(w, oracle.x, oracle.y), weights)
    rule = NodePerturbation(network=oracle.network, generator=drawn(), smoothing=1e-4)
    estimates = repeated(rule, oracle, weights, 1500)
    spread = float((estimates - exact).square().sum(dim=1).mean() / exact.square().sum())
    assert float((estimates.mean(dim=0) - exact).norm() / exact.norm()) < 3 * (spread / 1500) ** 0.5
    assert counter.evals == 3 * 1500
    plain = oracle.forward

    def batch_mean(weights, noise=None):
        passed = plain(weights, noise)
        return type(passed)(
            passed.inputs, passed.losses.mean().expand(len(passed.losses)) * len(passed.losses), passed.error
        )

    oracle.forward = batch_mean
    shared = repeated(rule, oracle, weights, 1500)
    assert float((shared - exact).square().sum(dim=1).mean() / exact.square().sum()) > 3 * spread


def test_feedback_rules_differ_and_leave_the_output_layer_exact():
    oracle, weights, _ = network_oracle((5, 4, 6, 3))
    exact, network = oracle.gradient(weights), oracle.network
    rules = [
        FeedbackAlignment(network=network, generator=drawn()),
        FeedbackAlignment(network=network, generator=drawn(), direct=True),
        SignSymmetry(network=network, generator=drawn()),
    ]
    for rule in rules[:2]:
        rule.feedback = [matrix.double() for matrix in rule.feedback]
    directions = [rule(oracle, weights) for rule in rules]
    for direction in directions:
        assert torch.allclose(direction[-network.output_weights :], exact[-network.output_weights :])
        assert not torch.allclose(direction, exact)
    assert not torch.allclose(directions[0], directions[1])
    assert float(cosine(directions[2][None], exact)) > 0.5, "signs keep most of the direction"


def test_optimizers_move_the_flat_weights():
    network = Network((5, 4, 3))
    flat = network.start(drawn())
    before, model = flat.clone(), Weights(network, flat)
    model.follow(torch.ones_like(flat))
    torch.optim.SGD(model.parameters(), lr=0.5).step()
    assert torch.allclose(flat, before - 0.5)
    for name in ("Adam", "Muon"):
        changed = flat.clone()
        config_step(name, model)
        assert not torch.equal(flat, changed), name


def config_step(name: str, model: Weights) -> None:
    from bench.optim import named

    named(model=model, steps=1, name=name, lr=0.1).step()


# Searchers


def test_mezo_takes_the_two_point_step_and_comes_back_in_place():
    counter, point = Counter(), torch.randn(2 * BLOCK + 3, generator=drawn(6), dtype=DTYPE)
    oracle = Oracle(lambda points: points.square().sum(dim=-1), counter)
    mezo = Mezo(dimension=len(point), evaluations=10, generator=drawn(), lr=0.1)
    here = point.clone()
    mezo.move(here, 5, 0.3)
    mezo.move(here, 5, -0.3)
    assert torch.allclose(here, point, atol=1e-12), "a direction drawn again is the same"
    z = torch.zeros_like(point)
    mezo.move(z, int(torch.randint(2**62, (1,), generator=drawn())), 1.0)
    slope = (oracle(point + 1e-3 * z) - oracle(point - 1e-3 * z)) / 2e-3
    moved = point.clone()
    assert mezo(oracle, moved) is moved and counter.evals == 4
    assert torch.allclose(moved, point - 0.1 * slope * z, rtol=1e-4)


def test_a_step_of_mezo_takes_no_memory_beside_the_forward_passes():
    oracle, weights, _ = network_oracle((64, 64, 64, 10), batch=64)

    def peak(step) -> int:
        with PeakMemory() as memory:
            step()
        return memory.peak

    inference = peak(lambda: oracle(weights))
    assert (
        peak(lambda: Mezo(dimension=len(weights), evaluations=9, generator=drawn())(oracle, weights)) <= 1.1 * inference
    )
    kept = len(weights) * 8
    differences = Differences(dimension=len(weights), evaluations=2, generator=drawn())
    assert peak(lambda: differences(oracle, weights)) > inference + kept
    assert peak(lambda: oracle.gradient(weights)) > inference + kept


def test_peak_memory_counts_what_lives():
    with PeakMemory() as memory:
        a = torch.zeros(100)
        b = a[:50]
        del a
        c = b + torch.zeros(50)
        del b, c
        torch.zeros(10)
    assert memory.peak == 4 * (100 + 50 + 50)


@pytest.mark.parametrize("separable", [False, True])
def test_cma_es_finds_a_minimum_and_learns_the_curvature(separable):
    scales = torch.tensor([1.0, 10.0, 100.0], dtype=DTYPE)
    oracle = Oracle(lambda points: (points.square() * scales).sum(dim=-1), Counter())
    method = CmaEs(dimension=3, evaluations=10**6, generator=drawn(), sigma=0.5, separable=separable)
    x = torch.ones(3, dtype=DTYPE)
    for _ in range(120):
        x = method(oracle, x)
    assert float(oracle(x)) < 1e-9
    variances = method.covariance if separable else method.covariance.diagonal()
    assert 10 < float(variances[0] / variances[2]) < 1000, "the inverse Hessian has a ratio of 100"


def test_cma_es_has_the_tutorials_parameters():
    """Table 1 of arXiv 1604.00772 at d = 10: lambda = 4 + floor(3 ln 10) = 10, mu = 5."""
    method = CmaEs(dimension=10, evaluations=1000, generator=drawn())
    assert method.population == 10 and len(method.weights) == 5
    assert float(method.weights.sum()) == pytest.approx(1) and 1 < method.mass < 5
    assert method.path_rate == pytest.approx((method.mass + 2) / (15 + method.mass))
    assert method.length == pytest.approx(math.sqrt(2) * math.gamma(5.5) / math.gamma(5), rel=1e-3)


def test_ranks_make_a_monotone_change_of_the_function_harmless():
    oracle, point, _, _ = quadratic(5)
    bent = Oracle(lambda points: oracle(points).exp(), Counter())
    for made in (ShapedStrategy, CmaEs):
        steps = [made(dimension=5, evaluations=100, generator=drawn())(f, point) for f in (oracle, bent)]
        assert torch.equal(*steps)


# Tasks


def outcome(task: str, entry: str, changes=None, parts=None, seed: int = 0):
    spec = config.task_spec(f"zeroth_order/{task}")
    resolved = config.resolve_parts(spec, config.entry(entry), parts or {})
    return call(Job(spec.target, config.parameters(spec, "smoke", changes or {}), resolved, seed, "/nowhere"))


ESTIMATORS = ["two_point", "weight_perturbation", "spsa", "random_coordinates", "forward_gradient", "backpropagation"]
RULES = ["node_perturbation", "feedback_alignment", "direct_feedback_alignment", "sign_symmetry"]
SEARCHERS = ["mezo", "shaped_strategy", "separable_cma_es"]


@pytest.mark.parametrize("entry", ESTIMATORS)
def test_every_estimator_points_along_the_gradient_and_keeps_its_budget(entry):
    result = outcome("estimator", entry)
    assert result.status == "ok", result.reason
    assert result.metrics["cosine"] > 0.4 and result.metrics["evaluations"] <= 20
    assert result.exhibits["cosines"].kind == "series"


@pytest.mark.parametrize("entry", [*ESTIMATORS, *RULES])
def test_every_rule_points_along_a_networks_gradient(entry):
    result = outcome("credit", entry)
    assert result.status == "ok" and result.metrics["cosine"] > 0.01, result.reason


@pytest.mark.parametrize("entry", ["two_point", "cma_es", "backpropagation"])
def test_descents_reach_the_reduction(entry):
    result = outcome("descent", entry, {"dimension": 10.0})
    assert result.metrics["reached"] == 1 and result.metrics["evaluations"] == result.costs.counts["evals"]


def test_a_missed_reduction_counts_as_the_budget():
    result = outcome("descent", "no_feedback", {"dimension": 5.0})
    assert result.metrics["reached"] == 0 and result.metrics["evaluations"] == 200 * 9


def test_the_exponent_of_a_power_is_its_power():
    grid = (10.0, 30.0, 100.0)
    rows = [{"steps": 3 * d**1.5, "evaluations": 2 * d} for d in grid]
    assert descent.exponent(grid, rows) == pytest.approx(1.5)
    assert descent.mean_evaluations(grid, rows) == pytest.approx(2 * math.prod(grid) ** (1 / 3))


@digits
@pytest.mark.parametrize("entry", ["two_point", "backpropagation", *RULES, *SEARCHERS, "adam+spsa"])
def test_every_method_trains_within_its_passes(entry):
    result = outcome("train", entry)
    assert result.status == "ok", result.reason
    assert result.costs.counts["evals"] <= 120 and result.costs.counts["steps"] >= 2
    assert result.metrics["memory"] >= 1 and result.exhibits["confusion"].kind == "matrix"


@digits
def test_steps_cost_what_they_count_as():
    costs = {
        entry: outcome("train", entry).metrics["step_evaluations"] for entry in ("two_point", "backpropagation", "mezo")
    }
    assert costs == {"two_point": 2, "backpropagation": 3, "mezo": 2}


@digits
def test_backpropagation_learns_and_steps_without_feedback_do_not():
    learned = outcome("train", "backpropagation", {"evaluations": 600}, {"optimizer.lr": 0.3}).metrics
    floor = outcome("train", "no_feedback", {"evaluations": 600}).metrics
    assert learned["test_accuracy"] > 0.7 > 0.4 > floor["test_accuracy"] and learned["alignment"] == pytest.approx(1)


@digits
def test_a_rate_too_large_has_diverged():
    result = outcome("train", "two_point", {"evaluations": 600}, {"optimizer.lr": 100.0})
    assert result.status == "diverged" and "training loss" in result.reason


# Bad input


@pytest.mark.parametrize(
    ("task", "entry", "changes", "parts", "reason"),
    [
        ("estimator", "two_point", {"queries": 1}, {}, "a difference needs 2"),
        ("estimator", "weight_perturbation", {"queries": 1}, {}, "a difference needs 2"),
        ("estimator", "forward_gradient", {"queries": 1}, {}, "a slope counts as 2"),
        ("estimator", "two_point", {"queries": 0}, {}, "task.queries=0"),
        ("estimator", "two_point", {"repeats": 1}, {}, "a variance needs 2"),
        ("estimator", "two_point", {"condition": 0.5}, {}, "task.condition=0.5"),
        ("estimator", "two_point", {}, {"estimator.smoothing": 0.0}, "above 0"),
        ("estimator", "two_point", {}, {"estimator.law": "cauchy"}, "gaussian or rademacher"),
        ("estimator", "random_coordinates", {"dimension": 50}, {"estimator.every": True}, "100 evaluations a step; there are 20"),
        ("credit", "node_perturbation", {"batch": 0}, {}, "task.batch=0"),
        ("credit", "node_perturbation", {}, {"rule.smoothing": 0.0}, "above 0"),
        ("descent", "two_point", {"reduction": 2.0}, {}, "between 0 and 1"),
        ("descent", "two_point", {"dimension": 2.5}, {}, "takes int"),
        ("descent", "mezo", {}, {"searcher.lr": -1.0}, "above 0"),
        ("descent", "shaped_strategy", {}, {"searcher.population": 3}, "even number"),
        ("train", "cma_es", {"width": 64}, {}, "searcher.separable=true"),
        ("train", "two_point", {"batch": 300}, {}, "256 training digits"),
        ("train", "two_point", {"evaluations": 1}, {}, "raise task.evaluations"),
        ("train", "two_point", {}, {"optimizer.name": "LBFGS"}, "asks for the loss"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(task, entry, changes, parts, reason):
    if task == "train" and location() is None:
        pytest.skip("the digits are not here")
    try:
        result = outcome(task, entry, changes, parts)
    except BenchError as told:
        assert reason in str(told)
    else:
        assert result.status == "failed" and reason in result.reason


def test_a_rule_for_networks_does_not_fit_a_plain_function():
    with pytest.raises(BenchError, match="no slot 'rule'"):
        outcome("estimator", "node_perturbation")
    oracle, weights, _ = network_oracle()
    with pytest.raises(BenchError, match="noise for 1 layers"):
        oracle.forward(weights, [torch.zeros(7, 4)])


def test_an_oracle_gives_nothing_beyond_the_budget():
    def refuse(evals: int) -> None:
        raise Exhausted

    oracle = Oracle(lambda points: points.sum(dim=-1), refuse)
    for ask in (oracle, oracle.gradient, lambda x: oracle.slopes(x, x[None])):
        with pytest.raises(Exhausted):
            ask(torch.ones(3))


# Published code (docs/audits.md)


def test_a_rebound_parameter_takes_three_times_its_size():
    """`param.data = param.data + factor * z * eps`, against blocks in place."""
    x, n = torch.zeros(100 * BLOCK), 100 * BLOCK * 4
    with PeakMemory() as rebound:
        z = torch.randn(len(x))
        x.data = x.data + 1.0 * z * 1e-3
    with PeakMemory() as in_place:
        Mezo(dimension=len(x), evaluations=2, generator=drawn()).move(x, 0, 1e-3)
    assert rebound.peak == 3 * n and in_place.peak == 4 * BLOCK


def test_in_half_precision_large_weights_do_not_feel_the_perturbation():
    z = torch.randn(10000, generator=drawn(), dtype=torch.float16)
    for size, least, most in ((5.0, 0.9, 1.0), (0.02, 0.0, 0.02)):
        weight = torch.full_like(z, size)
        unmoved = float((weight + 1e-3 * z == weight).float().mean())
        assert least <= unmoved <= most, (size, unmoved)


def test_three_moves_do_not_restore_single_precision_exactly():
    start = torch.randn(10000, generator=drawn())
    x, mezo = start.clone(), Mezo(dimension=10000, evaluations=2, generator=drawn())
    for factor in (1e-3, -2e-3, 1e-3):
        mezo.move(x, 7, factor)
    drift = (x - start).abs().max()
    assert 0 < float(drift) < 1e-6
