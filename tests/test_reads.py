"""What a cell reads is what its key covers: any other file fails the cell, and its record names the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.records import record
from bench.records.record import Record
from bench.running import reads, sandbox

LANDLOCK = sandbox.available()["files"] == "on"

# name -> (files of the user's folder, the entry's function, what the reason names)
UNCOVERED = {
    "beside": ({"entries/rates.json": "0.5"}, "read(Path(__file__).with_name('rates.json'))", "entries/rates.json"),
    "by_name": (
        {"entries/helper_by_name.py": "RATE = 0.5"},
        "__import__('importlib').import_module('entries.' + 'helper_' + 'by_name')",
        "entries/helper_by_name.py",
    ),
    "current": ({"rates.toml": "rate = 0.5"}, "read('rates.toml')", "/rates.toml"),
    "low_level": ({"low.txt": "0.5"}, "os.open(ROOT / 'low.txt', os.O_RDONLY)", "/low.txt"),
    "by_library": ({}, "__import__('h5py').File(ROOT / 'rates.h5')", "/rates.h5"),
    "linked": ({}, "read(ROOT / 'link')", "/link"),
}
PREFIX = "import os\nfrom pathlib import Path\n\nROOT = Path({root!r})\n\n\ndef read(path):\n    return open(path).read()\n\n\n"


def entry(folder: Path, name: str, line: str, module: str | None = None) -> None:
    """A user's entry, in a module of one file: it fills the slot `extra` of toy/line."""
    module = module or f"entries/{name}.py"
    for path, text in {
        module: PREFIX.format(root=str(folder)) + f"def use(model, log):\n    {line}\n",
        f"configs/entry/{name}.yaml": f"extra: {{_target_: {module.removesuffix('.py').replace('/', '.')}.use}}\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def records(folder: Path) -> dict[str, Record]:
    found = [record.decode(path.read_bytes()) for path in (folder / "results" / "local").glob("*/*.json")]
    return {one.entry: one for one in found}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    import h5py

    made = tmp_path_factory.mktemp("user")
    for name, (files, line, _) in UNCOVERED.items():
        entry(made, name, line)
        for path, text in files.items():
            (made / path).write_text(text)
    with h5py.File(made / "rates.h5", "w") as file:
        file["rate"] = 0.5
    (made / "link").symlink_to(made / "low.txt")
    return made


@pytest.fixture(scope="module")
def refused(folder, toy) -> dict[str, Record]:
    """Records of all entries that read what their keys do not cover, from one command."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), str(toy)])}
    words = ["run", "task=toy/line", f"entry={','.join(UNCOVERED)}", "preset=smoke"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bench", *words], cwd=folder, env=environment, capture_output=True
    )
    assert done.returncode == 1, done.stderr
    return records(folder)


@pytest.mark.skipif(not LANDLOCK, reason="there is no Landlock here, so reads are only recorded")
@pytest.mark.parametrize("name", UNCOVERED)
def test_a_read_that_the_key_does_not_cover_fails_and_names_the_file(refused, name):
    found, path = refused[name], UNCOVERED[name][2]
    assert found.status == "failed" and path in found.reason, found.reason
    assert "the cell" in found.reason and "__init__.py" in found.reason, "the next step is told"
    assert found.unkeyed_reads == []


def test_files_that_the_key_covers_can_be_read(bench, tmp_path):
    """A table in a package folder, a helper imported by name, and the entry's own folder."""
    line = "from entries.whole import helper; rate = float(read(Path(__file__).with_name('rates.json')))"
    line += "; assert (rate, helper.RATE) == (0.5, 2)"
    line += "; Path('own').write_text('x'); assert read('own') == 'x' and read(Path.home() / 'own') == 'x'"
    entry(tmp_path, "whole", line, "entries/whole/part.py")
    for name, text in {"__init__.py": "", "helper.py": "RATE = 2", "rates.json": "0.5"}.items():
        (tmp_path / "entries" / "whole" / name).write_text(text)
    done = bench("run", "task=toy/line", "entry=whole", "preset=smoke")
    assert done.returncode == 0, done.stderr


def test_an_absent_file_is_absent(bench, tmp_path):
    """A library that looks for a file of its user's and goes on without one is left in peace."""
    line = "assert not Path('none').exists(); os.path.exists(ROOT / 'results')"
    entry(tmp_path, "looks", f"{line}\n    try:\n        read('none')\n    except FileNotFoundError:\n        pass")
    assert bench("run", "task=toy/line", "entry=looks", "preset=smoke").returncode == 0


NO_LANDLOCK = "from bench.running import linux_sandbox\nlinux_sandbox.landlock_abi = lambda: 0\n"


def test_without_a_sandbox_the_record_names_the_unkeyed_reads(bench, environment, tmp_path):
    entry(tmp_path, "beside", "read(Path(__file__).with_name('rates.json'))")
    (tmp_path / "entries" / "rates.json").write_text("0.5")
    (tmp_path / "patched").mkdir()
    (tmp_path / "patched" / "sitecustomize.py").write_text(NO_LANDLOCK)
    path = os.pathsep.join([environment["PYTHONPATH"], str(tmp_path / "patched")])
    done = bench("run", "task=toy/line", "entry=beside,line_sgd", "preset=smoke", env={"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    found = records(tmp_path)
    assert found["beside"].status == "ok" and found["beside"].provenance.isolation["files"] != "on"
    assert found["beside"].unkeyed_reads == [str(tmp_path / "entries" / "rates.json")]
    assert found["line_sgd"].unkeyed_reads == [], "packages and the key's own files are no such reads"


TASK = """
from pathlib import Path

from toy_package.task import Line


class Peeking(Line):
    name = "toy/peeking"

    def prepare(self, cache, pool):
        {prepare}

    def problem(self, data, seeds):
        {problem}
        return super().problem(data, seeds)
"""


YAML = """
_target_: peeking.task.Peeking
doc: a task that reads a file which it does not declare
datasheet: {paper: none, data_source: none, data_licence: none, intended_use: none, known_limits: none, reference_error: none}
"""


@pytest.mark.parametrize("where", ["prepare", "problem"])
def test_the_tasks_side_is_held_to_the_same_rule(bench, tmp_path, where):
    held = tmp_path / "noise.json"
    held.write_text("0.1")
    lines = {"prepare": "pass", "problem": "pass"} | {where: f"open({str(held)!r}).read()"}
    (tmp_path / "peeking").mkdir()
    (tmp_path / "peeking" / "__init__.py").write_text("")
    (tmp_path / "peeking" / "task.py").write_text(TASK.format(**lines))
    (tmp_path / "configs" / "task" / "toy").mkdir(parents=True)
    (tmp_path / "configs" / "task" / "toy" / "peeking.yaml").write_text(YAML)
    done = bench("run", "task=toy/peeking", "entry=line_sgd", "preset=smoke")
    assert done.returncode == 1, done.stderr
    (found,) = records(tmp_path).values()
    assert found.status == "failed" and f"{held} is not covered by the cell's key" in found.reason


def test_compiled_code_of_another_source_is_left_out(tmp_path):
    """Python would take it: size and second of change are those that the compiled file names."""
    import py_compile

    module = tmp_path / "module.py"
    module.write_text("RATE = 1\n")
    compiled = py_compile.compile(str(module))
    assert reads.with_bytecode([str(module), str(tmp_path / "t.json")]) == [
        str(module),
        compiled,
        str(tmp_path / "t.json"),
    ]
    stamp = module.stat()
    module.write_text("RATE = 2\n")
    os.utime(module, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    os.utime(compiled, ns=(stamp.st_atime_ns, stamp.st_ctime_ns - 1))
    assert reads.with_bytecode([str(module)]) == [str(module)]


def test_the_hook_sees_every_way_to_open(tmp_path):
    """In a process of its own, since a hook cannot be taken back."""
    (tmp_path / "inside").mkdir()
    for name in ("inside/a", "b", "c"):
        (tmp_path / name).write_text("x")
    code = f"""
import json, os, pathlib
from bench.running import reads
os.chdir({str(tmp_path)!r})
found = reads.watch(reads.Covered(({str(tmp_path / "inside") + os.sep!r},), frozenset({{{str(tmp_path / "b")!r}}})), refuse=False)
ways = [lambda: open("inside/a"), lambda: open("b"), lambda: open("c"), lambda: pathlib.Path("inside/../c").read_text(),
        lambda: os.open(b"c", os.O_RDONLY), lambda: open("c", "r+"), lambda: open("new", "w"), lambda: os.listdir("."),
        lambda: open(os.open("b", os.O_RDONLY)), lambda: open("none")]
seen = []
for way in ways:
    found.clear()
    try:
        way()
    except FileNotFoundError:
        pass
    seen.append(bool(found))
print(json.dumps(seen))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert json.loads(done.stdout) == [False, False, True, True, True, True, False, False, False, False], done.stderr


def test_advice_follows_a_librarys_refusal_only():
    told = "OSError: unable to open file (name = '/x/y.h5', errno = 13, error message = 'Permission denied')"
    assert reads.advised(told).startswith(told) and reads.ADVICE in reads.advised(told)
    assert reads.advised("ValueError: no") == "ValueError: no"
