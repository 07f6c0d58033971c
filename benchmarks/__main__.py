"""`make perf`: every number the project promises about its own cost, measured side by side in one run.

python -m benchmarks             # all of them
python -m benchmarks harness     # those of one module, or of several
"""

from __future__ import annotations

import sys
from importlib import import_module

MODULES = (
    "harness", "training_loop", "fno_step", "pde_data", "solvers", "board", "store", "statistics", "verifying", "numerics",
    "cost", "second_order", "node_perturbation", "sampling", "pinn_loss", "linear_solver",
)  # fmt: skip


def main(chosen: list[str]) -> int:
    """Print each figure with its limit; exit code 1 if one is missed, 2 for a name that is none of ours."""
    if unknown := set(chosen) - set(MODULES):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}", file=sys.stderr)
        return 2
    missed = 0
    for module in chosen or MODULES:
        for name, figure, unit, limit, holds in import_module(f"benchmarks.{module}").rows():
            good = holds(float(figure), limit)
            missed += not good
            print(f"{'PASS' if good else 'FAIL'} {name:70} {figure:9.3g} {unit:3} (limit {limit:g})", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
