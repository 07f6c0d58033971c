"""The run of `diffusion/initial_noise`: updates of the entry's policy until the budget is spent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.contract import BenchError, Exhausted, Log, Solution
from bench.seeds import EntrySeeds
from tasks.diffusion.sampling import Denoiser, Sampler

if TYPE_CHECKING:
    from tasks.diffusion.rewards import Reward


def run(
    denoiser: Denoiser,
    dimension: int,
    reward: Reward,
    params: Any,
    parts: Mapping[str, Any],
    log: Log,
    seeds: EntrySeeds,
) -> Solution:
    """Update until an update is not covered any more. params: `steps`, `evaluations`, `backward` and `eval_every` of the task."""
    spent = 0

    def count(**amounts: int) -> None:
        nonlocal spent
        log.count(**amounts)
        spent += amounts["evals"]

    with log.phase("setup"):
        sampler = Sampler(denoiser, dimension, params.steps, reward, params.backward, count)
        generator = torch.Generator().manual_seed(seeds("noise"))
        policy = parts["policy"](dimension=dimension, steps=params.steps, generator=generator)
    correct = getattr(policy, "correct", None)

    def predict(x: Tensor, k: int) -> Tensor:
        with torch.no_grad():
            if k == -2:
                return torch.tensor([float(correct is not None)])
            return policy.start(x) if k < 0 or correct is None else correct(x, k)

    log.evaluate(0, predict)
    log.incumbent = Solution(predict)
    due = params.eval_every
    while True:
        before = spent
        try:
            policy.update(sampler)
        except Exhausted:
            break
        if spent == before:
            raise BenchError("an update of the policy asked for no sample, so that the run would never end")
        log.count(steps=1)
        if spent >= due:
            due += params.eval_every * (1 + (spent - due) // params.eval_every)
            log.evaluate(spent, predict)
    if before == 0:
        raise BenchError(f"one update takes more than the {params.evaluations} evaluations; raise task.evaluations")
    return Solution(predict)
