"""The store at 100,000 records and 10^8 curve points: a table from nothing, then with its index, the board, one curve.

The records are those of the ledger under new keys and seeds: in the first store all are this machine's (a JSON and an NPZ
file each, beside the ledger), in the second all are lines of the ledger. Each figure is a fresh process of its own, in CPU
seconds over those of reading the same lines with msgspec. Takes about 2 GB of disk for some minutes;
`python -m benchmarks.store 10000` is a smaller one, in which what a process costs by itself counts for more.
"""

from __future__ import annotations

import io
import operator
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from bench.records.record import Record, decode, encode
from bench.records.spelling import blake

ROOT = Path(__file__).resolve().parent.parent
COUNT = 100_000
POINTS = 1000  # of each record's curve
Row = tuple[str, float, str, float, Callable[[float, float], bool]]

READ = """
import sys
from pathlib import Path
import msgspec
from bench.records.record import Record
read = msgspec.json.Decoder(Record).decode
for path in Path(sys.argv[1], "ledger").rglob("*.jsonl"):
    for line in path.read_bytes().splitlines():
        read(line)
for path in Path(sys.argv[1], "local").rglob("*.json"):
    read(path.read_bytes())
"""
CURVE = """
import sys, time
from pathlib import Path
import numpy
from bench.records.store import Store
store = Store(Path(sys.argv[1]))
start = time.monotonic()
record = store.find(sys.argv[2])
curves = store.curves(record)
took = time.monotonic() - start
assert curves and all(len(points[0]) for points in curves.values())
print(1000 * took)
"""


def _published() -> list[Record]:
    """The ledger, in the format of today."""
    paths = sorted((ROOT / "results" / "ledger").rglob("*.jsonl"))
    return [decode(line) for path in paths for line in path.read_bytes().splitlines()]


def synthetic(count: int, curves: bool) -> Iterator[tuple[str, str, bytes]]:
    """(key, ledger file, line) of `count` records like those of the ledger, under keys and seeds of their own."""
    templates = _published()
    for i in range(count):
        like = templates[i % len(templates)]
        key, seed = blake(f"{like.key} {i}"), 1000 + 100 * (i // len(templates)) + like.seed
        made = msgspec.structs.replace(like, key=key, seed=seed, attempt=1, curves=like.curves if curves else {})
        yield key, f"{like.task}/{like.entry.replace('/', '_')}.jsonl", encode(made)


def _npz() -> bytes:
    import numpy as np

    stream, steps = io.BytesIO(), np.arange(POINTS, dtype=np.float64)
    np.savez_compressed(stream, loss=np.stack([steps, np.exp(-steps / 300) + 0.01 * np.sin(steps**1.1)]))
    return stream.getvalue()


def _ledger(root: Path, count: int) -> str:
    """The ledger with `count` more lines in its files, in the format of today; returns the key of one that has curves."""
    last = ""
    (root / "ledger").mkdir(parents=True)
    own = ((like.key, f"{like.task}/{like.entry.replace('/', '_')}.jsonl", encode(like)) for like in _published())
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for key, name, line in chain(own, synthetic(count, curves=True)):
            if name not in files:
                path = root / "ledger" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                files[name] = stack.enter_context(path.open("wb"))
            files[name].write(line + b"\n")
            last = key if b'"curves":{"' in line else last
    return last


def make_local(root: Path, count: int) -> str:
    """The ledger as it is, and `count` local records with curves; returns the key of one."""
    _ledger(root, 0)
    curve, key = _npz(), ""
    for i in range(256):
        (root / "local" / f"{i:02x}").mkdir(parents=True)
    for key, _, line in synthetic(count, curves=False):
        path = root / "local" / key[:2] / f"{key}.1.json"
        path.write_bytes(line)
        path.with_suffix(".npz").write_bytes(curve)
    return key


def measured(*command: str) -> tuple[float, float, float, str]:
    """(wall seconds, CPU seconds, peak RSS in MB, standard output) of one process. RuntimeError if it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        start = time.monotonic()
        actions = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, errors.fileno(), 2)]
        pid = os.posix_spawn(command[0], list(command), environment, file_actions=actions)
        _, status, used = os.wait4(pid, 0)
        wall = time.monotonic() - start
        for stream in (out, errors):
            stream.seek(0)
        if status:
            raise RuntimeError(f"{' '.join(command)}: {errors.read().decode()}")
        rss = used.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)
        return wall, used.ru_utime + used.ru_stime, rss, out.read().decode()


def figures(name: str, make: Callable[[Path, int], str], count: int) -> Iterator[Row]:
    """The figures of one store, made for the purpose and removed: CPU over that of reading its lines with msgspec."""
    folder = Path(tempfile.mkdtemp(prefix="sweepstakes-store-"))
    root, told = folder / "results", f"{count} {name}"
    try:
        key = make(root, count)
        time.sleep(1.5)  # what has just been written is read again until its clock has ticked
        python, bench = sys.executable, (sys.executable, "-P", "-m", "bench")
        table = (*bench, "table", "suite=core", f"results={root}")
        _, read, _, _ = measured(python, "-c", READ, str(root))
        _, cold, peak, _ = measured(*table)
        yield f"{told} to a table, of reading them with msgspec ({read:.2f} s)", cold / read, "x", 2.5, operator.le
        *_, rss, out = measured(python, "-c", CURVE, str(root), key)
        peak = max(peak, rss)
        yield f"{told}: one record and its curve", float(out), "ms", 50, operator.le
        for verb, limit in (("table", 1.0), ("plan", 1.0), ("browse", 20.0)):
            more = ["--no-open", "--out", str(folder / "board")] if verb == "browse" else []
            _, cpu, rss, _ = measured(*bench, verb, *more, "suite=core", f"results={root}")
            peak = max(peak, rss)
            yield f"{told}: then bench {verb} suite=core, of the same reading", cpu / read, "x", limit, operator.le
        yield f"{told}: most memory of these", peak, "MB", 1000, operator.le
    finally:
        shutil.rmtree(folder)


def rows(count: int = COUNT) -> Iterator[Row]:
    """Both stores."""
    yield from figures("local records", make_local, count)
    yield from figures("ledger lines", _ledger, count)


def main() -> None:
    """Print every figure with its limit."""
    for name, figure, unit, limit, holds in rows(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT):
        print(
            f"{'PASS' if holds(figure, limit) else 'FAIL'} {name:70} {figure:9.3g} {unit:3} (limit {limit:g})",
            flush=True,
        )


if __name__ == "__main__":
    main()
