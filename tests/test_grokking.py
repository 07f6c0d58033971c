"""Grokking: the arithmetic, the exact network, what is measured, and the delay itself."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from bench.contract import BenchError
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.grokking import arithmetic
from tasks.grokking.modular_addition import ModularAddition, Params
from tasks.grokking.network import Quadratic, exact, fourier_purity, probe

TASK = "grokking/modular_addition"


def cell(entry: str = "adam", preset: str = "small", seed: int = 0, **params) -> dict:
    spec = config.task_spec(TASK)
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, preset, params), parts, seed, "/nowhere"))


@pytest.mark.parametrize("p", [7, 23, 59])
def test_the_exact_network_has_zero_loss_full_accuracy_and_pure_frequencies(p):
    pairs, labels = arithmetic.table("add", p)
    inputs = arithmetic.one_hot(pairs, p).double()
    network = exact(p)
    logits = network(inputs)
    wanted = torch.nn.functional.one_hot(labels, p).double() - 1 / p
    assert (logits - wanted).abs().max() < 1e-12
    assert float(arithmetic.centred_mse(logits, labels)) < 1e-12
    assert bool((logits.argmax(-1) == labels).all())
    assert torch.allclose(fourier_purity(network.hidden.weight, p), torch.ones(3 * (p - 1), dtype=torch.float64))


def test_the_exact_network_wants_an_odd_modulus():
    with pytest.raises(ValueError, match="odd"):
        exact(8)


@pytest.mark.parametrize("p", [5, 13])
def test_tables_are_those_of_the_field(p):
    tables = {
        op: {tuple(a.tolist()): int(y) for a, y in zip(*arithmetic.table(op, p), strict=True)}
        for op in arithmetic.OPERATIONS
    }
    assert (
        len(tables["add"]) == len(tables["sub"]) == p * p and len(tables["mul"]) == len(tables["div"]) == (p - 1) ** 2
    )
    for a, b in itertools.product(range(1, p), repeat=2):
        assert tables["sub"][(tables["add"][(a, b)], b)] == a
        assert tables["div"][(tables["mul"][(a, b)], b)] == a
    for op, start in (("add", 0), ("mul", 1)):
        for a in range(start, p):
            assert sorted(tables[op][(a, b)] for b in range(start, p)) == list(range(start, p)), "a Latin square"


@pytest.mark.parametrize(("op", "p"), [("mul", 9), ("div", 15), ("add", 2), ("pow", 7)])
def test_what_is_no_table_is_an_error(op, p):
    with pytest.raises(BenchError, match="task"):
        arithmetic.table(op, p)


def test_the_loss_is_the_distance_to_the_centred_label():
    logits, labels = torch.randn(6, 11, dtype=torch.float64), torch.arange(6)
    wanted = torch.nn.functional.one_hot(labels, 11).double() - 1 / 11
    distance = (logits - logits.mean(-1, keepdim=True) - wanted).square().sum(-1).mean()
    assert float(arithmetic.centred_mse(logits, labels)) == pytest.approx(float(distance))
    assert float(arithmetic.centred_mse(logits + 3.0, labels)) == pytest.approx(float(distance))


def test_purity_of_noise_is_low_and_of_a_cosine_one():
    torch.manual_seed(0)
    assert float(fourier_purity(torch.randn(500, 2 * 59), 59).mean()) < 0.2
    wave = torch.cos(2 * torch.pi * 5 * torch.arange(59) / 59)
    assert float(fourier_purity(torch.cat([wave, wave])[None], 59)) == pytest.approx(1.0)
    assert set(probe(Quadratic(59, 59, 4), 59)) == {"fourier_purity", "weight_norm"}


def test_the_splits_are_disjoint_and_cover_the_table():
    problem = ModularAddition(Params()).problem(None, Seeds(0, TASK))
    sets = [problem.hidden[name][0] for name in ("train", "val", "monitor")]
    together = torch.cat(sets)
    assert len(together) == 23 * 23 == len(torch.unique(together, dim=0))
    assert len(sets[0]) == 216 and torch.equal(sets[0], problem.public["pairs"])


def test_too_many_training_pairs_are_refused():
    with pytest.raises(BenchError, match="task.train=529"):
        ModularAddition(Params(train=529)).problem(None, Seeds(0, TASK))


def test_generalisation_comes_long_after_the_fit():
    outcome = cell()
    metrics = outcome.metrics
    assert outcome.status == "ok" and outcome.censored == []
    assert metrics["steps_to_train"] <= 50 and 150 <= metrics["steps_to_monitor"] <= 600
    assert metrics["delay"] == pytest.approx(metrics["steps_to_monitor"] / metrics["steps_to_train"])
    steps, accuracy = outcome.curves["monitor_acc"]
    assert steps[np.argmax(np.array(accuracy) >= 0.99)] == metrics["steps_to_monitor"]
    assert outcome.costs.counts["steps"] < 1500, "the run stops once every target is reached"


def test_without_weight_decay_it_is_censored_at_the_budget():
    spec = config.task_spec(TASK)
    parts = config.resolve_parts(spec, config.entry("adam"), {"optimizer.weight_decay": 0.0})
    outcome = call(Job(spec.target, config.parameters(spec, "small", {"steps": 600}), parts, 0, "/nowhere"))
    assert set(outcome.censored) == {"steps_to_monitor", "steps_to_val"}
    assert outcome.metrics["steps_to_monitor"] == 600 and "delay" not in outcome.metrics
    assert outcome.metrics["monitor_acc"] < 0.1, "random labels of unseen pairs cannot leak"


@pytest.mark.parametrize("op", ["sub", "mul", "div"])
def test_every_operation_runs(op):
    assert cell(preset="smoke", op=op).status == "ok"
