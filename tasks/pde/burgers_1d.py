"""Viscous Burgers' equation, u_t + (u^2/2)_x = (nu/pi) u_xx on (0, 1), periodic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base

if TYPE_CHECKING:
    from tasks.pde.files.fields import Fields


@dataclass
class Params(base.Params):
    """nu: pi times the diffusion coefficient, PDEBench's convention."""

    nu: float = 0.01


class Burgers(base.Evolution):
    """Waves steepen into shocks of width nu, merge and decay."""

    name = "pde/burgers_1d"
    Params = Params
    presets = {"smoke": {**base.SMOKE, "nu": 0.1}, "small": {}, "paper": base.PAPER}
    equation, attributes = "burgers", {"nu": "Nu"}
    version = 3
    reference = "spectral_512"
    margin = 3.0

    def shard(self, count: int, seed: int) -> Fields:
        import numpy as np

        from tasks.pde import fields
        from tasks.pde.files.fields import Fields
        from tasks.pde.generate import burgers

        p = self.params
        x, t = fields.grid(p.points), np.linspace(0, p.final_time, p.frames)
        waves = fields.Waves.draw(count, seed)
        return Fields(burgers.solve(waves, p.points, t, p.nu)[..., None], (x,), t, self.channels, {"Nu": p.nu})
