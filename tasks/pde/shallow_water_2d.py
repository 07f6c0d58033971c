"""The shallow-water equations: a circular dam breaks on (-2.5, 2.5)^2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base, square

if TYPE_CHECKING:
    from tasks.pde.files.fields import Fields


REFINE = 4  # points computed for each point stored, along an axis
PAPER = {
    "points": 128, "frames": 101, "train": 800, "valid": 100, "test": 100, "steps": 80000, "batch": 5, "unroll": 100,
    "evaluations": 50,
}  # fmt: skip


@dataclass
class Params(square.Params):
    """faithful: depths at cell centres, as PDEBench's; else averages over cells."""

    faithful: bool = False


class ShallowWater(base.Evolution):
    """Water of depth 2 inside a random radius runs out over depth 1; only the depth h is seen, and it starts at rest."""

    name = "pde/shallow_water_2d"
    Params = Params
    presets = {"smoke": {**base.SMOKE_2D, "final_time": 0.4}, "small": {}, "paper": PAPER}
    equation, channels, family = "shallow_water", ("h",), "seeds"
    dims, length, periodic = 2, 5.0, False
    reference = "classical_double"
    margin = 0.5

    def shard(self, count: int, seed: int) -> Fields:
        from tasks.pde.generate import shallow_water

        p = self.params
        refine = 1 if p.faithful else REFINE
        return shallow_water.generate(count, seed, p.points, p.frames, p.final_time, p.faithful, refine=refine)
