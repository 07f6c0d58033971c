"""What `numerics=portable` costs, and whether other processors then give the same bits.

The cost is that of suite core's cells of one seed, in CPU seconds over those of `numerics=native`. Other processors are
emulated by `qemu-x86_64` (Debian's package qemu-user), whose approximate reciprocals are exact and thus differ from any real
processor's; without it these figures are left out. MKL takes other products on processors of Intel's, so they have a
fingerprint of their own, which all of them share.

    python -m benchmarks numerics                        # cost and operations
    python -m benchmarks.numerics FOLDER FOLDER          # of two results folders: how often the order of two entries held
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

from bench.planning import config, plan
from bench.records.store import Store
from bench.running import numerics
from bench.tables import join
from bench.tables.table import Table
from benchmarks.harness import ROOT, _costs, _sweep, folder

Row = tuple[str, float, str, float, Callable[[float, float], bool]]
PROCESSORS = ("EPYC", "EPYC-Rome", "EPYC-Milan")
DIGESTS = """
import hashlib, torch
from bench.running import numerics
torch.set_num_threads(1)
numerics.pin()
for name, result in numerics.operations():
    print(hashlib.blake2b(result.detach().resolve_conj().numpy().tobytes()).hexdigest(), name)
"""


def _digests(*emulator: str) -> list[str]:
    """A line per operation: the digest of its result and its name, on this processor or an emulated one."""
    unset = {"OPENBLAS_L2_SIZE"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= numerics.environment("portable") | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [*emulator, sys.executable, "-P", "-c", DIGESTS]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()


def _core(mode: str) -> float:
    """CPU seconds of suite core's cells of seed 0, their set-up by the harness left out."""
    with folder() as where:
        _sweep(where, "suite=core", "seed=0", f"numerics={mode}", "workers=1")
        return sum(sum(costs["cpu"].values()) for costs in _costs(where))


def rows() -> Iterator[Row]:
    """Every figure with its limit."""
    native, portable = _core("native"), _core("portable")
    name = f"suite core, seed 0: CPU of portable ({portable:.0f} s) over native ({native:.0f} s)"
    yield name, portable / native, "x", 1.2, float.__le__
    if emulator := shutil.which("qemu-x86_64"):
        here = _digests()
        for processor in PROCESSORS:
            other = _digests(emulator, "-cpu", processor)
            differing = [line.split(maxsplit=1)[1] for line in here if line not in other]
            name = f"of {len(here)} operations, other bits on an emulated {processor}: {', '.join(differing) or 'none'}"
            yield name, float(len(differing)), "", 0.0, float.__le__


def _tables(folder: str) -> list[Table]:
    request, store = config.parse(["suite=core", f"results={folder}"]), Store(Path(folder))
    return join.build_all(plan.make(request, store), store)


def orders(folders: list[str]) -> Iterator[str]:
    """Lines of a Markdown table: by task, pairs of ranked entries, those in the same order in both folders, and of the pairs
    whose ranges of ranks are apart in the first folder, those whose order turned round in the second.
    """
    yield "| task | pairs | same order | apart | turned round |"
    yield "|---|---|---|---|---|"
    sums = [0, 0, 0, 0]
    for first, second in zip(*map(_tables, folders), strict=True):
        other = {row.entry: row for row in second.rows if row.rank is not None}
        counts = [0, 0, 0, 0]
        for a, b in combinations([row for row in first.rows if row.rank is not None and row.entry in other], 2):
            if a.group != b.group or a.rank is None or b.rank is None:
                continue
            same = (a.value < b.value) == (other[a.entry].value < other[b.entry].value)
            apart = a.rank[1] < b.rank[0] or b.rank[1] < a.rank[0]
            counts = [n + more for n, more in zip(counts, (1, same, apart, apart and not same), strict=True)]
        sums = [n + more for n, more in zip(sums, counts, strict=True)]
        yield f"| {first.task} | {' | '.join(map(str, counts))} |"
    yield f"| all | {' | '.join(map(str, sums))} |"


if __name__ == "__main__":
    print("\n".join(orders(sys.argv[1:3])))
