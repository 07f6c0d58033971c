"""FitzHugh and Nagumo's diffusion-reaction system on (-1, 1)^2 without flux through the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base, square

if TYPE_CHECKING:
    from tasks.pde.files.fields import Fields


PAPER = {
    "points": 128, "frames": 101, "initial_step": 10, "train": 800, "valid": 100, "test": 100, "steps": 80000, "batch": 5,
    "unroll": 91, "evaluations": 50,
}  # fmt: skip


@dataclass
class Params(square.Params):
    """Du, Dv: diffusion of activator and inhibitor. k: the activator's decay. smooth: a random field that does not depend on the
    grid; false is PDEBench's white noise, one independent number a cell.
    """

    final_time: float = 5.0
    Du: float = 1e-3
    Dv: float = 5e-3
    k: float = 5e-3
    smooth: bool = True


class DiffusionReaction(base.Evolution):
    """An activator u and an inhibitor v form patterns: u_t = Du lap u + u - u^3 - k - v, v_t = Dv lap v + u - v."""

    name = "pde/diffusion_reaction_2d"
    Params = Params
    presets = {"smoke": {**base.SMOKE_2D, "final_time": 1.0}, "small": {}, "paper": PAPER}
    equation, channels, family = "diffusion_reaction", ("u", "v"), "seeds"
    dims, length, periodic, resting = 2, 2.0, False, 0.01
    metrics = base.metrics_of("u", "v")
    reference = "classical"
    margin = 2.0

    def shard(self, count: int, seed: int) -> Fields:
        from tasks.pde.generate import diffusion_reaction

        p = self.params
        return diffusion_reaction.generate(count, seed, p.points, p.frames, p.final_time, p.smooth, p.Du, p.Dv, p.k)
