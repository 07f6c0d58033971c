"""What `bench verify` costs beside the cells it runs: three fresh seeds and one replay of a small toy row.

CPU seconds of the process tree, over those of a `bench run` of the same four cells in the same folder, in one run.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.harness import Row, folder, python


def rows() -> Iterator[Row]:
    """Verify against running as many cells."""
    words = ("task=toy/line", "entry=line_sgd")
    bench = ("-P", "-m", "bench")
    with folder() as where:
        python(where, *bench, "run", *words, "seed=range(5)")
        run = min(python(where, *bench, "run", *words, "seed=range(10,14)", "reuse=none")[0] for _ in range(2))
        verify = min(python(where, *bench, "verify", "line_sgd", "--seeds", "3")[0] for _ in range(2))
    yield "verify, three fresh seeds and a replay, of running four cells", verify / run, "x", 1.5, float.__le__
