"""Files are made shard by shard: resumed, never half, once among many processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from bench.contract import BenchError
from bench.verbs import main
from tasks.pde.files import reading, writing
from tasks.pde.files.fields import Fields
from tasks.pde.files.make import folder_of, make


class Source:
    """Samples that know their number; counts what was asked of it."""

    family = "scalar"

    def __init__(self, samples: int = 7, points: int = 8, stop_at: int | None = None) -> None:
        self.samples, self.points, self.stop_at, self.asked = samples, points, stop_at, []

    def shard(self, start: int, count: int) -> Fields:
        if start == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append((start, count))
        values = np.arange(start, start + count)[:, None, None, None] * np.ones((1, 3, self.points, 1))
        return Fields(values, (np.arange(self.points) + 0.5,), np.arange(3.0), ("u",), {"Nu": 0.1})


def run(path: Path, source: Source, lines: list[str] | None = None, size: int = 2, identity: str = "") -> None:
    make(path, source.shard, source.samples, "scalar", size, [].append if lines is None else lines.append, identity)


def whole(path: Path, samples: int = 7) -> None:
    np.testing.assert_array_equal(reading.read(path).values[:, 0, 0, 0], np.arange(samples))
    assert [name for name in os.listdir(path.parent) if not name.endswith(".lock")] == [path.name]


def test_shards_become_one_file(tmp_path):
    lines: list[str] = []
    source, path = Source(), tmp_path / "deep" / "a.hdf5"
    run(path, source, lines)
    whole(path)
    assert source.asked == [(0, 2), (2, 2), (4, 2), (6, 1)]
    assert [line.split(", ")[0] for line in lines[:4]] == [f"a.hdf5: shard {n}/4" for n in (1, 2, 3, 4)]
    assert lines[0].endswith(" s left") and lines[3].endswith(", 0 s left") and "merging 4" in lines[4]
    run(path, source, lines)
    assert len(source.asked) == 4 and lines[-1] == "a.hdf5: is there"


def test_an_interrupted_call_is_continued(tmp_path):
    path = tmp_path / "a.hdf5"
    with pytest.raises(KeyboardInterrupt):
        run(path, Source(stop_at=4))
    assert not path.exists()
    lines: list[str] = []
    source = Source()
    run(path, source, lines)
    assert source.asked == [(4, 2), (6, 1)] and lines[0] == "a.hdf5: 2 of 4 shards are there"
    whole(path)


@pytest.mark.parametrize("how", ["truncated", "flipped", "gone", "short"])
def test_a_damaged_shard_is_made_again(tmp_path, how):
    path = tmp_path / "a.hdf5"
    with pytest.raises(KeyboardInterrupt):
        run(path, Source(stop_at=6))
    damaged = folder_of(path) / "000001.shard"
    if how == "truncated":
        damaged.write_bytes(damaged.read_bytes()[:500])
    elif how == "flipped":
        data = bytearray(damaged.read_bytes())
        data[bytes(data).index(np.full(4, 3, np.float32).tobytes())] ^= 1
        damaged.write_bytes(data)
    elif how == "gone":
        damaged.unlink()
    else:
        one = Source().shard(2, 1)
        writing.write(damaged, one, [one], "scalar")
    (folder_of(path) / ".000003.shard.1.part").write_bytes(b"half a shard")
    source = Source()
    run(path, source)
    assert source.asked == [(2, 2), (6, 1)]
    whole(path)


@pytest.mark.parametrize("other", [{"size": 3}, {"identity": "nu 0.2"}])
def test_shards_of_another_plan_are_not_continued(tmp_path, other):
    path = tmp_path / "a.hdf5"
    with pytest.raises(KeyboardInterrupt):
        run(path, Source(stop_at=6))
    source = Source()
    run(path, source, **other)
    assert source.asked[0][0] == 0
    whole(path)


def test_a_file_that_holds_something_else_is_kept(tmp_path):
    run(tmp_path / "a.hdf5", Source())
    with pytest.raises(BenchError, match="holds 7 samples .scalar., 9 .scalar. are wanted; delete it"):
        run(tmp_path / "a.hdf5", Source(9))
    whole(tmp_path / "a.hdf5")


def test_wrong_shards_and_sizes(tmp_path):
    source = Source()
    with pytest.raises(BenchError, match="shard 0 has 1 samples, not 2"):
        make(tmp_path / "a", lambda start, count: source.shard(start, 1), 4, "scalar", 2, print)
    with pytest.raises(BenchError, match="both must be at least 1"):
        make(tmp_path / "a", source.shard, 4, "scalar", 0, print)
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        make(tmp_path / "file" / "a", source.shard, 4, "scalar", 2, print)


CHILD = """
import sys
from pathlib import Path
from tests.test_data_make import Source, run
run(Path(sys.argv[1]), Source(40), type("L", (), {"append": lambda self, line: print(line, flush=True)})())
"""


def test_kill_9_between_shards_costs_one_shard(tmp_path):
    path = tmp_path / "a.hdf5"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent
    )
    assert child.stdout is not None
    while "shard 3/" not in child.stdout.readline():
        pass
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    child.stdout.close()
    assert not path.exists()
    source = Source(40)
    run(path, source)
    assert source.asked and source.asked[0][0] >= 6
    whole(path, 40)


FULL = """
import resource, signal, sys
from pathlib import Path
from bench.contract import BenchError
from tests.test_data_make import Source, run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
try:
    run(Path(sys.argv[1]), Source(40, 5000), size=5)
except BenchError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_shards(tmp_path):
    path = tmp_path / "a.hdf5"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, cwd=Path(__file__).parent.parent
    )
    assert done.returncode == 0 and "File too large" in done.stdout, (
        done.stderr
    )  # shards fit the limit, the whole does not
    assert not path.exists()
    source = Source(40, 5000)
    run(path, source, size=5)
    assert source.asked == []
    whole(path, 40)


def _ask(path: str, log: str) -> None:
    source = Source(12)
    run(Path(path), source)
    with open(log, "a") as file:
        file.write(f"{len(source.asked)}\n")


def test_many_processes_make_one_file(tmp_path):
    context = multiprocessing.get_context("fork")
    (tmp_path / "new").mkdir()
    path = tmp_path / "new" / "a.hdf5"
    workers = [context.Process(target=_ask, args=(str(path), str(tmp_path / "log"))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 3
    assert sorted((tmp_path / "log").read_text().split()) == ["0", "0", "6"]
    whole(path, 12)


def test_checking_and_merging_shards_hold_a_few_samples(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.pde.files.make.BATCH", 1 << 20)
    source, path = Source(60, 20000), tmp_path / "a.hdf5"

    def stop(line: str) -> None:
        if "merging" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(path, source.shard, 60, "scalar", 30, stop)
    tracemalloc.start()
    run(path, source, size=30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole(path, 60)
    assert len(source.asked) == 2 and peak < 4 << 20 < path.stat().st_size // 3


def test_the_verb_tells_progress_apart_from_the_result(tmp_path, capsys):
    path = tmp_path / "a.hdf5"
    words = ["data", "make", "task=pde/darcy_2d", "preset=smoke", "task.beta=0.5", "--out", str(path)]
    with pytest.raises(SystemExit, match="0"):
        main.main(words)
    said = capsys.readouterr()
    assert said.out == f"{path}\n" and "shard 1/1" in said.err
    layout = reading.info(path)
    assert (layout.family, layout.samples, layout.attributes) == ("darcy", 8, {"beta": 0.5})
    with pytest.raises(SystemExit, match="0"):
        main.main([*words, "--format", "json"])
    said = capsys.readouterr()
    assert json.loads(said.out) == [str(path)] and "is there" in said.err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["task=grokking/modular_addition"], "stores no generated fields"),
        ([], "task=… is missing"),
        (["task=pde/darcy_2d,pde/shallow_water_2d", "preset=smoke", "--out", "a"], "one file for several"),
        (["task=pde/darcy_2d", "preset=smoke", "task.beta=-1", "--out", "a"], "beta > 0"),
    ],
)
def test_the_verb_says_what_it_cannot_make(words, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main.main(["data", "make", *words])
    assert reason in capsys.readouterr().err
