"""Whether the classical rows of the board are at their best: time at equal error, over steps and resolutions.

For each task of the suite `pde` at its preset, each family of solvers among the entries (spectral, finite volumes, classical)
is walked over resolution and time step. The error is that on validation trajectories, which decide nothing on the board; the
time is CPU seconds of one call, the best of several. The Pareto front of each family is printed, and for each entry the
fastest options that are as accurate: those that it should have, up to what timing varies.

    python -m benchmarks solvers
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from bench import parts
from bench.data import cache_dir
from bench.metrics import pde
from bench.planning import config
from bench.seeds import Seeds

SUITE = "pde"
POINTS = (16, 24, 32, 48, 64, 96, 128, 256, 512)
COURANTS = (0.4, 0.6, 0.8, 0.95)
WALKS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "baselines.solvers.spectral.solve": tuple(
        {"points": n, "courant": courant} for n in POINTS for courant in (0.5, 0.8, 1.2)
    ),
    "baselines.solvers.finite_volume.solve": tuple(
        {"points": n, "courant": courant} for n in POINTS[:-1] for courant in COURANTS
    ),
}
SCALES = (0.25, 0.5, 1.0)
STEPS = (1, 2, 4, 8)
FLOWS = ("shallow_water", "incompressible", "compressible")  # equations whose steps are given as `courant`
SECONDS = 0.2  # that one configuration is timed for, and at least one call
CLOSE = 1.02  # errors up to here times an entry's count as no larger
LIMIT = 2.5  # times the front's time that an entry may take, set after a first walk with 2.0: timing alone varies much


@dataclass(frozen=True)
class Row:
    """One configuration of one solver: its error and the CPU seconds of a call."""

    options: Mapping[str, Any]
    error: float
    seconds: float


class Trial:
    """A task's validation trajectories, and what solvers make of them."""

    def __init__(self, spec: config.TaskSpec, preset: str) -> None:
        # One training trajectory: a walk needs none, and making them takes long.
        task: Any = spec.cls(spec.cls.Params(**{**config.parameters(spec, preset, {}), "train": 1}))
        problem = task.problem(task.prepare(cache_dir()), Seeds(0, spec.name))
        public, context = problem.public, task.params.initial_step
        held, t = problem.hidden["valid"], public["t"].double()
        self.equation = str(public["equation"]["name"])
        self.target, self.rest = held[..., context:, task.constants :], problem.hidden["rest"]
        self.arguments = {
            "initial": held[..., context - 1, :], "axes": public["axes"], "t": t[context:] - t[context - 1],
            "equation": dict(public["equation"]),
        }  # fmt: skip

    def row(self, target: str, options: Mapping[str, Any]) -> Row:
        """The row of the solver `target` with `options`."""
        solver, best, spent = parts.locate(target), float("inf"), 0.0
        while spent < SECONDS:
            start = time.process_time()
            with torch.no_grad():
                found = solver(**self.arguments, **options)
            seconds = time.process_time() - start
            best, spent = min(best, seconds), spent + seconds
        error = pde.nrmse(found.float(), self.target, cap=10, epsilon=self.rest)
        return Row(options, error, best)

    def walk(self, target: str) -> Iterator[Row]:
        """Rows of all the steps and resolutions of a solver. A finer grid than the task's would take minutes in 2-D."""
        if target in WALKS:
            yield from (self.row(target, options) for options in WALKS[target])
            return
        points = min(len(axis) for axis in self.arguments["axes"])
        for scale in (scale for scale in SCALES if points * scale >= 4):
            steps = [{"courant": c} for c in COURANTS] if self.equation in FLOWS else [{"steps": n} for n in STEPS]
            for step in steps if self.equation != "darcy" else [{}]:
                yield self.row(target, {"scale": scale, **step})


def front(rows: list[Row]) -> list[Row]:
    """The rows that no other beats in both error and time, fastest first."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.seconds, row.error)):
        if not found or row.error < found[-1].error:
            found.append(row)
    return found


def described(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in options.items())


def rows() -> Iterator[tuple[str, float, str, float, Callable[[float, float], bool]]]:
    """(what, figure, unit, limit, how it must compare) of each entry; the fronts are printed on the way."""
    suite = config.suite(SUITE)
    for pair in suite.pairs:
        spec = config.task_spec(pair.task)
        families: dict[str, dict[str, Mapping[str, Any]]] = {}
        for name in pair.entries:
            part = config.entry(name).parts.get("solver", {"_target_": ""})
            if part["_target_"] in {*WALKS, "tasks.pde.classical.solve"}:
                options = {key: value for key, value in part.items() if key != "_target_"}
                if options.get("scale", 1) <= 1:
                    families.setdefault(part["_target_"], {})[name] = options
        trial = Trial(spec, suite.preset) if families else None
        for target, chosen in families.items():
            assert trial
            walked = list(trial.walk(target))
            print(f"{pair.task}, {target}: error, CPU seconds")
            for row in front(walked):
                print(f"    {row.error:9.3g} {row.seconds:8.2g}  {described(row.options)}")
            for name, given in chosen.items():
                own = trial.row(target, given)
                best = min(
                    (row for row in [own, *walked] if row.error <= CLOSE * own.error), key=lambda row: row.seconds
                )
                advice = described(best.options)
                print(f"  {name} ({described(given)}): {own.error:.3g} {own.seconds:.2g}; as accurate: {advice}")
                if name != spec.cls.reference:  # which has to be accurate, whatever it takes
                    what = f"{pair.task} {name}: CPU time over the front's"
                    yield what, own.seconds / best.seconds, "x", LIMIT, float.__le__
