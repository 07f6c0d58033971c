"""Golden digests: fingerprints of a task's data and first steps, which show a change that came without a new version.

For each task at `smoke`, seed 0, default parts: a fingerprint of every tensor of the problem, the initial loss, and the
loss after three steps. They are made in portable arithmetic, and compared with a tolerance, since the last bits still differ
between processors.

    python -m bench.upkeep.golden            # compare; a task's name compares that one
    python -m bench.upkeep.golden --write    # after raising the task's version, write the new ones
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping
from typing import Any

from bench.contract import Entry, Unavailable
from bench.data import cache_dir
from bench.planning import config
from bench.records.files import write_atomically
from bench.records.identity import difference
from bench.running import numerics
from bench.seeds import Seeds

FOLDER = config.PROJECT / "tests" / "golden"
TOLERANCE = 1e-4


def _tensors(node: Any, path: str) -> dict[str, Any]:
    """path -> tensor of every tensor below a problem's node."""
    import torch

    if isinstance(node, torch.Tensor):
        return {path: node}
    if isinstance(node, list | tuple):
        node = dict(enumerate(node))
    children = sorted(node.items()) if isinstance(node, Mapping) else ()
    return {name: leaf for key, value in children for name, leaf in _tensors(value, f"{path}/{key}").items()}


def _fingerprint(tensor: Any) -> dict[str, Any]:
    """Shape, type, and two sums over every element: the norm, and a projection that depends on each element's place."""
    import torch

    flat = tensor.detach().reshape(-1)
    flat = (torch.view_as_real(flat).reshape(-1) if flat.is_complex() else flat).to(torch.float64)
    weights = torch.cos(torch.arange(flat.numel(), dtype=torch.float64) * 0.7)
    dtype = str(tensor.dtype).removeprefix("torch.")
    return {"shape": [*tensor.shape], "dtype": dtype, "norm": float(flat.norm()), "projection": float(flat @ weights)}


def golden(name: str) -> dict[str, Any]:
    """The digests of one task. Raises Unavailable if its data are absent."""
    from bench.execute import Job, call

    numerics.pin()  # Adam makes much of the last bits where gradients start from zero
    spec = config.task_spec(name)
    params = config.parameters(spec, "smoke", {})
    task = spec.cls(spec.cls.Params(**params))
    problem = task.problem(task.prepare(cache_dir(), 0), Seeds(0, name))
    tensors = {**_tensors(problem.public, "public"), **_tensors(problem.hidden, "hidden")}
    outcome = call(Job(spec.target, params, config.resolve_parts(spec, Entry("default", {}), {}), 0, str(cache_dir())))
    losses = outcome.curves.get("loss", ([], []))[1]
    return {
        "version": spec.cls.version,
        "data": {path: _fingerprint(tensor) for path, tensor in sorted(tensors.items())},
        "initial_loss": losses[0] if losses else None,
        "loss_after_three_steps": losses[3] if len(losses) > 3 else None,
    }


def near(old: Any, new: Any) -> bool:
    """Whether two values are numbers that differ by no more than the tolerance."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (old, new))
    return numbers and math.isclose(old, new, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def differences(old: Any, new: Any) -> list[str]:
    """Where two digests differ by more than the tolerance."""
    return [f"{path}: {was} became {now}" for path, was, now in difference(old, new) if not near(was, now)]


def main() -> int:
    """Compare the tasks' digests with the stored ones, or write them; exit code 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", help="their names; every task without one")
    parser.add_argument("--write", action="store_true")
    options, bad = parser.parse_args(), False
    for name in options.tasks or config.names("task"):
        try:
            now = golden(name)
        except Unavailable as error:
            print(f"{name}: {error}")
            continue
        path = FOLDER / f"{name.replace('/', '.')}.json"
        lines = differences(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}, now)
        print(f"{name}: {chr(10).join(lines) or 'as before'}")
        if lines and options.write:
            write_atomically(path, (json.dumps(now, indent=1) + "\n").encode())
        bad |= bool(lines) and not options.write
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
