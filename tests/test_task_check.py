"""What a task lacks is named before anything runs, all of it at once."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from bench.checking import task_check
from bench.checking.task_check import exists, flaws
from bench.contract import Derived, Metric, Slot, Task
from bench.planning import config
from tasks.grokking.modular_addition import ModularAddition
from tests.conftest import ROOT, toy_task

NAME = "grokking/modular_addition"


def rank_by(name: str, **more) -> tuple[Metric, ...]:
    """The task's metrics with `name` changed."""
    return tuple(replace(m, **more) if m.name == name else m for m in ModularAddition.metrics)


def returns_more(self, problem, solution, log):
    return {"monitor_acc": 0.0, "made_up": 1.0}


SHIPPED = {slot.name: slot for slot in ModularAddition.slots}
FLAWS = {
    "another name": ({"name": "grokking/other"}, "write the name of its file, 'grokking/modular_addition'"),
    "no such rank": ({"rank": "speed"}, "rank = 'speed' is no declared metric; there are steps_to_monitor"),
    "no such objective": ({"objective": "speed"}, "objective = 'speed' is no declared metric"),
    "tuned by the rank": ({"objective": "steps_to_monitor"}, "both ranks and is what tuning sees"),
    "ranked by a probe": ({"rank": "weight_norm"}, "measured by a probe"),
    "no penalty": ({"rank": "delay"}, "does not say what a diverged cell counts as"),
    "metric twice": ({"metrics": (*ModularAddition.metrics, ModularAddition.metrics[0])}, "have one name"),
    "undeclared metric": ({"score": returns_more}, "`score` returns 'made_up', which is no declared metric"),
    "no probe": ({"probes": {"x": "tasks.grokking.network.prob"}}, "probe tasks.grokking.network.prob does not exist"),
    "no preset": ({"presets": {"smoke": {}, "small": {}}}, "there is no preset 'paper'"),
    "unknown parameter": ({"presets": {**ModularAddition.presets, "small": {"wdith": 3}}}, "preset 'small': .*width"),
    "bad preset": ({"presets": {**ModularAddition.presets, "small": {"train": 0}}}, "preset 'small': task.train=0"),
    "no positive": ({"positive": ("size",)}, "`positive` names 'size'"),
    "no axis": ({"derived": (Derived(Metric("d", "1", "min", "x"), "size", {"smoke": (1.0,)}, min),)}, "over 'size'"),
    "no grid": ({"derived": (Derived(Metric("d", "1", "min", "x"), "p", {"smoke": (1.0,)}, min),)}, "no grid for small, paper"),
    "no step": ({"metrics": (*ModularAddition.metrics, Metric("s", "1", "min", "x", step="every"))}, "s has step='every'"),
    "no sample": ({"metrics": (*ModularAddition.metrics, Metric("s", "1", "max", "x", sample="test"))}, "s has sample='test'"),
    "no floors": ({"floors": ()}, "`floors` is empty"),
    "no such floor": ({"floors": ("chanse",)}, "floor 'chanse': no entry 'chanse'; did you mean chance"),
    "no reference": ({"reference": ""}, "`reference` is empty; name the entry .* or say in `unanchored`"),
    "misfit reference": ({"reference": "fno"}, "reference 'fno': .*no slot 'surrogate'"),
    "no such part": (
        {"slots": (replace(SHIPPED["model"], default={"_target_": "tasks.grokking.network.Quadratik"}), *SHIPPED.values())},
        "slot 'model': its default 'tasks.grokking.network.Quadratik' does not exist",
    ),
    "excludes nothing": ({"slots": (*SHIPPED.values(), Slot("x", min, excludes=("y",)))}, "excludes 'y', which is no slot"),
}  # fmt: skip


@pytest.fixture
def task_of(monkeypatch):
    """Makes the configuration name a class in place of the shipped one."""

    def put(cls: type) -> None:
        spec = replace(config.task_spec(NAME), cls=cls)
        monkeypatch.setattr(config, "task_spec", lambda name: spec)

    return put


@pytest.mark.parametrize("flaw", FLAWS)
def test_each_flaw_is_named_with_what_to_write(task_of, flaw):
    changed, told = FLAWS[flaw]
    task_of(type("Changed", (ModularAddition,), dict(changed)))
    with pytest.raises(AssertionError, match=told):
        assert not flaws(NAME), "\n".join(flaws(NAME))


def test_all_that_is_missing_is_told_at_once(task_of):
    task_of(type("Empty", (Task,), {"metrics": ()}))
    told = "\n".join(flaws(NAME))
    for field in (*task_check.NEEDED, "the method budget", "the method problem", "the method run", "the method score"):
        assert (f"lacks {field}" in told) == (field != "metrics"), told


def test_a_file_that_is_none_is_one_flaw():
    (told,) = flaws("grokking/modular_additon")
    assert "did you mean" in told


def test_what_is_there_is_checked_beside_what_is_missing(task_of):
    given = {"metrics": ModularAddition.metrics, "name": NAME, "rank": "speed", "objective": "monitor_acc"}
    task_of(type("Half", (Task,), given))
    told = "\n".join(flaws(NAME))
    assert "lacks presets" in told and "lacks the method run" in told and "rank = 'speed'" in told, told


FLAWED = """
from toy_package.task import Line

class Flawed(Line):
    name = "toy/flawed"
    presets = {"smoke": {}, "small": {}}
    floors = ()
    rank = "speed"

    def score(self, problem, solution, log):
        return {"error": 1.0, "made_up": 1.0}
"""


def test_every_flaw_is_told_before_anything_runs(bench, tmp_path):
    files = {"flawed.py": FLAWED, "broken.py": "class Broken(\n"}
    files |= {f"configs/task/toy/{name}.yaml": toy_task(f"{name}.{name.title()}") for name in ("flawed", "broken")}
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    every = ("no preset 'paper'", "`floors` is empty", "rank = 'speed'", "`score` returns 'made_up'")
    for verb in ("plan", "run", "tune"):
        done = bench(verb, "task=toy/flawed", "entry=line_sgd", "preset=smoke")
        assert done.returncode == 2 and all(flaw in done.stderr for flaw in every), done.stderr
        assert not (tmp_path / "results").exists()
    assert "SyntaxError" in (told := bench("plan", "task=toy/broken", "entry=line_sgd").stderr), told
    assert "Traceback" not in told
    listed = bench("list")
    assert listed.returncode == 1 and all(flaw in listed.stderr for flaw in (*every, "SyntaxError")), listed.stderr
    assert "toy/line" in listed.stdout and "toy/flawed" not in listed.stdout
    assert bench("plan", "task=toy/line", "entry=line_sgd").returncode == 0, "one bad task costs only itself"


def test_a_check_imports_no_torch():
    code = (
        "import sys; from bench.checking.task_check import require_whole; from bench.planning import config;"
        "require_whole(config.names('task')); assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_parts_are_looked_up_in_sources():
    assert exists("bench.schedules.cosine") and exists("bench.optim.named") and exists("torch.optim.Adam")
    assert (
        not exists("bench.schedules.cosinus")
        and not exists("no_such_package.thing")
        and not exists("bench.nothing.at_all")
    )
