"""What the harness itself costs: CPU a cell, memory, planning, a fully cached run, two workers' efficiency.

CPU seconds are counted over the whole process tree. The cost of a cell is the difference between sweeps of 240 and of 40
cells, so that starting Python and the fork server does not count, less the cells' own booked work.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOY = ROOT / "tests" / "toy"
FEW_MANY = 40, 240


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TOY)]), "OMP_NUM_THREADS": "1"}


def _folder() -> Path:
    """A folder with the toy task's configuration, as a user's own."""
    folder = Path(tempfile.mkdtemp(prefix="sweepstakes-perf-"))
    (folder / "configs").symlink_to(TOY / "toy_package" / "configs")
    return folder


def _sweep(folder: Path, *words: str) -> tuple[float, float, dict[str, Any]]:
    """(CPU seconds of the tree, wall seconds, what it told) of one `bench run`."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-P", "-m", "bench", "run", *words, "--format", "json"]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - start, json.loads(done.stdout)


def _own_work(folder: Path) -> float:
    """CPU seconds that the cells of a store booked for themselves."""
    records = [json.loads(path.read_text()) for path in (folder / "results" / "local").glob("*/*.json")]
    return sum(sum(record.costs.cpu.values()) for record in records)


def cell_cost(transport: str) -> float:
    """CPU milliseconds the harness adds to a cell that takes one optimizer step."""
    totals = []
    for count in FEW_MANY:
        folder = _folder()
        words = ["task=toy/line", "entry=line_sgd", "task.steps=1", f"seed=range({count})", f"transport={transport}"]
        cpu, _, _ = _sweep(folder, *words)
        totals.append(cpu - _own_work(folder))
    return 1000 * (totals[1] - totals[0]) / (FEW_MANY[1] - FEW_MANY[0])


def memory() -> tuple[float, float]:
    """(parent, fork server) resident megabytes in the middle of a sweep."""
    import psutil

    folder = _folder()
    words = ["run", "task=toy/line", "entry=line_sgd", "seed=range(6)", "task.nap=0.5"]
    sweep = subprocess.Popen(
        [sys.executable, "-P", "-m", "bench", *words], cwd=folder, env=_environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while sweep.poll() is None and not list((folder / "results" / "local").glob("*/*.json")):
        time.sleep(0.05)
    parent = psutil.Process(sweep.pid)
    server = parent.children()[0]
    sizes = parent.memory_info().rss / 2**20, server.memory_info().rss / 2**20
    sweep.wait()
    return sizes


PLANNING = """
import sys, time
sys.argv = ["bench"]
start = time.perf_counter()
from pathlib import Path
from bench import config, plan
from bench.records.store import Store
entries = "entry=line_sgd,zero,line_sgd+raises,raises,nan"
request = config.parse(["task=toy/line", entries, "task.noise=range(8)", "seed=range(25)"])
cells = list(plan.make(request, Store(Path("results"))).cells())
print(len(cells), time.perf_counter() - start, sorted({"torch", "pandas"} & set(sys.modules)))
"""


def planning() -> tuple[int, float, str]:
    """(cells, wall seconds from a cold interpreter's first import, heavy modules imported) of planning 40 pairs x 25."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PLANNING],
        cwd=_folder(),
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    cells, seconds, modules = done.stdout.split(maxsplit=2)
    return int(cells), float(seconds), modules.strip()


def cached() -> tuple[float, float]:
    """(wall, CPU) seconds of `bench run` where all 50 cells are there; the best of three."""
    folder = _folder()
    words = ["task=toy/line", "entry=line_sgd,zero", "task.steps=1", "seed=range(25)"]
    _sweep(folder, *words)
    runs = [_sweep(folder, *words) for _ in range(3)]
    assert all(told["ran"] == 0 and told["fresh"] == 50 for _, _, told in runs)
    return min(wall for _, wall, _ in runs), min(cpu for cpu, _, _ in runs)


def two_workers() -> tuple[float, float]:
    """(seconds until a sweep of nothing much ends, wall time of 40 one-second cells over the ideal of 20 s after those).

    The first is what loading torch into the fork server takes, once a sweep.
    """
    _, start, _ = _sweep(_folder(), "task=toy/line", "entry=line_sgd", "seed=range(2)", "task.steps=1", "workers=2")
    _, wall, _ = _sweep(_folder(), "task=toy/line", "entry=line_sgd", "seed=range(40)", "task.nap=1.0", "workers=2")
    return start, (wall - start) / 20


def main() -> list[tuple[str, float, str, float, Callable[[float, float], bool]]]:
    """(what, figure, unit, limit, how it must compare) of each measurement."""
    below = float.__le__
    parent, server = memory()
    cells, seconds, modules = planning()
    wall, _ = cached()
    start, efficiency = two_workers()
    return [
        ("harness CPU a cell, isolated", cell_cost("pipe"), "ms", 40.0, below),
        ("harness CPU a cell, by call", cell_cost("call"), "ms", 20.0, below),
        ("parent, resident", parent, "MB", 150.0, below),
        ("fork server, resident", server, "MB", 400.0, below),
        (f"planning {cells} cells, importing {modules}", seconds, "s", 1.0, below),
        ("a fully cached run of 50 cells", wall, "s", 0.5, below),
        ("a sweep's start, once", start, "s", 5.0, below),
        ("40 one-second cells on 2 workers after it, of ideal", efficiency, "x", 1.1, below),
    ]
