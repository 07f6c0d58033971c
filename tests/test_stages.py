"""An entry that trains in stages, through the whole harness: its curves are kept as a whole and by stage."""

from __future__ import annotations

import pytest

from bench.records.store import Store

ENTRY = '''"""Two rounds on the toy's line, at falling rates."""

import torch

from bench.contract import Solution
from bench.train import Loop, Stage, run_stages, served


def two_rounds(public, log, seeds, name="second"):
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    predict = served(model, optimizer, model)
    loop = Loop(model, lambda batch: ((model(batch[0]) - batch[1]) ** 2).mean(), optimizer, 0, log, predict=predict, eval_every=4)
    stages = [Stage(one, 8, [(public["x"], public["y"])] * 8) for one in ("first", name)]
    run_stages(loop, stages)
    return Solution(predict)
'''


@pytest.fixture
def entry(tmp_path):
    for path, text in (
        ("entries/rounds.py", ENTRY),
        ("configs/entry/rounds.yaml", "procedure: {_target_: entries.rounds.two_rounds}\n"),
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)


@pytest.mark.parametrize("transport", ["pipe", "call"])
def test_each_stage_is_evaluated_under_its_own_name(bench, tmp_path, entry, transport):
    done = bench("run", "task=toy/line", "entry=rounds", f"transport={transport}")
    assert done.returncode == 0, done.stdout + done.stderr
    store = Store(tmp_path / "results")
    (record,) = store.records()
    curves = {name: ([int(s) for s in steps], list(values)) for name, (steps, values) in store.curves(record).items()}
    whole = curves["val_error"]
    assert whole[0] == [0, 4, 8, 12, 16] and record.costs.counts["steps"] == 16
    assert curves["first/val_error"] == (whole[0][:3], whole[1][:3])
    assert curves["second/val_error"] == (whole[0][3:], whole[1][3:])
    assert len(curves["loss"][0]) == 16


def test_a_stage_whose_name_no_file_could_keep_fails_the_cell(bench, tmp_path, entry):
    done = bench("run", "task=toy/line", "entry=rounds", f"entry.procedure.name={'x' * 300}")
    (record,) = Store(tmp_path / "results").records()
    assert done.returncode == 1 and record.status == "failed" and "a name is a line" in record.reason, record.reason
