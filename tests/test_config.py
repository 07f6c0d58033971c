"""Configuration: grammar, misfits, nearest names, types, composition, discovery."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=toy/lin", "entry=zero"], "did you mean toy/line"),
        (["task=toy/line", "entry=line_sg"], "did you mean line_sgd"),
        (["task=toy/line", "entry=zero", "task.nois=1"], "did you mean noise"),
        (["task=toy/line", "entry=zero", "task.noise=loud"], "wants float"),
        (["task=toy/line", "entry=zero", "preset=smal"], "did you mean small"),
        (["task=toy/line", "entry=zero", "limit.seconds=1"], "did you mean limits.seconds"),
        (["task=toy/line", "entry=zero", "limits.seconds=soon"], "expected a number"),
        (["task=toy/line", "entry=zero", "transport=tube"], "choice of transport"),
        (["task=toy/line", "entry=zero", "seed=-1"], "an integer from 0 up"),
        (["task=toy/line", "entry=line_sgd", "entry.optimiser.lr=1"], "did you mean optimizer"),
        (["task=toy/line", "entry=line_sgd", "entry.optimizer.name=lionn"], "nearest: Lion"),
        (["task=toy/line", "entry=line_sgd+zero"], "makes no sense beside"),
        (["task=toy/line"], "entry=… is missing"),
        (["task=toy/line", "entry=zero", "gibberish"], "key=value"),
        (["suite=cor", "entry=zero"], "no suite 'cor'"),
        (["task=glob(nothing/*)", "entry=zero"], "no task matches"),
    ],
)
def test_a_wrong_word_is_a_usage_error_that_offers_the_right_one(bench, words, said):
    done = bench("plan", *words)
    assert done.returncode == 2
    assert said in done.stderr and done.stderr.startswith("bench: ") and "Traceback" not in done.stderr


def test_a_misfit_names_the_slots_and_their_signatures(bench):
    done = bench("plan", "task=grokking/modular_addition", "entry=raises")
    assert done.returncode == 2
    assert "has no slot 'extra'" in done.stderr and "optimizer(model, steps) -> Optimizer" in done.stderr


def test_an_argument_the_optimizer_lacks_is_named_in_the_record(bench, tmp_path):
    done = bench("run", "task=toy/line", "entry=line_sgd", "entry.optimizer.momentun=0.9", "preset=smoke")
    assert done.returncode == 1 and "momentun" in done.stderr and "momentum" in done.stderr


def test_sweeps_cross(bench):
    words = ["task=glob(toy/*)", "entry=line_sgd,zero", "seed=range(3)", "task.noise=0.1,0.2", "--format", "json"]
    told = json.loads(bench("plan", *words).stdout)
    assert len(told["cells"]) == 2 * 3 * 2
    assert len({cell["key"] for cell in told["cells"]}) == 12


def test_an_installed_package_adds_tasks_and_entries(bench):
    listed = json.loads(bench("list", "--format", "json").stdout)
    assert "toy/line" in [task["name"] for task in listed["tasks"]]
    assert "toy/line" in next(e for e in listed["entries"] if e["name"] == "line_sgd")["tasks"]


def test_the_current_folder_adds_an_entry(bench, tmp_path):
    (tmp_path / "configs" / "entry").mkdir(parents=True)
    (tmp_path / "configs" / "entry" / "mine.yaml").write_text("optimizer: {_target_: my_parts.build, lr: 0.1}\n")
    source = "import torch\n\ndef build(model, steps, lr):\n    return torch.optim.SGD(model.parameters(), lr)\n"
    (tmp_path / "my_parts.py").write_text(source)
    done = bench("run", "task=toy/line", "entry=mine", "preset=smoke")
    assert done.returncode == 0, done.stderr


def test_planning_imports_neither_torch_nor_pandas(environment, tmp_path):
    import subprocess
    import sys

    code = (
        "import sys\nfrom bench.verbs.main import main\n"
        "try:\n    main(['plan', 'task=toy/line', 'entry=line_sgd,zero', 'seed=range(5)'])\n"
        "except SystemExit as e:\n    assert e.code == 0\n"
        "bad = {'torch', 'pandas', 'numpy'} & set(sys.modules)\nassert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
