"""Large batch: ghost batch norm's identities, the recipes' arithmetic, and the ordering of regimes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from baselines.regimes import hoffer
from bench.contract import Solution
from bench.execute import Job, call
from bench.planning import config
from bench.seeds import Seeds
from tasks.large_batch.ghost import GhostBatchNorm, with_ghosts
from tasks.large_batch.networks import ConvNet, Perceptron, batches, copies, distance
from tasks.large_batch.prototypes import Prototypes
from tasks.large_batch.recipe import Recipe

RECIPE = Recipe(batch=32, base=32, lr=0.05, epochs=20)


def outcome(entry: str, preset: str = "small", task: str = "large_batch/prototypes", seed: int = 0) -> dict:
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, preset, {}), parts, seed, "/nowhere"))


@pytest.mark.parametrize("shape", [(24, 5), (24, 5, 4, 4)])
def test_a_chunk_of_the_whole_batch_is_batch_norm(shape):
    torch.manual_seed(0)
    x = torch.randn(shape)
    plain = nn.BatchNorm1d(5) if len(shape) == 2 else nn.BatchNorm2d(5)
    ghost = GhostBatchNorm(type(plain)(5), chunk=24)
    assert torch.allclose(ghost(x), plain(x), atol=1e-6)
    assert torch.allclose(ghost.norm.running_var, plain.running_var)
    plain.eval(), ghost.eval()
    assert torch.equal(ghost(x), plain(x))


def test_running_statistics_are_those_of_chunks_seen_one_after_another():
    torch.manual_seed(0)
    x = torch.randn(40, 3) * 2 + 1
    ghost, plain = GhostBatchNorm(nn.BatchNorm1d(3), 8), nn.BatchNorm1d(3)
    ghost(x)
    for chunk in x.split(8):
        plain(chunk)
    assert torch.allclose(ghost.norm.running_mean, plain.running_mean, atol=1e-7)
    rate, means = plain.momentum, [chunk.mean(0) for chunk in x.split(8)]
    expected = sum(rate * (1 - rate) ** (4 - i) * mean for i, mean in enumerate(means))
    assert torch.allclose(ghost.norm.running_mean, expected, atol=1e-7)


@pytest.mark.parametrize("momentum", [0.3, None])
def test_every_kind_of_running_statistics_is_kept(momentum):
    """momentum None is torch's cumulative average; the count of batches goes up by one a chunk."""
    torch.manual_seed(0)
    x = torch.randn(40, 3) * 2 + 1
    ghost, plain = (nn.BatchNorm1d(3, momentum=momentum) for _ in range(2))
    GhostBatchNorm(ghost, 8)(x)
    for chunk in x.split(8):
        plain(chunk)
    for name, value in plain.state_dict().items():
        assert torch.equal(ghost.state_dict()[name], value), name
    assert int(ghost.num_batches_tracked) == 5


@given(st.integers(2, 60), st.integers(2, 20))
@settings(deadline=None, max_examples=40)
def test_each_chunk_is_normalised_by_itself(size, chunk):
    """A last chunk of one joins the chunk before; each has mean 0 and variance v / (v + eps) of its own v."""
    x = torch.randn(size, 3, generator=torch.Generator().manual_seed(size), dtype=torch.float64) * 3 + 2
    norm = nn.BatchNorm1d(3).double()
    out = GhostBatchNorm(norm, chunk)(x)
    starts = list(range(0, size, chunk))
    if len(starts) > 1 and size - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], size], strict=True):
        part, before = out[start:end], x[start:end].var(0, unbiased=False)
        assert float(part.mean(0).abs().max()) < 1e-9
        assert torch.allclose(part.var(0, unbiased=False), before / (before + norm.eps))


def test_chunks_do_not_see_each_other():
    torch.manual_seed(0)
    x = torch.randn(32, 3)
    changed = x.clone()
    changed[8:] += 5 * torch.randn(24, 3)
    ghost = GhostBatchNorm(nn.BatchNorm1d(3), 8)
    assert torch.equal(ghost(x)[:8], ghost(changed)[:8]) and not torch.equal(ghost(x)[8:16], ghost(changed)[8:16])


def test_a_last_chunk_of_one_joins_the_one_before():
    x = torch.randn(17, 3)
    out = GhostBatchNorm(nn.BatchNorm1d(3), 8)(x)
    assert out.shape == x.shape and bool(out.isfinite().all())
    with pytest.raises(ValueError, match="variance"):
        GhostBatchNorm(nn.BatchNorm1d(3), 1)


def test_ghosts_replace_every_norm_and_keep_the_parameters():
    model = ConvNet(3072, 10)
    before = {id(p) for p in model.parameters()}
    with_ghosts(model, 4)
    assert sum(isinstance(m, GhostBatchNorm) for m in model.modules()) == 3
    assert {id(p) for p in model.parameters()} == before


def test_regimes_are_transforms_of_the_recipe():
    assert hoffer.small_batch(RECIPE) == RECIPE
    large = hoffer.large_batch(RECIPE, lr=0.1)
    assert (large.batch, large.lr, large.epochs) == (512, 0.1, 20)
    assert hoffer.sqrt_lr(RECIPE, lr=0.1).lr == pytest.approx(0.4)
    assert hoffer.ghost_batch_norm(RECIPE).ghost == 32
    adapted = hoffer.regime_adaptation(RECIPE)
    assert adapted.updates(2048) == RECIPE.updates(2048) == 1280 == 16 * large.updates(2048)


def test_batches_are_epochs_without_repeats():
    x = torch.arange(10.0)[:, None]
    stream = batches(x, torch.arange(10), 3, torch.Generator().manual_seed(0))
    seen = torch.cat([next(stream)[1] for _ in range(3)])
    assert len(seen.unique()) == 9


def test_distance_is_euclidean():
    model = Perceptron(4, 2)
    start = copies(model)
    assert distance(model, start)["weight_distance"] == 0.0
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    assert distance(model, start)["weight_distance"] == pytest.approx((128 * 4) ** 0.5)


def test_labels_are_those_of_the_prototypes_and_splits_are_fresh():
    spec = config.task_spec("large_batch/prototypes")
    task = Prototypes(spec.cls.Params())
    problem = task.problem(None, Seeds(0, task.name))
    assert set(problem.public) == {"x", "y", "classes", "budget"}
    assert len({float(problem.hidden[name][0][0, 0]) for name in ("train", "val", "test")}) == 3
    x, y = problem.public["x"], problem.public["y"]
    centres = torch.stack([x[y == c].mean(0) for c in range(10)])
    assert float((torch.cdist(x, centres).argmin(1) == y).float().mean()) > 0.3, "labels follow the pictures"


def test_the_ordering_of_the_regimes():
    """Hoffer et al. 2017, table 1: large < + sqrt rate < + ghost batch norm < small <= + regime adaptation."""
    found = {name: outcome(name).metrics["test_accuracy"] for name in
             ("large_batch", "sqrt_lr", "ghost_batch_norm", "small_batch", "regime_adaptation")}  # fmt: skip
    assert found["large_batch"] + 0.03 < found["sqrt_lr"] < found["ghost_batch_norm"] < found["small_batch"]
    assert found["regime_adaptation"] > found["small_batch"] - 0.005


def test_updates_and_samples_are_counted():
    costs = outcome("large_batch", "smoke").costs.counts
    assert costs["samples"] == costs["steps"] * 512 and costs["steps"] == 3


def procedure(public, log, seeds):
    """An entry's own procedure: the nearest class mean, from what is public alone."""
    x, y = public["x"], public["y"]
    log.count(steps=public["budget"], samples=len(x))
    centres = torch.stack([x[y == c].mean(0) for c in range(public["classes"])])
    return Solution(lambda inputs: -torch.cdist(inputs, centres))


def labels_for_scores(public, log, seeds):
    return Solution(lambda inputs: torch.zeros(len(inputs), dtype=torch.int64))


def nothing(public, log, seeds):
    return Solution()


def proceeding(name: str) -> dict:
    spec = config.task_spec("large_batch/prototypes")
    parts = {"procedure": {"_target_": f"{__name__}.{name}"}}
    return call(Job(spec.target, config.parameters(spec, "smoke", {}), parts, 0, "/nowhere"))


def test_a_procedure_needs_the_public_part_only():
    found = proceeding("procedure")
    assert found.status == "ok" and found.metrics["test_accuracy"] > 0.3
    assert found.costs.counts["steps"] == 48


@pytest.mark.parametrize(("name", "reason"), [("labels_for_scores", "scores"), ("nothing", "no `predict`")])
def test_an_answer_that_cannot_be_scored_is_told(name, reason):
    found = proceeding(name)
    assert found.status == "failed" and reason in found.reason and not found.metrics.get("test_accuracy")


def test_no_regime_exceeds_the_budget():
    for preset, entry in (("smoke", "regime_adaptation"), ("smoke", "small_batch")):
        found = outcome(entry, preset)
        assert found.status == "ok" and found.costs.counts["steps"] == 48
    assert found.costs.counts["samples"] == 48 * 32


def test_chance_is_a_tenth():
    assert outcome("chance", "smoke").metrics["test_accuracy"] == pytest.approx(0.1, abs=0.05)
