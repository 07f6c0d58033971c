"""Darcy flow, -div(a grad u) = beta on the unit square with u = 0 at the edge: from the permeability to the pressure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError
from tasks.pde import base

if TYPE_CHECKING:
    from pathlib import Path

    from bench.contract import Problem
    from bench.seeds import Seeds
    from tasks.pde.files.fields import Fields
    from tasks.pde.files.layout import Layout

PAPER = {
    "points": 128, "train": 8000, "valid": 1000, "test": 1000, "steps": 80000, "batch": 50, "evaluations": 50,
}  # fmt: skip

LOOKED_AT = 64  # samples of a file that tell whether its target is the steady state


@dataclass
class Params(base.Params):
    """beta: the source. faithful: PDEBench's target, a snapshot on the way to the steady state from an unseen start; a file's
    target that does not solve the steady equation, whatever the reason, is taken for one.

    frames is 2: the permeability and the pressure.
    """

    points: int = 32
    frames: int = 2
    final_time: float = 1.75
    train: int = 192
    valid: int = 32
    test: int = 64
    steps: int = 600
    batch: int = 4
    evaluations: int = 4
    beta: float = 1.0
    faithful: bool = False


class Darcy(base.Evolution):
    """One step, from a two-valued permeability to the steady pressure."""

    name = "pde/darcy_2d"
    Params = Params
    presets = {"smoke": {**base.SMOKE_2D, "frames": 2}, "small": {}, "paper": PAPER}
    equation, attributes, family = "darcy", {"beta": "beta"}, "darcy"
    dims, periodic = 2, False
    # A pressure is no correction of a permeability.
    slots = tuple(
        replace(slot, default={"_target_": "tasks.pde.rollout.frame"}) if slot.name == "output_form" else slot
        for slot in base.Evolution.slots
    )
    reference = "classical"
    margin = 2.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.faithful:
            self.reference = ""
            self.unanchored = "the target is a snapshot, and `classical` solves for the steady state"

    def check(self) -> None:
        p = self.params
        if p.frames != 2 or p.initial_step != 1 or p.reduced_resolution_t != 1:
            raise BenchError(f"{self.name}: one step from permeability to pressure; leave frames=2, initial_step=1")

    def shard(self, count: int, seed: int) -> Fields:
        from tasks.pde.generate import darcy

        p = self.params
        return darcy.generate(count, seed, p.points, 1, p.final_time, p.beta, p.faithful)

    def problem(self, data: Fields, seeds: Seeds) -> Problem:
        """The permeability as the first frame, the pressure as the second."""
        import numpy as np

        permeability = data.constants["nu"][:, None, ..., None]
        values = np.concatenate([permeability, data.values[:, -1:]], axis=1)
        return super().problem(replace(data, values=values, t=np.array([0.0, 1.0]), constants={}), seeds)

    def match(self, path: Path, held: Layout) -> None:
        import numpy as np

        if self.params.file and not self.params.faithful:
            self._steady(path)
        # A file of this problem stores one frame and no time: to the shared check it is what the parameters say.
        super().match(path, replace(held, frames=2, t=np.array([0.0, self.params.final_time])))

    def _steady(self, path: Path) -> None:
        """BenchError if one of the first samples does not solve the steady equation."""
        import numpy as np

        from tasks.pde.files import reading, residuals

        misses = residuals.darcy_misses(reading.read(path, slice(LOOKED_AT)))
        if (misses > residuals.DARCY_TOLERANCE).any():
            raise BenchError(
                f"{path}: its pressure does not solve the steady equation (residual {np.nanmax(misses):.2g} of the source): "
                "it is a snapshot, as in PDEBench's files, and no solver is a reference for it; to use this file set "
                "task.faithful=true"
            )
