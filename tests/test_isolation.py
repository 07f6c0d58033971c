"""What an entry's process may reach, and what a scorer accepts; the cheats themselves are in tests/red_team."""

from __future__ import annotations

import errno
import json
import math
import os
import platform
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import wire
from bench.checking import oddities
from bench.contract import Budget
from bench.records.record import decode
from bench.running import linux_sandbox, message_checks, reads, sandbox
from tests.rows import record

NAMES = {"network", "files", "memory", "signals", "tmp", "limits"}


def test_a_record_says_what_held():
    assert set(sandbox.available()) == NAMES
    assert sandbox.of("pipe") == dict(sandbox.available())
    assert set(sandbox.of("call")) == NAMES and "on" not in sandbox.of("call").values()
    json.dumps(sandbox.of("pipe"))


def test_every_new_record_carries_it(bench, tmp_path):
    assert bench("run", "task=toy/line", "entry=line_sgd", "preset=smoke").returncode == 0
    (path,) = (tmp_path / "results" / "local").glob("*/*.json")
    made = decode(path.read_bytes())
    assert made.provenance.isolation == sandbox.of("pipe")
    assert 0 < made.costs.cpu_entry <= made.costs.cpu_total and made.costs.evaluations > 0


# ---------------------------------------------------------------- what may be read


def test_of_a_users_folder_only_names_may_be_read(tmp_path, monkeypatch):
    """Files in it that a cell may read are those of its key."""
    for name in ("package/part.py", "module.py", "results/local/r.json", ".hidden/x.py", "data/a.h5"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    grants = sandbox.readable()
    assert [rights for path, rights in grants if tmp_path in (Path(path), *Path(path).parents)] == [linux_sandbox.LIST]
    assert not {Path.home(), Path("/"), Path("/tmp"), Path("/proc"), Path("/etc")} & {Path(path) for path, _ in grants}
    given = dict(reads.grants_of([str(tmp_path / "package" / "part.py"), str(tmp_path / "data" / "a.h5")]))
    assert given == {
        str(tmp_path / "package"): linux_sandbox.LIST,
        str(tmp_path / "package" / "part.py"): linux_sandbox.READ,
        str(tmp_path / "data" / "a.h5"): linux_sandbox.READ,
    }


def test_what_was_installed_into_a_folder_of_ones_own_is_read_whole(tmp_path, monkeypatch):
    """`pip install --target`, and a cluster's site folders on PYTHONPATH."""
    for name in (
        "own/lib.py",
        "own/lib.libs/a.so",
        "own/lib-1.0.dist-info/RECORD",
        "own/mine.py",
        "site-packages/other/a.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(
            "lib.py,,\nlib.libs/a.so,,\nlib-1.0.dist-info/RECORD,,\n" if "RECORD" in name else ""
        )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "own"), str(tmp_path / "site-packages")])
    whole = {
        Path(path).name
        for path, rights in sandbox.readable()
        if tmp_path in Path(path).parents and rights == sandbox.READ_ONLY
    }
    assert whole == {"lib.py", "lib.libs", "lib-1.0.dist-info", "site-packages"}


def test_what_is_withheld_is_cut_out_of_what_is_granted(tmp_path):
    for name in ("site/pandas/a.py", "site/sklearn/data/digits.csv", "site/sklearn/data/iris.csv", "site/sklearn/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "site" / "link").symlink_to(tmp_path / "site" / "sklearn" / "data" / "digits.csv")
    withheld = [tmp_path / "site" / "sklearn" / "data" / "digits.csv"]
    grants = sandbox.without([(str(tmp_path / "site"), sandbox.READ_ONLY)], withheld)
    left = {Path(path): rights for path, rights in grants}
    whole = {str(path.relative_to(tmp_path)) for path, rights in left.items() if rights == sandbox.READ_ONLY}
    assert whole == {"site/pandas", "site/sklearn/data/iris.csv", "site/sklearn/b.py"}
    assert {rights for path, rights in left.items() if path.name in ("site", "sklearn", "data")} == {linux_sandbox.LIST}
    assert not list(sandbox.without([(str(withheld[0]), sandbox.READ_ONLY)], [tmp_path]))


CONFINED = """
import os, sys, socket, subprocess, tempfile
from pathlib import Path
from bench.running import sandbox
private, secret, withheld = map(Path, sys.argv[1:])
sandbox.confine(str(private), [withheld], sandbox.readable())
def refused(call):
    try:
        call()
    except PermissionError:
        return True
    return False
assert refused(secret.read_text), "a file elsewhere"
assert refused(withheld.read_text), "a withheld file among the packages"
assert refused(lambda: secret.with_name("new").write_text("x"))
assert refused(socket.socket)
assert refused(lambda: os.listdir("/proc")) and os.listdir("/proc/self/fd")
assert refused(lambda: os.kill(os.getppid(), 0)) or sandbox.available()["signals"] != "on"
assert Path(tempfile.mkdtemp()).parent == private == Path.cwd() == Path.home()
assert "SECRET_TOKEN" not in os.environ
import h5py, numpy, pytorch_optimizer, schedulefree, scipy.sparse.linalg, torch
with h5py.File("own.h5", "w") as file:
    file["x"] = numpy.ones(3)
torch.save(torch.ones(2), "own.pt")
code = "import socket, torch; socket.socket()"
child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
assert "PermissionError" in child.stderr, child.stderr
print("whole")
"""


@pytest.mark.skipif(
    {sandbox.available()[name] for name in ("files", "network")} != {"on"}, reason="no Landlock or no filter here"
)
def test_a_confined_process_still_has_its_libraries_and_nothing_else(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "secret").write_text("x")
    import hydra

    withheld = Path(hydra.__file__).resolve().parent / "version.py"
    arguments = [str(tmp_path / "own"), str(tmp_path / "secret"), str(withheld)]
    environment = {**os.environ, "SECRET_TOKEN": "x", "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout == "whole\n", done.stderr


def judged(number: int, *arguments: int) -> int:
    """What the filter answers to a call, by running its program as the kernel would."""
    machine = struct.unpack_from("<I", linux_sandbox.program(), 12)[0]
    data = struct.pack("<iIQ6Q", number, machine, 0, *arguments, *[0] * (6 - len(arguments)))
    lines = [
        struct.unpack_from("<HBBI", linux_sandbox.program(), at) for at in range(0, len(linux_sandbox.program()), 8)
    ]
    at = accumulator = 0
    while True:
        code, true, false, value = lines[at]
        at += 1
        if code == 0x06:
            return value
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:
            accumulator &= value
        else:
            at += true if (accumulator == value if code == 0x15 else accumulator >= value) else false


@pytest.mark.skipif(not linux_sandbox.filters(), reason="no filter on this machine")
def test_the_filter_answers_as_its_tables_say():
    column = linux_sandbox._MACHINES[platform.machine()][0]
    allow, fail = 0x7FFF0000, 0x00050000
    known = [n[column] for n in linux_sandbox.REFUSED.values()] + [
        call.numbers[column] for call in linux_sandbox.JUDGED.values()
    ]
    known = [number for number in known if number is not None]
    assert len(known) == len(set(known)) and all(number < 512 for number in known)
    assert {judged(number) for number in range(512) if number not in known} == {allow}
    assert {judged(n[column]) for n in linux_sandbox.REFUSED.values() if n[column] is not None} == {fail | errno.EPERM}
    assert judged(1 << 30) == fail | errno.EPERM
    for call in linux_sandbox.JUDGED.values():
        before = [0] * call.argument
        for value in (0, 17, 0x6601, 0x9409, 0x5401, 0x10000011, 1234):
            passes = ((value & call.mask) in call.values) == call.pass_if_in
            assert judged(call.numbers[column], *before, value) == (allow if passes else fail | call.error)


def test_a_folder_is_removed_whatever_is_in_it(tmp_path):
    folder = tmp_path / "own"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "link").symlink_to(tmp_path)
    (folder / "a" / "shut").mkdir()
    (folder / "a" / "shut" / "file").write_text("x")
    (folder / "a" / "shut").chmod(0o300)
    sandbox.remove(folder)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- what a scorer accepts

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


def parts(value):
    frame = wire.encode(value)
    header = struct.unpack_from("<Q", frame)[0]
    return frame[16 : 16 + header], frame[16 + header :]


@settings(max_examples=100, deadline=None)
@given(VALUES)
def test_what_the_wire_writes_is_accepted(value):
    header, body = parts(["output", value])
    message_checks.check(header, len(body))


@pytest.mark.parametrize("name", message_checks.ITEMSIZE)
def test_every_tensor_that_crosses_is_accepted(name):
    import torch

    if not hasattr(torch, name) or name in ("bfloat16", "uint16", "uint32", "uint64"):
        pytest.skip("numpy, and so the wire, has it not")
    for shape in ((), (0,), (2, 3), (4, 0, 2)):
        header, body = parts(["output", torch.zeros(shape, dtype=getattr(torch, name))])
        message_checks.check(header, len(body))
        with pytest.raises(ValueError):
            message_checks.check(header, len(body) + 1)


def good():
    return {
        "status": "ok", "counts": {"steps": 5, "samples": 320}, "cpu": {"train": 0.5}, "predicts": True, "tensors": {},
        "curves": {"loss": [[1, 2], [0.5, math.nan]], "val_error": [[1], [0.0]]},
    }  # fmt: skip


def test_a_report_keeps_what_an_honest_run_says():
    kept = message_checks.report(good(), Budget("steps", 5), {"val_error"})
    assert kept["counts"] == {"steps": 5, "samples": 320} and list(kept["curves"]) == ["loss"]
    assert kept["curves"]["loss"][0] == [1, 2] and kept["reason"] == ""


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("status", "verified", "no known status"), ("counts", {"steps": 6}, "the budget is 5"),
        ("counts", {"steps": math.nan}, "whole number"), ("counts", {"steps": True}, "whole number"),
        ("counts", {"cpu_total": 0}, "cpu_total"), ("cpu", {"train": -1.0}, "at least 0"),
        ("cpu", {"train": math.nan}, "finite"), ("curves", {"loss": [[1], []]}, "1 steps and 0 values"),
        ("curves", {"loss": [[-1], [0.0]]}, "whole number"), ("tensors", [1], "no dictionary"),
    ],
)  # fmt: skip
def test_a_report_that_no_honest_run_makes_is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        message_checks.report(good() | {name: value}, Budget("steps", 5), set())


def test_names_of_files_that_it_read_are_few_and_short():
    assert message_checks.paths(["/a", "/" + "x" * 10**5]) == ["/a", "x" * message_checks.PATH]
    for wrong in ("/a", [1], ["/a"] * 101, None):
        with pytest.raises(ValueError, match="at most 100 names"):
            message_checks.paths(wrong)


def test_a_long_reason_is_cut_and_printable():
    kept = message_checks.report(
        good() | {"status": "failed", "reason": "x" * 10**6 + "\ud800"}, Budget("steps", 5), set()
    )
    assert len(kept["reason"]) == message_checks.TEXT and kept["reason"].endswith("x?")


def test_suspicions_of_a_record():
    costs = {"cpu": {"train": 10.0}, "cpu_entry": 21.0, "evaluations": 20}
    assert oddities.of(record("quiet", 0, costs=costs, metrics={"steps_to_val": 3.0})) == []
    older = record("older", 0, costs={"cpu": {}})
    assert oddities.of(older) == [], "older records lack what they did not measure"
    loud = record(
        "loud", 0,
        costs={"cpu": {"train": 1.0}, "cpu_entry": 5.0, "evaluations": 2000},
        metrics={"steps_to_val": 0.0},
        provenance={"isolation": {"files": "no Landlock", "network": "on"}},
    )  # fmt: skip
    loud.unkeyed_reads = ["/x"]
    assert [line.split()[0] for line in oddities.of(loud)] == ["4.0", "it", "it", "not", "it"]
