"""Entries that know the data of public seeds: they win there, and `bench verify` disputes them on data that nobody has seen."""

from __future__ import annotations

import json

import pytest

REMAKES = '''
"""A surrogate that makes the public pool again and looks the next frame up."""
import sys
import numpy as np
import torch
from torch import nn


class Lookup(nn.Module):
    def __init__(self, channels_in, channels_out, grid, periodic):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        frame = sys._getframe()
        while not hasattr(frame.f_locals.get("task"), "shards"):
            frame = frame.f_back
        task = frame.f_locals["task"]
        starts = range(0, task.samples, task.shard_size)
        shards = (task.shards(0)(start, min(task.shard_size, task.samples - start)).values for start in starts)
        values = torch.from_numpy(np.concatenate([*shards]).astype("float32"))
        self.now, self.next = values[:, :-1].flatten(0, 1), values[:, 1:].flatten(0, 1)

    def forward(self, x):
        state = x[..., :1]
        nearest = torch.cdist(state.flatten(1), self.now.flatten(1)).min(1)
        known = nearest.values < 1e-2 * self.now.flatten(1).norm(dim=1)[nearest.indices]
        return torch.where(known.view(-1, 1, 1), self.next[nearest.indices], state) * self.scale.clamp(1, 1)
'''

GUESSES = '''
"""A procedure that tries seeds until its public data come out again, and reads the held-back targets off."""
import sys
import torch
from bench.contract import Solution
from bench.seeds import Seeds


def procedure(public, log, seeds, most=2000):
    frame = sys._getframe()
    while not hasattr(frame.f_locals.get("task"), "problem"):
        frame = frame.f_back
    task, x = frame.f_locals["task"], public["x"]
    table = {}
    for guess in range(most):
        given = Seeds(guess, task.name)
        if given("init") == seeds("init"):
            problem = task.problem(None, given)
            assert torch.equal(problem.public["x"], x)
            for inputs, targets in problem.hidden.values():
                table |= {row.numpy().tobytes(): target for row, target in zip(inputs, targets + 1e-3)}
    predict = lambda inputs: torch.stack([table.get(row.numpy().tobytes(), torch.zeros(())) for row in inputs])
    log.count(steps=1)
    log.evaluate(1, predict)
    return Solution(predict)
'''

ENTRIES = {
    "remakes": (
        "pde/advection_1d",
        REMAKES,
        "surrogate: {_target_: remakes.Lookup}\noutput_form: {_target_: tasks.pde.rollout.frame}",
    ),
    "guesses": ("generalization/wide_student", GUESSES, "procedure: {_target_: guesses.procedure}"),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_what_knows_public_seeds_is_disputed(bench, tmp_path, name):
    task, source, parts = ENTRIES[name]
    (tmp_path / f"{name}.py").write_text(source)
    (tmp_path / "configs" / "entry").mkdir(parents=True)
    (tmp_path / "configs" / "entry" / f"{name}.yaml").write_text(f"doc: it cheats\n{parts}\n")
    done = bench("run", f"task={task}", f"entry={name}", "seed=range(5)", "preset=smoke")
    assert done.returncode == 0, done.stderr
    verified = bench("verify", name, f"task={task}", "preset=smoke", "--format", "json", timeout=300)
    (finding,) = json.loads(verified.stdout)
    assert verified.returncode == 1 and finding["verdict"] == "disputed" and finding["p"] < 0.01, finding
