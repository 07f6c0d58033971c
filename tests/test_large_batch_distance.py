"""Weight distance: fits of known walks, the constant-rate phase, and the claims' measures."""

from __future__ import annotations

import math

import pytest
import torch

from bench.contract import BenchError
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.large_batch.claims import least_step, pace_gain, straightness
from tasks.large_batch.diffusion import Diffusion, Params
from tasks.large_batch.recipe import Recipe
from tasks.large_batch.walk import growth
from tests.test_claims import record

STEPS = list(range(0, 1600, 8))


def outcome(entry: str, **params: float) -> dict:
    spec = config.task_spec("large_batch/diffusion")
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 0, "/nowhere"))


def test_a_logarithm_and_a_root_are_told_apart():
    logarithm = growth(STEPS, [2 + 3 * math.log(t) if t else 0.0 for t in STEPS])
    assert logarithm["log_r2"] == pytest.approx(1) and logarithm["log_rate"] == pytest.approx(3)
    assert logarithm["root_r2"] < 0.95
    root = growth(STEPS, [0.7 * math.sqrt(t) for t in STEPS])
    assert root["root_r2"] == pytest.approx(1) and root["exponent"] == pytest.approx(0.5)
    assert root["log_r2"] < 0.95


def test_a_free_walk_is_ordinary_diffusion():
    """Steps that do not depend on each other, in 2000 dimensions: the distance is sqrt(t d) up to 1 / sqrt(d)."""
    walk = torch.randn(1600, 2000, generator=torch.Generator().manual_seed(0)).cumsum(0).norm(dim=1)
    found = growth(STEPS[1:], [float(walk[t - 1]) for t in STEPS[1:]])
    assert found["root_r2"] > 0.995 > found["log_r2"] and found["exponent"] == pytest.approx(0.5, abs=0.02)


def test_what_comes_before_the_window_does_not_count():
    tail = [1 + math.log(t) for t in range(5, 50)]
    assert growth(range(50), [99.0] * 5 + tail) == growth(range(5, 50), tail)


@pytest.mark.parametrize(("steps", "distances"), [([], []), ([0, 8, 16], [0.0, 1.0, 2.0]), (STEPS, [0.0] * len(STEPS))])
def test_too_few_points_and_weights_that_stay_have_no_fit(steps, distances):
    assert set(growth(steps, distances).values()) == {None}


@pytest.mark.parametrize("batch", [32, 512])
def test_every_regime_makes_as_many_updates_at_a_constant_rate(batch):
    task = Diffusion(Params())
    adapted = task.adapted(Recipe(batch, 32, 0.05, 3), 16384)
    assert adapted.updates(16384) == task.budget.limit == 1536 and adapted.drops == ()


def test_labels_are_drawn_anew_for_training_alone():
    plain, flipped = (Diffusion(Params(flipped=share)).problem(None, Seeds(0, Diffusion.name)) for share in (0.0, 0.2))
    assert float((plain.public["y"] != flipped.public["y"]).float().mean()) == pytest.approx(0.18, abs=0.01)
    assert torch.equal(flipped.public["y"], flipped.hidden["train"][1])
    for name in ("val", "test"):
        assert torch.equal(plain.hidden[name][1], flipped.hidden[name][1])
    assert torch.equal(plain.public["x"], flipped.public["x"])


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan])
def test_a_share_lies_between_0_and_1(share):
    with pytest.raises(BenchError, match="flipped=.*a share of the labels"):
        Diffusion(Params(flipped=share)).problem(None, Seeds(0, Diffusion.name))


def test_cells_measure_their_distance():
    small, large = outcome("small_batch"), outcome("large_batch")
    assert (
        small.costs.counts["steps"] == large.costs.counts["steps"] == 48 and large.costs.counts["samples"] == 48 * 512
    )
    assert small.curves["weight_distance"][0] == list(range(0, 49, 4))
    assert small.metrics["log_r2"] > 0.9 and small.metrics["log_rate"] > large.metrics["log_rate"] > 0


def test_weights_that_stay_have_no_pace():
    found = outcome("chance")
    assert found.status == "ok" and "log_rate" not in found.metrics


def test_measures():
    def rows(**paces: float) -> dict:
        return {name: [record(name, log_rate=pace, log_r2=0.9, root_r2=0.8)] for name, pace in paces.items()}

    paces = rows(adapted=2.0, large=1.0, small=4.0)
    assert pace_gain(paces, of="adapted", over="large", like="small") == pytest.approx(math.log(2))
    assert pace_gain(paces, of="small", over="large", like="small") == pytest.approx(math.log(4))
    assert straightness(paces, of="small") == pytest.approx(0.1)
    with pytest.raises(ValueError, match="of large or small do not move"):
        pace_gain(rows(adapted=2.0, large=-1.0, small=4.0), of="adapted", over="large", like="small")
    found = {name: [record(name, test_accuracy=value)] for name, value in (("a", 0.5), ("b", 0.9), ("c", 0.8))}
    assert least_step(found, order=["a", "b", "c"]) == pytest.approx(-0.1)
    assert least_step(found, order=["a", "c", "b"]) == pytest.approx(0.1)
    found["c"] = [record("c", status="diverged")]
    assert least_step(found, order=["a", "b", "c"]) == pytest.approx(0.1 - 0.9), "divergence counts as chance"
