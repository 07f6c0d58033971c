"""Diffusion with sorption in a porous medium, u_t = D / R(u) u_xx on (0, 1), u = 1 at the left, outflow at the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base

if TYPE_CHECKING:
    from bench.data.fields import Fields


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
    data_source = (
        "Generated: finite volumes with a stiff integrator, extrapolated from two grids, float64, from constant initial "
        "states drawn from U(0, 0.2). Or PDEBench's `1D_diff-sorp_NA_NA.h5`, given as task.file."
    )
    known_limits = (
        "The initial state has one degree of freedom, so the trajectories form a curve. PDEBench's paper prints the right "
        "boundary condition as u = D u_x, which is ill-posed; its code and this task have u = -D u_x."
    )
    reference_error = (
        "Below 1e-6 of the field in the first frame and 1e-8 in the last, on 128 points against 3456 (measured at 21 "
        "frames). With `faithful` it is about 3e-2 in the first frame."
    )

    def shard(self, start: int, count: int) -> Fields:
        from tasks.pde.generate import diffusion_sorption

        p = self.params
        seed = base.DATA_SEED + start
        return diffusion_sorption.generate(count, seed, p.points, p.frames, p.final_time, p.faithful)
