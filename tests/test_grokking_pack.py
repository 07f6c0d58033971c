"""The grokking pack: Grokfast's filter, Omnigrok's norms, and their measures."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from baselines.initializers.scaled import scaled
from baselines.optimizers.constrained_norm import constrained_norm
from baselines.optimizers.grokfast import grokfast
from bench.contract import BenchError
from bench.execute import Job, call
from bench.planning import config
from bench.records.record import Record
from tasks.grokking import groups_claims
from tests import rows


def cell(entry: str, task: str = "grokking/group_arithmetic", **params) -> dict:
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 0, "/nowhere"))


def norm(model: nn.Module) -> float:
    return math.sqrt(sum(float(p.detach().square().sum()) for p in model.parameters()))


def test_grokfast_adds_the_average_that_starts_at_the_first_gradient():
    model = nn.Linear(1, 1, bias=False).double()
    start = float(model.weight.detach())
    optimizer = grokfast(model, 3, "SGD", alpha=0.9, lamb=2.0, lr=1.0)
    gradients, mean, moved = [1.0, -2.0, 4.0], None, 0.0
    for gradient in gradients:
        model.weight.grad = torch.full_like(model.weight, gradient)
        optimizer.step()
        mean = gradient if mean is None else 0.9 * mean + 0.1 * gradient
        moved += gradient + 2.0 * mean
    assert start - float(model.weight.detach()) == pytest.approx(moved)


def test_without_amplification_grokfast_is_its_optimizer():
    torch.manual_seed(0)
    first, second = nn.Linear(3, 2), nn.Linear(3, 2)
    second.load_state_dict(first.state_dict())
    plain, filtered = torch.optim.Adam(first.parameters(), lr=0.1), grokfast(second, 5, "Adam", lamb=0.0, lr=0.1)
    for _ in range(5):
        for model, optimizer in ((first, plain), (second, filtered)):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.step()
    assert torch.equal(first.weight, second.weight)


def test_the_norm_is_held_from_the_start():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    held = 0.8 * norm(model)
    optimizer = constrained_norm(model, 5, "Adam", alpha=0.8, lr=0.1)
    assert norm(model) == pytest.approx(held)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
        assert norm(model) == pytest.approx(held, rel=1e-5)


def test_scaled_weights_are_multiples():
    model = nn.Linear(3, 4)
    before = norm(model)
    scaled(model, 3.0)
    assert norm(model) == pytest.approx(3 * before)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda m: scaled(m, 0.0), "alpha=0.0"),
        (lambda m: constrained_norm(m, 1, "Adam", alpha=-1.0, lr=0.1), "alpha=-1.0"),
        (lambda m: grokfast(m, 1, "Adam", alpha=1.0, lr=0.1), "alpha=1.0"),
    ],
)
def test_numbers_out_of_range_are_named(make, name):
    with pytest.raises(ValueError, match=name):
        make(nn.Linear(2, 2))


@pytest.mark.parametrize("wrapper", [constrained_norm, grokfast])
def test_an_optimizer_without_hooks_is_refused(wrapper):
    """Muon beside AdamW is two optimizers driven as one, as soon as a model has more than matrices."""
    with pytest.raises(BenchError, match="'Muon' has no step hooks"):
        wrapper(nn.Linear(2, 2), 1, "Muon", lr=0.1)


@pytest.mark.parametrize(
    ("entry", "task"),
    [
        ("grokfast", "grokking/modular_addition"),
        ("constrained_norm", "grokking/modular_addition"),
        ("scaled_weights", "grokking/group_arithmetic"),
        ("grokfast+scaled_weights", "grokking/group_arithmetic"),
    ],
)
def test_the_entries_run(entry, task):
    assert cell(entry, task, steps=20, eval_every=10).status == "ok"


def test_a_constrained_run_keeps_its_norm():
    norms = cell("constrained_norm", steps=40, eval_every=10).curves["weight_norm"][1]
    assert norms == pytest.approx([norms[0]] * len(norms), rel=1e-4)


def record(steps: float, alpha: float = 1.0, status: str = "ok") -> Record:
    metrics = {"steps_to_monitor": steps} if status == "ok" else {}
    config = {"weights": {"alpha": alpha}}
    return rows.record("e", 0, status, metrics=metrics, params={"steps": 600}, config=config)


def test_a_speed_up_takes_the_best_rate_of_each_and_counts_divergence_as_the_budget():
    records = {"adam": [record(300), record(100)], "muon": [record(0, status="diverged"), record(50)]}
    assert groups_claims.speed_up(records, of="muon", over="adam") == 2.0
    records["muon"] = [record(0, status="diverged")]
    assert groups_claims.speed_up(records, of="muon", over="adam") == pytest.approx(1 / 6)


def test_the_delay_by_scale_compares_the_largest_with_the_smallest():
    records = {"scaled_weights": [record(600, 2.0), record(200, 1.0)]}
    assert groups_claims.scale_delay(records, of="scaled_weights") == 3.0
