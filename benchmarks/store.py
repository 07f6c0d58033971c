"""The store at 100,000 records and 10^8 curve points: the index, a table, the board, one curve.

The records are those of the ledger under new keys and seeds: in the first store all are this machine's (a JSON and an NPZ
file each, beside the ledger), in the second all are lines of the ledger. Each figure is a fresh process of its own. Takes
about 2 GB of disk for some minutes; `python -m benchmarks.store 10000` is a smaller one.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COUNT = 100_000
POINTS = 1000  # of each record's curve
Row = tuple[str, float, str, float, Callable[[float, float], bool]]

BUILD = "from bench.records.store import Store; Store(Path(sys.argv[1])).index.refresh()"
CURVE = """
import numpy
store = Store(Path(sys.argv[1]))
start = time.monotonic()
record = store.find(sys.argv[2])
curves = store.curves(record)
took = time.monotonic() - start
assert curves and all(len(points[0]) for points in curves.values())
print(1000 * took)
"""


def _lines() -> list[dict[str, Any]]:
    paths = sorted((ROOT / "results" / "ledger").rglob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text(encoding="utf-8").splitlines()]


def synthetic(count: int, indent: int | None, curves: bool) -> Iterator[tuple[str, str, str]]:
    """(key, ledger file, JSON) of `count` records like those of the ledger, under keys and seeds of their own."""
    from bench.records.spelling import blake

    templates = []
    for line in _lines():
        kept = {name: value for name, value in line.items() if curves or name != "curves"}
        text = json.dumps({**kept, "key": "@key@", "seed": "@seed@", "attempt": 1}, indent=indent, sort_keys=True)
        templates.append((line, f"{line['task']}/{line['entry'].replace('/', '_')}.jsonl", text))
    for i in range(count):
        line, name, text = templates[i % len(templates)]
        key, seed = blake(f"{line['key']} {i}"), 1000 + 100 * (i // len(templates)) + line["seed"]
        yield key, name, text.replace("@key@", key).replace('"@seed@"', str(seed))


def _npz() -> bytes:
    import numpy as np

    stream, steps = io.BytesIO(), np.arange(POINTS, dtype=np.float64)
    np.savez_compressed(stream, loss=np.stack([steps, np.exp(-steps / 300) + 0.01 * np.sin(steps**1.1)]))
    return stream.getvalue()


def make_local(root: Path, count: int) -> str:
    """The ledger as it is, and `count` local records with curves; returns the key of one."""
    shutil.copytree(ROOT / "results" / "ledger", root / "ledger")
    curve, key = _npz(), ""
    for i in range(256):
        (root / "local" / f"{i:02x}").mkdir(parents=True)
    for key, _, text in synthetic(count, indent=1, curves=False):
        path = root / "local" / key[:2] / f"{key}.1.json"
        path.write_text(text)
        path.with_suffix(".npz").write_bytes(curve)
    return key


def make_ledger(root: Path, count: int) -> str:
    """The ledger with `count` more lines in its files; returns the key of one."""
    shutil.copytree(ROOT / "results" / "ledger", root / "ledger")
    last = ""
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for key, name, text in synthetic(count, indent=None, curves=True):
            if name not in files:
                files[name] = stack.enter_context((root / "ledger" / name).open("a", encoding="utf-8"))
            files[name].write(text + "\n")
            last = last if '"curves": {}' in text else key
    return last


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
    """The figures of one store, made for the purpose and removed."""
    folder = Path(tempfile.mkdtemp(prefix="sweepstakes-store-"))
    root, head = (
        folder / "results",
        "import sys, time; from pathlib import Path; from bench.records.store import Store; ",
    )
    try:
        key = make(root, count)
        time.sleep(1.5)  # what has just been written is read again until its clock has ticked

        def least(x: float, y: float) -> bool:
            return x <= y

        python, bench = sys.executable, (sys.executable, "-P", "-m", "bench")
        told = f"store of {count} {name}"
        wall, cpu, rss, _ = measured(python, "-c", head + BUILD, str(root))
        yield f"{told}: index from nothing", wall, "s", 20, least
        yield f"{told}: CPU of it", cpu, "s", 20, least
        peak = rss
        *_, rss, out = measured(python, "-c", head + CURVE, str(root), key)
        yield f"{told}: one record and its curve", float(out), "ms", 50, least
        for verb, limit in (("table", 2.0), ("plan", 2.0), ("browse", 60.0)):
            more = ["--no-open", "--out", str(folder / "board")] if verb == "browse" else []
            wall, cpu, rss, _ = measured(*bench, verb, *more, "suite=core", f"results={root}")
            yield f"{told}: bench {verb} suite=core", wall, "s", limit, least
            yield f"{told}: CPU of it", cpu, "s", limit, least
            peak = max(peak, rss)
        yield f"{told}: most memory of these", max(peak, rss), "MB", 1000, least
    finally:
        shutil.rmtree(folder)


def rows(count: int = COUNT) -> Iterator[Row]:
    """Both stores."""
    yield from figures("local records", make_local, count)
    yield from figures("ledger lines", make_ledger, count)


def main() -> None:
    """Print every figure with its limit."""
    for name, figure, unit, limit, holds in rows(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT):
        print(
            f"{'ok  ' if holds(figure, limit) else 'MISS'} {name:58} {figure:9.3g} {unit:3} (limit {limit:g})",
            flush=True,
        )


if __name__ == "__main__":
    main()
