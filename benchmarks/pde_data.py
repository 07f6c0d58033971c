"""What making and reading the PDE data costs: CPU seconds of the generators, and the memory of a streamed file."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
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
from tasks.pde.files import reading
start, total = time.monotonic(), 0
for batch in reading.batches(Path(sys.argv[1]), 64):
    total += batch.values.nbytes
# the high-water mark since this program began; getrusage would count the memory of the process that started it
held = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(total / 2**30 / (time.monotonic() - start), held / 1024)
"""
EXPONAX = """
import sys, time
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
import exponax
from tasks.pde import fields
samples, points, times, nu = 100, 1024, 200, float(sys.argv[1])
waves, t = fields.Waves.draw(samples, 0), np.linspace(0, 2, times)
stepper = exponax.stepper.Burgers(1, 1.0, points, t[1], diffusivity=nu / np.pi, order=4)
rollout = jax.jit(jax.vmap(exponax.rollout(stepper, times - 1, include_init=True)))
start = waves(np.arange(points) / points)[:, None, :]
rollout(start).block_until_ready()  # compiled
before = time.process_time()
rollout(start).block_until_ready()
print(time.process_time() - before)
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


def exponax() -> float | None:
    """CPU seconds that exponax takes for the same at its cheapest, one ETDRK4 step a frame, compiled; None where it lacks.

    Its error is then far above ours; more steps a frame lower it and cost more.
    """
    if find_spec("exponax") is None:
        return None
    return float(_alone(EXPONAX, str(NU)))


def _alone(program: str, *arguments: str) -> str:
    """What `program` prints in a process of its own, which sees this project and what this one can import."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def streaming() -> tuple[float, float]:
    """(GB a second, resident MB) of reading a file of GIGABYTES in batches of 64 samples, in a process of its own."""
    from tasks.pde.files import writing
    from tasks.pde.files.fields import Fields

    samples, frames, points = 64, 201, 1024
    one = np.random.default_rng(0).standard_normal((samples, frames, points, 1)).astype(np.float32)
    shard = Fields(one, (fields.grid(points),), np.linspace(0, 2, frames), ("u",), {"Nu": NU})
    count = round(GIGABYTES * 2**30 / one.nbytes)
    with tempfile.TemporaryDirectory(prefix="sweepstakes-perf-") as folder:
        path = Path(folder) / "big.hdf5"
        writing.write(path, shard, (shard for _ in range(count)), "scalar")
        printed = _alone(READING, str(path))
    speed, resident = map(float, printed.split())
    return speed, resident


def rows() -> list[tuple[str, float, str, float, Callable[[float, float], bool]]]:
    """(what, figure, unit, limit, how it must compare) of each measurement."""
    below, above = float.__le__, float.__ge__
    cost, error = burgers()
    theirs = exponax()
    peer = (
        [] if theirs is None else [("exponax's CPU time over ours, one step a frame", theirs / cost, "x", 1.0, above)]
    )
    reaction = seconds(lambda: diffusion_reaction.generate(4, 0, 128)) / 4
    flow = seconds(lambda: darcy.generate(20, 0, 128)) / 20
    speed, resident = streaming()
    return [
        ("Burgers, 100 x 1024 points x 200 times", cost, "s", 1.5, below),
        ("its error against Cole-Hopf", error, "", 1e-6, below),
        *peer,
        ("diffusion-reaction, 128 x 128 x 101, a sample", reaction, "s", 1.0, below),
        ("Darcy, 128 x 128, a sample", 1000 * flow, "ms", 50.0, below),
        (f"reading a file of {GIGABYTES} GB", speed, "GB/s", 0.2, above),
        ("resident while reading it", resident, "MB", 500.0, below),
    ]
