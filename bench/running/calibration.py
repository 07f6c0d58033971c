"""A machine's speed as one number, so that CPU seconds of different machines can stand in one table.

The work is fixed: matrix products, FFTs and a plain Python loop, a third each on the nominal machine, in a process of its own
with one thread. score = nominal CPU seconds / CPU seconds here, so CPU seconds times score are seconds of the nominal
machine. It says how fast a mixed load runs and no more: a third-decimal difference between two processors means nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from bench.contract import BenchError
from bench.planning import config
from bench.records.cell import Cell
from bench.records.files import write_atomically
from bench.records.provenance import here

NOMINAL = 0.25  # CPU seconds of one round on the nominal machine: a server core of 2021 at about 3 GHz
ROUNDS = 4  # the fastest counts: whatever else a machine does only ever slows a round down
VERSION = 1  # of the work; scores of different versions do not compare


def work() -> float:
    """One round of the fixed work; returns a checksum, so that nothing of it can be left out."""
    import torch

    g = torch.Generator().manual_seed(0)
    a = torch.randn(256, 256, generator=g)
    x = a
    for _ in range(120):  # about 4e9 floating-point operations
        x = torch.tanh(a @ x)
    wave = torch.randn(64, 4096, generator=g)
    for _ in range(96):
        wave = torch.fft.irfft(torch.fft.rfft(wave) * 0.99, n=4096)
    total = 0
    for i in range(600_000):
        total = (total * 31 + i) & 0xFFFFFF
    return float(x.sum()) + float(wave.sum()) + total


def measure() -> float:
    """CPU seconds of the fastest round in this process."""
    import torch

    torch.set_num_threads(1)
    work()  # first calls set things up
    times = []
    for _ in range(ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def score(cache: Path) -> float:
    """This machine's score; measured once (about 2 CPU s), then kept in `cache`, a folder, by processor and torch version.

    Raises BenchError if the measuring process fails.
    """
    about = here()
    name = f"{VERSION}/{about.cpu}/{about.python}/{about.packages.get('torch')}"
    path = cache / "calibration.json"
    try:
        known: dict[str, float] = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}  # only a cache: it is made anew
    if name not in known:
        known[name] = round(NOMINAL / _measured(), 4)
        write_atomically(path, json.dumps(known, indent=1, sort_keys=True).encode())
    return known[name]


def _measured() -> float:
    from bench.parts import python_path

    code = (
        f"import sys; sys.path[:] = {python_path()!r}; from bench.running.calibration import measure; print(measure())"
    )
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env={**os.environ, **one}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"calibration failed: {done.stderr.strip()[-400:]}")
    return float(done.stdout)


def wanted(cells: Iterable[Cell]) -> bool:
    """Whether records of these cells stand in a table by CPU seconds: a task with a target, beyond the smoke preset."""
    tasks = {cell.task for cell in cells if cell.preset != "smoke"}
    return any(metric.target is not None for task in tasks for metric in config.task_spec(task).cls.metrics)
