"""Diffusion with sorption in a porous medium, u_t = D / R(u) u_xx on (0, 1), u = 1 at the left, outflow at the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base

if TYPE_CHECKING:
    from tasks.pde.files.fields import Fields


PAPER = {"frames": 101, "final_time": 500.0, "reduced_resolution": 1, "reduced_resolution_t": 1, "unroll": 91}


@dataclass
class Params(base.Params):
    """faithful: PDEBench's boundary cells and its integrator at default tolerances."""

    final_time: float = 500.0
    steps: int = 500
    faithful: bool = False


class DiffusionSorption(base.Evolution):
    """A pollutant creeps in from the left and is held back by the soil."""

    name = "pde/diffusion_sorption_1d"
    Params = Params
    presets = {"smoke": {**base.SMOKE, "final_time": 200.0}, "small": {}, "paper": {**base.PAPER, **PAPER}}
    equation, channels, family, periodic = "diffusion_sorption", ("u",), "seeds", False
    reference = "classical_double"
    margin = 2.0

    def shard(self, count: int, seed: int) -> Fields:
        from tasks.pde.generate import diffusion_sorption

        p = self.params
        return diffusion_sorption.generate(count, seed, p.points, p.frames, p.final_time, p.faithful)
