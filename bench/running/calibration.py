"""A machine's speed as one number, so that CPU seconds measured on different machines can be compared in one table.

The benchmark is a fixed mix of matrix products, FFTs and a plain Python loop (a third of the time each on the nominal
machine), run with one thread in a separate process. CPU seconds times score are CPU seconds of the nominal machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import timeit
from collections.abc import Iterable
from pathlib import Path

from bench.contract import BenchError
from bench.parts import python_path
from bench.planning import config
from bench.records.files import write_atomically
from bench.records.provenance import here
from bench.records.record import Cell

NOMINAL = 0.25  # CPU seconds of one round on the nominal machine: a server core of 2021 at about 3 GHz
ROUNDS = 4  # the fastest one counts, since other load on the machine can only slow a round down
VERSION = 1  # of the work; scores of different versions cannot be compared


def work() -> float:
    """Run one round of the benchmark; returns a checksum of its results."""
    import torch

    generator = torch.Generator().manual_seed(0)
    a = x = torch.randn(256, 256, generator=generator)
    for _ in range(120):  # about 4e9 floating-point operations
        x = torch.tanh(a @ x)
    wave = torch.randn(64, 4096, generator=generator)
    for _ in range(96):
        wave = torch.fft.irfft(torch.fft.rfft(wave) * 0.99, n=4096)
    total = 0
    for i in range(600_000):
        total = (total * 31 + i) & 0xFFFFFF
    return float(x.sum()) + float(wave.sum()) + total


def measure() -> float:
    """CPU seconds of the fastest of `ROUNDS` rounds, measured in this process."""
    import torch

    torch.set_num_threads(1)
    work()  # not timed: the first calls initialise libraries
    return min(timeit.repeat(work, timer=time.process_time, repeat=ROUNDS, number=1))


def score(cache: Path) -> float:
    """This machine's score, measured once (about 2 CPU seconds) and then read from the folder `cache`.

    A stored score holds for one processor, Python and torch. Raises BenchError if the measuring process fails.
    """
    machine = here()
    name = f"{VERSION}/{machine.cpu}/{machine.python}/{machine.packages.get('torch')}"
    path = cache / "calibration.json"
    try:
        scores: dict[str, float] = json.loads(path.read_text())
    except (OSError, ValueError):
        scores = {}  # a missing or damaged cache is rebuilt
    if name not in scores:
        scores[name] = round(NOMINAL / _measure_in_subprocess(), 4)
        write_atomically(path, json.dumps(scores, indent=1, sort_keys=True).encode())
    return scores[name]


def _measure_in_subprocess() -> float:
    from bench.running.sandbox import ONE_THREAD

    code = "from bench.running.calibration import measure; print(measure())"
    command = [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {python_path()!r}; {code}"]
    result = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchError(f"calibration failed: {result.stderr.strip()[-400:]}")
    return float(result.stdout)


def wanted(cells: Iterable[Cell]) -> bool:
    """Whether some table ranks these cells by CPU seconds: a task has a target, and its preset is not `smoke`."""
    tasks = {cell.task for cell in cells if cell.preset != "smoke"}
    return any(metric.target is not None for task in tasks for metric in config.task_spec(task).cls.metrics)
