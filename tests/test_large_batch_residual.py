"""The residual network, ghosts inside it, and its cells on CIFAR-10."""

from __future__ import annotations

import pytest
import torch

from baselines.regimes import hoffer
from bench.contract import Unavailable
from bench.data import cache_dir
from bench.data.cifar import ensure
from bench.execute import Job, call
from bench.planning import config
from tasks.large_batch.ghost import GhostBatchNorm, with_ghosts
from tasks.large_batch.recipe import Recipe
from tasks.large_batch.residual import Block, ResNet


def outcome(task: str, entry: str, **params: int) -> dict:
    try:
        ensure(cache_dir())
    except Unavailable as error:
        pytest.skip(str(error).splitlines()[0])
    spec = config.task_spec(task)
    parts = config.resolve_parts(spec, config.entry(entry), {})
    return call(Job(spec.target, config.parameters(spec, "smoke", params), parts, 0, str(cache_dir())))


@pytest.mark.parametrize(("before", "after", "stride"), [(4, 4, 1), (4, 8, 2)])
def test_a_block_whose_branch_is_silent_is_its_shortcut(before, after, stride):
    block = Block(before, after, stride)
    torch.nn.init.zeros_(block.norm_second.weight)
    x = torch.rand(3, before, 8, 8)
    out = block(x)
    assert out.shape == (3, after, 8 // stride, 8 // stride)
    assert torch.equal(out[:, :before], x[:, :, ::stride, ::stride]) and not out[:, before:].any()


def test_the_branch_is_added():
    torch.manual_seed(0)
    block, x = Block(4, 4, 1).eval(), torch.randn(2, 4, 8, 8)
    branch = block.norm_second(block.second(torch.relu(block.norm(block.first(x)))))
    assert torch.allclose(block(x), torch.relu(x + branch))


@pytest.mark.parametrize(("width", "blocks", "layers"), [(8, 1, 8), (16, 7, 44)])
def test_depth_and_width(width, blocks, layers):
    model = ResNet(3072, 10, width=width, blocks_per_stage=blocks)
    weights = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weights) == layers and weights[-1].in_features == 4 * width
    assert model(torch.randn(2, 3072)).shape == (2, 10)


def test_ghosts_reach_every_norm():
    model = with_ghosts(ResNet(3072, 10), 4)
    assert sum(isinstance(m, GhostBatchNorm) for m in model.modules()) == 7
    torch.manual_seed(0)
    x = torch.randn(8, 3072)
    changed = torch.cat([x[:4], torch.randn(4, 3072)])
    assert torch.allclose(model(x)[:4], model(changed)[:4], atol=1e-6), "chunks do not see each other"


@pytest.mark.parametrize("task", ["large_batch/cifar10_residual", "large_batch/diffusion_cifar10"])
def test_cells_run(task):
    found = outcome(task, "small_batch")
    assert found.status == "ok" and found.costs.counts["steps"] == 16
    assert found.metrics["weight_distance"] > 0


def test_updates_of_regime_adaptation_are_the_small_batchs():
    params = config.parameters(config.task_spec("large_batch/cifar10_residual"), "small", {})
    recipe = Recipe(params["batch"], params["batch"], params["lr"], params["epochs"])
    assert hoffer.regime_adaptation(recipe).updates(params["train"]) == recipe.updates(params["train"]) == 192


def test_a_batch_larger_than_the_data():
    found = outcome("large_batch/cifar10_residual", "large_batch", train=256)
    assert found.status == "failed" and "a batch of 512 cannot be drawn from 256" in found.reason
