"""What `bench verify` costs beside the cells it runs: three fresh seeds and one replay of a small toy row.

CPU seconds of the process tree, less those of a `bench run` of the same four cells in the same folder, in one run.
"""

from __future__ import annotations

import operator
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import _environment, _folder


def _cpu(folder: Path, *words: str) -> float:
    """CPU seconds of one `bench` command and all it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-P", "-m", "bench", *words]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows() -> list[tuple[str, float, str, float, Callable[[float, float], bool]]]:
    """(name, figure, unit, limit, comparison): verify against running as many cells."""
    folder = _folder()
    words = ("task=toy/line", "entry=line_sgd")
    _cpu(folder, "run", *words, "seed=range(5)")
    run = min(_cpu(folder, "run", *words, "seed=range(10,14)", "reuse=none") for _ in range(2))
    verify = min(_cpu(folder, "verify", "line_sgd", "--seeds", "3") for _ in range(2))
    return [("verify, three fresh seeds and a replay, beyond running four cells", verify - run, "s", 1.0, operator.le)]


def main() -> int:
    """Print the figure; exit code 1 if it misses its limit."""
    missed = 0
    for name, figure, unit, limit, holds in rows():
        missed += not holds(figure, limit)
        print(f"{name}: {figure:.2f} {unit} (limit {limit:g})")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
