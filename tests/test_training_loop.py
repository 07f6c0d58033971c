"""The benchmark of the shared loop compares like with like."""

from __future__ import annotations

import pytest
import torch

from benchmarks.training_loop import CASES, LOOPS


@pytest.mark.parametrize("case", CASES)
def test_both_loops_take_the_same_steps(case):
    losses = []
    for loop in LOOPS.values():
        torch.manual_seed(0)
        losses.append(loop(CASES[case][0](), 4))
    assert len(losses[0]) == 4 and losses[0] == losses[1] and len(set(losses[0])) == 4
