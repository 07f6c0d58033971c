"""Continual learning: update rules, penalties and memories against closed forms, the tasks, and what bad input says."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from baselines.memories.replay import Replay
from baselines.optimizers.classp import Classp
from baselines.regularizers.consolidation import Ewc, L2Anchor, SynapticIntelligence, fisher, per_sample_gradients
from bench.contract import BenchError, Exhausted
from bench.execute import Job, call
from bench.outcome import Outcome
from bench.planning import config
from bench.seeds import Seeds, Stream
from bench.train import served
from tasks.continual import base, claims, scoring, training
from tasks.continual.digits_then_gratings import DigitsThenGratings, gratings
from tasks.continual.permuted_digits import PermutedDigits
from tasks.continual.split_digits import SplitDigits
from tasks.large_batch.digits import location

digits = pytest.mark.skipif(location() is None, reason="scikit-learn, which ships the digits, is not here")
TASKS = (SplitDigits, PermutedDigits, DigitsThenGratings)


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(inputs: int = 3, classes: int = 4, seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(inputs, classes).double()


def data(count: int = 40, inputs: int = 3, classes: int = 4, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    g = drawn(seed)
    return torch.randn(count, inputs, generator=g, dtype=torch.float64), torch.randint(classes, (count,), generator=g)


def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 5) -> nn.Module:
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model, data()).backward()
        optimizer.step()
    return model


def outcome(task: str, entry: str, preset: str = "smoke", seed: int = 100, **params: object) -> Outcome:
    spec = config.task_spec(f"continual/{task}")
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, preset, params), parts, seed, "/nowhere"))


# CLASSP


def test_power_two_without_threshold_is_adagrad():
    ours, theirs = linear(), linear()
    train(ours, Classp(ours, 5, lr=0.1, power=2.0, eps=0.0, plain_first=False))
    train(theirs, torch.optim.Adagrad(theirs.parameters(), lr=0.1, eps=0.0))
    assert torch.allclose(ours.weight, theirs.weight, rtol=1e-13, atol=0)


def test_the_first_task_is_plain_sgd_and_the_sum_grows():
    ours, theirs = linear(), linear()
    optimizer = Classp(ours, 5, lr=0.1)
    train(ours, optimizer)
    train(theirs, torch.optim.SGD(theirs.parameters(), lr=0.1))
    assert torch.allclose(ours.weight, theirs.weight, rtol=1e-14, atol=0)
    assert (optimizer.state[ours.weight]["sum"] > 0).all()


def test_steps_follow_the_equation_weight_by_weight():
    model = linear()
    optimizer = Classp(model, 1, lr=0.3, threshold=0.01, power=1.5, eps=1e-3, plain_first=False)
    before = model.weight.detach().clone()
    train(model, optimizer, 1)
    g = model.weight.grad
    chosen = g.square() > 0.01
    step = 0.3 * g / (1e-3 + g.abs() ** 1.5) ** (1 / 1.5)
    assert 0 < int(chosen.sum()) < chosen.numel()
    assert torch.allclose(model.weight, torch.where(chosen, before - step, before), rtol=1e-13)


@pytest.mark.parametrize("plain", [True, False])
def test_a_threshold_that_no_gradient_reaches_moves_nothing(plain):
    model, twin = linear(), linear()
    train(model, Classp(model, 5, threshold=1e6, plain_first=plain))
    assert torch.equal(model.weight, twin.weight) and torch.equal(model.bias, twin.bias)


def test_a_weight_without_gradient_stays_with_eps_of_zero():
    model = linear()
    model.weight.grad, model.bias.grad = torch.zeros_like(model.weight), torch.zeros_like(model.bias)
    before = model.weight.detach().clone()
    Classp(model, 1, eps=0.0, plain_first=False).step()
    assert torch.equal(model.weight, before)


@pytest.mark.parametrize(
    ("name", "bad"), [("lr", -1.0), ("threshold", -1.0), ("threshold", math.inf), ("power", 0.0), ("eps", math.nan)]
)
def test_what_classp_refuses(name, bad):
    with pytest.raises(BenchError, match=f"CLASSP: {name}={bad}"):
        Classp(linear(), 1, **{name: bad})


# Audits of the published code: what its expressions do


@pytest.mark.parametrize(("threshold", "updates"), [(0.0, True), (0.5, True), (0.99, True), (1.0, False)])
def test_a_truth_value_against_a_threshold_lets_every_gradient_through_below_one(threshold, updates):
    tiny = torch.full((3,), 1e-12)
    assert bool((tiny**2).any() > threshold) is updates


def test_a_power_of_the_result_of_an_addition_in_place_is_lost():
    total = torch.zeros(2)
    total.add_(torch.tensor([2.0, 3.0])) ** 2
    assert total.tolist() == [2.0, 3.0]


def test_squares_of_batch_gradients_are_smaller_than_the_fisher_information_by_the_square_of_the_batch():
    """For independent samples whose mean gradient is 0: E g_batch^2 = F / B, and dividing by samples in place of batches is
    another 1 / B. Uniform predictions and labels drawn from them are such a case."""
    model, size = linear(), 8
    for p in model.parameters():
        nn.init.zeros_(p)
    x, y = data(6400)
    full = fisher(model, x, y, drawn(), labels="model")[0].mean()
    batched = fisher(model, x, y, drawn(), labels="data", group=size)[0].mean()
    assert float(full / batched) == pytest.approx(size**2, rel=0.15)


def test_an_anchor_of_another_network_pulls_from_the_start():
    old, fresh = linear(seed=0), linear(seed=1)
    penalty = L2Anchor(model=old, generator=drawn(), strength=1.0)
    penalty.stage_end(old, data())
    assert float(penalty(old)) == 0 < float(penalty(fresh))


def test_predictions_are_without_dropout():
    model = nn.Sequential(nn.Dropout(0.5), linear())
    x = data()[0]
    assert not torch.equal(model(x), model(x))
    assert torch.equal(served(model, None, model)(x), served(model, None, model)(x))


# Penalties


def test_the_fisher_information_of_a_linear_softmax_has_a_closed_form():
    """F of weight (k, j) is the mean of p_k (1 - p_k) x_j^2; labels drawn many times come near."""
    model, (x, _) = linear(), data(5)
    many = x.repeat(4000, 1)
    importance = fisher(model, many, torch.zeros(len(many)).long(), drawn())[0]
    p = model(x).detach().softmax(-1)
    exact = ((p * (1 - p))[:, :, None] * x.square()[:, None, :]).mean(0)
    assert torch.allclose(importance, exact, rtol=0.1)


@pytest.mark.parametrize("count", [1, 5, 65])
def test_gradients_of_each_sample_are_those_of_batches_of_one(count):
    model, (x, y) = linear(), data(count)
    chunks = [weight for weight, _ in per_sample_gradients(model, x, y)]
    for i, row in enumerate(torch.cat(chunks)):
        (single,) = torch.autograd.grad(loss(model, (x[i : i + 1], y[i : i + 1])), [model.weight])
        assert torch.allclose(row, single, atol=1e-14)


def test_penalties_are_nothing_during_the_first_task_and_quadratic_after():
    model = linear()
    for cls in (L2Anchor, Ewc, SynapticIntelligence):
        penalty = cls(model=model, generator=drawn(), strength=3.0)
        assert float(penalty(model)) == 0
    anchor = L2Anchor(model=model, generator=drawn(), strength=3.0)
    anchor.stage_end(model, data())
    moved = copy.deepcopy(model)
    moved.bias.data += 2.0
    assert float(anchor(moved)) == pytest.approx(3 / 2 * 4 * len(moved.bias))


def test_a_strong_anchor_keeps_the_weights():
    model = linear()
    penalty = L2Anchor(model=model, generator=drawn(), strength=1e4)
    penalty.stage_end(model, data())
    start, optimizer = model.weight.detach().clone(), torch.optim.SGD(model.parameters(), lr=1e-5)
    for _ in range(500):
        optimizer.zero_grad()
        (loss(model, data()) + penalty(model)).backward()
        optimizer.step()
    assert float((model.weight - start).abs().max()) < 1e-4


def test_gains_of_small_steps_add_up_to_the_fall_of_the_loss():
    """Zenke et al. 2017, equation 3: along the path, sums of -gradient times movement are what the loss lost, to first order."""
    model, batch = linear(), data()
    penalty = SynapticIntelligence(model=model, generator=drawn())
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = float(loss(model, batch))
    for _ in range(300):
        optimizer.zero_grad()
        loss(model, batch).backward()
        optimizer.step()
        penalty.after_step(model)
    assert sum(float(gain.sum()) for gain in penalty.gain) == pytest.approx(
        before - float(loss(model, batch)), rel=0.01
    )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda m: L2Anchor(model=m, generator=drawn(), strength=-1.0), "strength=-1.0"),
        (lambda m: Ewc(model=m, generator=drawn(), group=0), "group=0"),
        (lambda m: Ewc(model=m, generator=drawn(), labels="mine"), "labels='mine'"),  # type: ignore[arg-type]
        (lambda m: SynapticIntelligence(model=m, generator=drawn(), damping=0.0), "damping=0.0"),
        (lambda m: Replay(generator=drawn(), capacity=0), "capacity=0"),
        (lambda m: Replay(generator=drawn(), share=1.5), "share=1.5"),
        (lambda m: base.later(1, later=-1.0), "rate.later=-1.0"),
    ],
)
def test_what_parts_refuse(make, said):
    with pytest.raises(BenchError, match=said):
        make(linear())


# Memory


def test_replay_takes_its_share_of_a_batch_from_stored_samples():
    replay = Replay(generator=drawn(), capacity=4, share=0.25)
    new = (torch.ones(8, 2), torch.ones(8).long())
    assert replay(new) is new
    replay.stage_end(nn.Linear(2, 2), (torch.zeros(20, 2), torch.zeros(20).long()))
    x, y = replay(new)
    assert len(replay.kept[0][1]) == 4 and int((y == 0).sum()) == 2 and len(x) == 8


def test_joint_training_draws_all_tasks_alike():
    replay = Replay(generator=drawn(), capacity=None, share=None)
    for task in range(3):
        replay.stage_end(nn.Linear(2, 2), (torch.zeros(10, 2), torch.full((10,), task)))
    _, y = replay((torch.ones(40, 2), torch.full((40,), 3)))
    assert int((y == 3).sum()) == 10 and sum(len(kept[1]) for kept in replay.kept) == 30


# The tasks


def test_the_numbers_of_an_accuracy_matrix():
    table = [[0.1, 0.2, 0.1], [0.9, 0.2, 0.1], [0.7, 0.8, 0.1], [0.5, 0.6, 0.7]]
    scores = scoring.summary(table)
    expected = {
        "average_accuracy": 0.6, "forgetting": (0.4 + 0.2) / 2, "first_accuracy": 0.5, "first_before": 0.9, "last_accuracy": 0.7,
    }  # fmt: skip
    assert scores == pytest.approx(expected)


def test_all_that_passes_with_a_gradient_is_charged():
    model = nn.Linear(3, 2)

    class Log:
        passes = 0

        def count(self, passes: int) -> None:
            Log.passes += passes
            if Log.passes > 8:
                raise Exhausted

    training.count_passes(model, Log())  # type: ignore[arg-type]
    model(torch.zeros(5, 3))
    with torch.no_grad():
        model.eval()(torch.zeros(100, 3))
    assert Log.passes == 5
    with pytest.raises(Exhausted):
        model(torch.zeros(5, 3))


def test_what_parts_store_is_counted_once_and_without_the_model():
    model, shared = nn.Linear(3, 2), torch.zeros(7)
    held = {
        "model": model,
        "weight": model.weight,
        "a": shared,
        "b": [shared, (torch.zeros(2, 2),)],
        "c": None,
        "d": 3.0,
    }
    assert training.stored(held) == 7 + 4


def test_gratings_are_waves_of_unit_mean_square_and_new_for_every_stream():
    x, y = gratings(4000, 1e-9, Stream(1))
    assert x.shape == (4000, 64) and sorted(set(y.tolist())) == list(range(10))
    assert float(x.square().mean()) == pytest.approx(1, abs=0.05)
    noisy, _ = gratings(4000, 0.5, Stream(1))
    assert float((noisy - x).std()) == pytest.approx(0.5, rel=0.01)
    assert not torch.equal(x, gratings(4000, 1e-9, Stream(2))[0])


@digits
@pytest.mark.parametrize("cls", TASKS)
def test_sets_do_not_overlap_and_differ_between_seeds(cls):
    task = cls(cls.Params())
    first, other = (task.problem(task.prepare(None, 0), Seeds(seed, task.name)) for seed in (100, 101))
    assert not torch.equal(first.public["x"], other.public["x"])
    rows = [tuple(row.tolist()) for name in ("train", "val", "test") for row in first.hidden[name][0][0]]
    assert len(set(rows)) == len(rows) and set(first.public) == {"x", "y", "classes", "budget"}


@digits
def test_permuted_tasks_are_the_same_digits():
    task = PermutedDigits(PermutedDigits.Params())
    x = task.problem(task.prepare(None, 0), Seeds(100, task.name)).public["x"]
    assert torch.equal(x[0].sort(1).values, x[3].sort(1).values) and not torch.equal(x[0], x[3])


@digits
def test_split_tasks_share_the_head():
    task = SplitDigits(SplitDigits.Params())
    y = task.problem(task.prepare(None, 0), Seeds(100, task.name)).public["y"]
    assert y.min(1).values.tolist() == [0, 0] and y.max(1).values.tolist() == [4, 4]


@digits
@pytest.mark.parametrize(
    ("entry", "stored"),
    [("sgd_one_rate", 0), ("l2_anchor", 1), ("classp", 1), ("ewc", 2), ("synaptic_intelligence", 4)],
)
def test_what_a_method_stores(entry, stored):
    result = outcome("split_digits", entry)
    assert result.status == "ok", result.reason
    assert result.metrics["stored"] == stored
    measured = 64 * 2 if "ewc" in entry else 0
    assert result.costs.counts["passes"] == result.costs.counts["samples"] + measured


@digits
@pytest.mark.parametrize("task", ["split_digits", "permuted_digits", "digits_then_gratings"])
def test_a_run_keeps_the_network_of_every_stage(task):
    result = outcome(task, "replay")
    assert result.status == "ok" and set(result.exhibits) == {"accuracy_matrix", "first_confusion"}
    matrix = result.arrays["exhibit/accuracy_matrix/accuracy"]
    assert matrix.shape == (3, 2) and result.metrics["first_before"] == pytest.approx(float(matrix[1, 0]))
    assert result.metrics["forgetting"] == pytest.approx(float(matrix[1, 0] - matrix[2, 0]), abs=1e-6)
    assert result.metrics["first_before"] > float(matrix[0, 0]) + 0.1


@digits
def test_nothing_moves_at_a_threshold_that_no_gradient_reaches_and_the_record_says_so():
    spec = config.task_spec("continual/split_digits")
    parts = config.resolve_parts(spec, config.entry("classp"), {"optimizer.threshold": 1e6})
    still = call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 100, "/nowhere")).metrics
    assert still["update_density"] == 0 and still["forgetting"] == 0
    assert still["average_accuracy"] == outcome("split_digits", "untrained").metrics["average_accuracy"]


@pytest.mark.parametrize(
    ("cls", "params", "said"),
    [
        (SplitDigits, {"tasks": 1}, "task.tasks=1: forgetting needs an earlier task"),
        (PermutedDigits, {"tasks": 1}, "task.tasks=1: forgetting needs an earlier task"),
        (SplitDigits, {"tasks": 3}, "ten digits are divided among 2 or 5"),
        (DigitsThenGratings, {"tasks": 3}, "there are two tasks"),
        (DigitsThenGratings, {"noise": 0.0}, "task.noise=0.0"),
        (SplitDigits, {"batch": 451}, "task.batch=451: a task has 450 training samples"),
        (SplitDigits, {"later_epochs": 0}, "task.later_epochs=0"),
    ],
)
def test_parameters_that_make_no_task(cls, params, said):
    with pytest.raises(BenchError, match=said):
        cls(cls.Params(**params))


@digits
def test_more_digits_than_there_are():
    task = SplitDigits(SplitDigits.Params(test=400))
    with pytest.raises(BenchError, match="add up to 1000; task 1 has 901 digits"):
        task.problem(task.prepare(None, 0), Seeds(100, task.name))


@digits
def test_a_batch_of_one_is_trained_on():
    result = outcome("split_digits", "ewc", batch=1, train=8, first_epochs=1, later_epochs=1)
    assert result.status == "ok" and result.costs.counts["steps"] == 16


# Claims


def test_a_frontier_keeps_what_no_other_point_beats():
    points = [(0.2, 0.9), (0.5, 0.8), (0.4, 0.7), (0.9, 0.3), (0.5, 0.6)]
    kept = claims.frontier(points)
    assert kept == [(0.2, 0.9), (0.5, 0.8), (0.9, 0.3)]
    assert claims.height(kept, 0.7) == pytest.approx(0.55) and claims.height(kept, 0.1) == 0.9
    with pytest.raises(BenchError, match="beyond the frontier"):
        claims.height(kept, 0.95)


def test_the_gap_at_a_matched_second_task(monkeypatch):
    monkeypatch.setattr(claims, "_point", lambda record: record)
    rival = [(0.2, 0.9), (0.8, 0.3)]
    better = [(x, y + 0.1) for x, y in rival]
    assert claims.matched_gap({"a": better, "b": rival}, of="a", over="b") == pytest.approx(0.1)  # type: ignore[dict-item]
    single = [(0.8, 0.95), (0.2, 0.9)]  # a single point beats all others
    assert claims.matched_gap({"a": single, "b": rival}, of="a", over="b") == pytest.approx(0.35)  # type: ignore[dict-item]
    with pytest.raises(BenchError, match="no common accuracy"):
        claims.matched_gap({"a": [(0.9, 0.1)], "b": rival}, of="a", over="b")  # type: ignore[dict-item]
