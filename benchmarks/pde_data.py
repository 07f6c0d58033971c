"""What making and reading the PDE data costs: CPU seconds of the generators, and the memory of a streamed file."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.pde import fields
from tasks.pde.generate import burgers as burgers_1d
from tasks.pde.generate import darcy, diffusion_reaction

ROOT = Path(__file__).resolve().parent.parent
NU = 0.01
GIGABYTES = 2
READING = """
import sys, time
from pathlib import Path
from bench.data import pdebench
start, total = time.monotonic(), 0
for batch in pdebench.batches(Path(sys.argv[1]), 64):
    total += batch.values.nbytes
# the high-water mark since this program began; getrusage would count the memory of the process that started it
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(total / 2**30 / (time.monotonic() - start), held / 1024)
"""


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of `work`."""
    start = time.process_time()
    work()
    return time.process_time() - start


def burgers() -> tuple[float, float]:
    """(CPU seconds of 100 samples x 1024 points x 200 times at nu = 0.01, relative error against Cole-Hopf of eight)."""
    waves, t = fields.Waves.draw(100, 0), np.linspace(0, 2, 200)
    made: list[np.ndarray] = []
    cost = seconds(lambda: made.append(burgers_1d.solve(waves, 1024, t, NU)))
    few, frames, x = slice(0, 8), (10, 50, 199), fields.grid(1024)[::64]
    exact = [fields.cole_hopf(waves.pick(few), x, t[i], NU / np.pi) for i in frames]
    errors = [
        np.linalg.norm(made[0][few, i, ::64] - e, axis=-1) / np.linalg.norm(e, axis=-1)
        for i, e in zip(frames, exact, strict=True)
    ]
    return cost, float(np.max(errors))


def streaming() -> tuple[float, float]:
    """(GB a second, resident MB) of reading a file of GIGABYTES in batches of 64 samples, in a process of its own."""
    from bench.data import writing
    from bench.data.fields import Fields

    samples, frames, points = 64, 201, 1024
    one = np.random.default_rng(0).standard_normal((samples, frames, points, 1)).astype(np.float32)
    shard = Fields(one, (fields.grid(points),), np.linspace(0, 2, frames), ("u",), {"Nu": NU})
    count = round(GIGABYTES * 2**30 / one.nbytes)
    with tempfile.TemporaryDirectory(prefix="sweepstakes-perf-") as folder:
        path = Path(folder) / "big.hdf5"
        writing.write(path, shard, (shard for _ in range(count)), "scalar")
        done = subprocess.run(
            [sys.executable, "-c", READING, str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
    speed, resident = map(float, done.stdout.split())
    return speed, resident


def rows() -> list[tuple[str, float, str, float, Callable[[float, float], bool]]]:
    """(what, figure, unit, limit, how it must compare) of each measurement."""
    below, above = float.__le__, float.__ge__
    cost, error = burgers()
    reaction = seconds(lambda: diffusion_reaction.generate(4, 0, 128)) / 4
    flow = seconds(lambda: darcy.generate(20, 0, 128)) / 20
    speed, resident = streaming()
    return [
        ("Burgers, 100 x 1024 points x 200 times", cost, "s", 1.5, below),
        ("its error against Cole-Hopf", error, "", 1e-6, below),
        ("diffusion-reaction, 128 x 128 x 101, a sample", reaction, "s", 1.0, below),
        ("Darcy, 128 x 128, a sample", 1000 * flow, "ms", 50.0, below),
        (f"reading a file of {GIGABYTES} GB", speed, "GB/s", 0.2, above),
        ("resident while reading it", resident, "MB", 500.0, below),
    ]
