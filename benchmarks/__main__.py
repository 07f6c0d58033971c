"""`make perf`: every number the project promises about its own cost, measured side by side in one run."""

from __future__ import annotations

import sys

from benchmarks import board, fno_step, harness, pde_data, statistics, store, training_loop, verifying


def main() -> int:
    """Print each figure with its limit; exit code 1 if one is missed."""
    missed = 0
    for name, figure, unit, limit, holds in [
        *harness.main(),
        *training_loop.rows(),
        *fno_step.rows(),
        *pde_data.rows(),
        *board.main(),
        *store.rows(),
        *statistics.rows(),
        *verifying.rows(),
    ]:
        good = holds(float(figure), limit)
        missed += not good
        print(f"{'ok  ' if good else 'MISS'} {name:58} {figure:9.3g} {unit:3} (limit {limit:g})", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
