"""Fisher and KPP's equation, u_t = nu u_xx + rho u (1 - u) on (0, 1), periodic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base

if TYPE_CHECKING:
    from tasks.pde.files.fields import Fields


PAPER = {"frames": 101, "final_time": 1.0, "reduced_resolution_t": 1, "initial_step": 5, "unroll": 96}


@dataclass
class Params(base.Params):
    """nu: diffusion. rho: growth. faithful: PDEBench's float32 scheme, whose reaction stops on a fine grid."""

    nu: float = 0.5
    rho: float = 1.0
    faithful: bool = False
    steps: int = 500


class ReactionDiffusion(base.Evolution):
    """Diffusion evens the field out, growth lifts it towards 1."""

    name = "pde/reaction_diffusion_1d"
    Params = Params
    presets = {"smoke": base.SMOKE, "small": {}, "paper": {**base.PAPER, **PAPER}}
    equation, attributes = "reaction_diffusion", {"nu": "Nu", "rho": "rho"}
    reference = "classical"
    margin = 3.0

    def shard(self, count: int, seed: int) -> Fields:
        from tasks.pde.generate import reaction_diffusion

        p = self.params
        return reaction_diffusion.generate(count, seed, p.points, p.frames, p.final_time, p.nu, p.rho, p.faithful)
