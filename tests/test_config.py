"""Configuration: grammar, misfits, nearest names, types, composition, discovery."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from bench.contract import BenchError, Slot
from bench.planning import config, plan, typed
from bench.records.store import Store


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=toy/lin", "entry=zero"], "did you mean toy/line"),
        (["task=toy/line", "entry=line_sg"], "did you mean line_sgd"),
        (["task=toy/line", "entry=zero", "task.nois=1"], "did you mean noise"),
        (["task=toy/line", "entry=zero", "task.noise=loud"], "takes float"),
        (["task=toy/line", "entry=zero", "task.noise=nan"], "task.noise=nan is not a finite number"),
        (["task=toy/line", "entry=line_sgd", "entry.optimizer.lr=inf"], "entry.optimizer.lr=inf is not a finite"),
        (
            ["task=toy/line", "entry=line_sgd", "entry.optimizer.betas=[0.9,-inf]"],
            "entry.optimizer.betas[1]=-inf is not",
        ),
        (["task=toy/line", "entry=zero", "task.steps=2.5"], "task.steps=2.5: toy/line takes int"),
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


def test_an_optional_part_is_left_out_where_the_task_lacks_its_slot(bench, tmp_path):
    (tmp_path / "configs" / "entry").mkdir(parents=True)
    parts = "optimizer: {_target_: bench.optim.named, name: SGD, lr: 0.1}\nschedule: {_target_: bench.schedules.constant%s}\n"
    for name, mark in (("lenient", ", _optional_: true"), ("strict", "")):
        (tmp_path / "configs" / "entry" / f"{name}.yaml").write_text(parts % mark)
    assert bench("plan", "task=toy/line", "entry=lenient").returncode == 0
    assert "has no slot 'schedule'" in bench("plan", "task=toy/line", "entry=strict").stderr
    assert bench("run", "task=toy/line,grokking/modular_addition", "entry=lenient", "preset=smoke").returncode == 0
    shown = {record.task: record.config for record in Store(tmp_path / "results").records()}
    assert "schedule" not in shown["toy/line"]
    assert shown["grokking/modular_addition"]["schedule"] == {"_target_": "bench.schedules.constant"}


def test_an_optional_part_does_not_set_an_entry_apart_in_means_over_tasks(tmp_path):
    words = ["task=grokking/modular_addition,pde/burgers_1d", "entry=schedule_free,adam", "preset=smoke"]
    assert {row.slots for row in plan.make(config.parse(words), Store(tmp_path)).rows} == {("optimizer",)}


def test_an_argument_the_optimizer_lacks_is_named_in_the_record(bench, tmp_path):
    done = bench("run", "task=toy/line", "entry=line_sgd", "entry.optimizer.momentun=0.9", "preset=smoke")
    assert done.returncode == 1 and "momentun" in done.stderr and "momentum" in done.stderr


def test_sweeps_cross(bench):
    words = ["task=glob(toy/*)", "entry=line_sgd,zero", "seed=range(3)", "task.noise=0.1,0.2", "--format", "json"]
    planned = json.loads(bench("plan", *words).stdout)
    assert len(planned["cells"]) == 2 * 3 * 2
    assert len({cell["key"] for cell in planned["cells"]}) == 12


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


def test_one_number_however_it_is_spelled_is_one_cell(bench):
    words = ["plan", "task=toy/line", "entry=line_sgd", "preset=smoke", "--format", "json"]
    spellings = [("4", "1", "1"), ("4.0", "1.0", "1.0"), ("4e0", "1e0", "100e-2")]
    plans = [
        json.loads(bench(*words, f"task.steps={steps}", f"task.noise={noise}", f"entry.optimizer.lr={lr}").stdout)
        for steps, noise, lr in spellings
    ]
    assert len({plan["cells"][0]["key"] for plan in plans}) == 1


def test_a_number_in_a_file_that_is_not_finite_is_named(bench, tmp_path):
    (tmp_path / "configs" / "entry").mkdir(parents=True)
    (tmp_path / "configs" / "entry" / "mine.yaml").write_text(
        "optimizer: {_target_: bench.optim.named, name: SGD, lr: .inf}\n"
    )
    done = bench("plan", "task=toy/line", "entry=mine")
    assert done.returncode == 2 and "entry.optimizer.lr=inf is not a finite number" in done.stderr
    folder = tmp_path / "configs" / "tuned" / "toy" / "line"
    folder.mkdir(parents=True)
    (tmp_path / "configs" / "entry" / "mine.yaml").write_text(
        "optimizer: {_target_: bench.optim.named, name: SGD}\nsearch: {optimizer.lr: [1.0e-3, 1.0e-1]}\n"
    )
    (folder / "mine.yaml").write_text(
        "preset: small\ntrials: 1\nseeds: [1000]\nobjective: error\nvalue: 1\nvalues: {optimizer.lr: .nan}\n"
        "at_the_edge: []\ntable: [{objective: 1}]\n"
    )
    done = bench("plan", "task=toy/line", "entry=mine")
    assert done.returncode == 2 and "entry.optimizer.lr=nan is not a finite number" in done.stderr


@dataclass
class Sizes:
    width: int = 1
    rate: float = 1.0
    file: str = ""
    grid: list[float] = field(default_factory=lambda: [1.0])
    limit: float | None = None


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("width", 2.0, 2), ("rate", 2, 2.0), ("rate", "1e-3", 1e-3), ("file", 2024, "2024"), ("grid", [1, 2.5], [1.0, 2.5]),
        ("limit", None, None), ("limit", 3, 3.0),
    ],
)  # fmt: skip
def test_a_parameter_has_its_own_type(name, given, kept):
    value = typed.of_type(given, typed.types(Sizes)[name], f"task.{name}", "a task")
    assert value == kept and type(value) is type(kept)
    assert [type(item) for item in value] == [type(item) for item in kept] if name == "grid" else True


@pytest.mark.parametrize(
    ("name", "given"), [("width", 2.5), ("width", "wide"), ("rate", [1]), ("grid", [1.0, float("nan")])]
)
def test_a_value_of_a_wrong_type_is_named(name, given):
    with pytest.raises(BenchError, match=rf"task\.{name}"):
        typed.of_type(given, typed.types(Sizes)[name], f"task.{name}", "a task")


def test_defaults_are_each_caller_s_own_and_a_parameter_without_one_has_none():
    assert typed.defaults(Sizes) == {"width": 1, "rate": 1.0, "file": "", "grid": [1.0], "limit": None}


def part(model, steps, lr: float, decay: float | None = None, power=0.5, width: int = 1, plain=None, on: bool = True):
    return lr, decay, power, width, plain, on


def test_whole_numbers_run_alike_however_they_are_spelled():
    from bench.parts import build_one
    from bench.slots import optimizer

    slot = Slot("optimizer", optimizer)
    for number in (1, 1.0):
        target = {
            "_target_": f"{__name__}.part",
            "lr": number,
            "decay": number,
            "power": number,
            "width": number,
            "on": True,
        }
        arguments = build_one(slot, target, [slot])(model=None, steps=1)
        assert [type(value) for value in arguments] == [float, float, float, int, type(None), bool]
    assert build_one(slot, {"_target_": f"{__name__}.part", "lr": 1, "plain": 1}, [slot])(model=None, steps=1)[4] == 1


OLD, NEW = "baselines.tops.ridge.Ridge", "baselines.networks.layers.Ridge"


def test_moved_names_are_replaced_and_the_user_is_notified_once(capsys):
    node = {"head": {"_target_": OLD, "sizes": [1, OLD], "name": "ridge"}}
    for _ in range(2):
        assert typed.current(node, "mine.yaml") == {"head": {"_target_": NEW, "sizes": [1, NEW], "name": "ridge"}}
    assert capsys.readouterr().err == f"note: mine.yaml: {OLD} is now {NEW}; write the new names\n"
    assert typed.current({"sizes": (1, 2)}, "other.yaml") == {"sizes": [1, 2]} and not capsys.readouterr().err


def test_old_names_in_files_and_overrides_are_read(bench, tmp_path):
    (tmp_path / "configs" / "entry").mkdir(parents=True)
    mine = tmp_path / "configs" / "entry" / "mine.yaml"
    keys = set()
    mine.write_text(f"optimizer: {{_target_: bench.optim.named, name: SGD, lr: 0.1, x: {NEW}}}\n")
    words = ["plan", "task=toy/line", "entry=mine", "preset=smoke", "--format", "json"]
    keys.add(json.loads(bench(*words).stdout)["cells"][0]["key"])
    mine.write_text(f"optimizer: {{_target_: bench.optim.named, name: SGD, lr: 0.1, x: {OLD}}}\n")
    done = bench(*words)
    keys.add(json.loads(done.stdout)["cells"][0]["key"])
    assert f"mine.yaml: {OLD} is now {NEW}" in done.stderr
    done = bench(*words, f"entry.optimizer.x={OLD}")
    keys.add(json.loads(done.stdout)["cells"][0]["key"])
    assert f"{OLD} is now {NEW}" in done.stderr
    assert len(keys) == 1
