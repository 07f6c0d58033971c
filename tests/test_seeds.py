"""Streams of held-back data, and that fresh seeds are fresh data on every task that makes its own."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from bench.contract import Unavailable
from bench.data import cache_dir
from bench.planning import config
from bench.seeds import POOL, Seeds, Stream

EXPECTED = ["0x1.1a3f12bf84507p-1", "0x1.05f353c50d116p-2"]
FRESH = (1 << 51) // POOL * POOL + POOL
# Their held-back data are a data set's own; what a seed draws is which samples train and validate.
DATA_SETS = {
    "large_batch/cifar10",
    "large_batch/cifar10_residual",
    "large_batch/diffusion_cifar10",
    "instability/lm_shakespeare",
}


def test_draws_are_fixed_on_every_machine():
    """Philox4x64-10 under a key of 128 bits: the first two numbers, to the last bit."""
    assert [value.hex() for value in Stream(2**127 + 3).uniform(2, dtype=torch.float64).tolist()] == EXPECTED
    assert Stream(1).integers(2**40, 1).item() != Stream(2).integers(2**40, 1).item()


def test_a_stream_draws_from_the_laws_that_it_names():
    stream = Stream(7)
    normal, uniform = stream.normal(20000), stream.uniform(20000)
    assert stats.kstest(normal.double().numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform.double().numpy(), "uniform").pvalue > 1e-3
    assert normal.dtype == torch.float32 and stream.normal(2, 3, dtype=torch.float64).shape == (2, 3)
    assert sorted(stream.permutation(100).tolist()) == list(range(100))
    counts = stream.integers(4, 40000).bincount()
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_keys_have_128_bits_and_differ_by_seed_axis_task_and_name():
    keys = {
        Seeds(seed, task).stream(axis, name).key
        for seed in (0, 1) for task in ("a/b", "a/c") for axis in ("data", "split") for name in ("val", "test")
    }  # fmt: skip
    assert len(keys) == 16 and max(keys) > 2**120


@pytest.mark.parametrize("name", sorted({*config.names("task")} - DATA_SETS))
def test_fresh_seeds_are_fresh_data(name):
    """Reported, tuning and fresh seeds share nothing that is held back."""
    spec = config.task_spec(name)
    task = spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", {})))
    problems = []
    for seed in (0, 1, 1000, FRESH):
        seeds = Seeds(seed, name)
        try:
            problems.append(task.problem(task.prepare(cache_dir(), seeds.pool), seeds))
        except Unavailable as error:
            pytest.skip(str(error))
    shown = [tensors(problem.public) for problem in problems]
    held = [tensors(problem.hidden) for problem in problems]
    drawn = set()
    for path in {**shown[0], **held[0]}:
        copies = {fingerprint({**public, **hidden}[path]) for public, hidden in zip(shown, held, strict=True)}
        drawn |= {path} if len(copies) == len(problems) else set()
    assert drawn or not held[0], f"{name}: something is held back, and seeds draw nothing"
    for path in held[0]:
        if path.split("/")[1].removeprefix("observed_") in ("test", "val", "valid", "monitor"):
            assert path in drawn, f"{name}: {path} is the same for two seeds"


@pytest.mark.parametrize(
    "name", [name for name in config.names("task") if name.startswith("pde/") and name != "pde/file"]
)
def test_pools_share_no_trajectory(name):
    spec = config.task_spec(name)
    task = spec.cls(spec.cls.Params(**config.parameters(spec, "smoke", {})))
    pools = []
    for seed in (0, 1000, FRESH):
        seeds = Seeds(seed, name)
        problem = task.problem(task.prepare(cache_dir(), seeds.pool), seeds)
        parts = (problem.public["train"], problem.hidden["valid"], problem.hidden["test"])
        pools.append({fingerprint(row) for part in parts for row in part})
    assert len(set.union(*pools)) == sum(map(len, pools)) > 3 * 4


def tensors(node, path=""):
    if isinstance(node, torch.Tensor):
        return {path: node}
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    return {name: leaf for key, value in children for name, leaf in tensors(value, f"{path}/{key}").items()}


def fingerprint(tensor):
    return tensor.contiguous().numpy().tobytes()
