"""Linear advection, u_t + beta u_x = 0 on (0, 1), periodic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base

if TYPE_CHECKING:
    from tasks.pde.files.fields import Fields


@dataclass
class Params(base.Params):
    """beta: speed, in domain lengths per unit of time."""

    beta: float = 0.4


class Advection(base.Evolution):
    """Transport at constant speed: the exact answer is a shift."""

    name = "pde/advection_1d"
    Params = Params
    presets = {"smoke": base.SMOKE, "small": {}, "paper": base.PAPER}
    equation, attributes = "advection", {"beta": "beta"}
    version = 3
    reference = "spectral_512"
    margin = 3.0

    def shard(self, count: int, seed: int) -> Fields:
        import numpy as np

        from tasks.pde import fields
        from tasks.pde.files.fields import Fields

        p = self.params
        x, t = fields.grid(p.points), np.linspace(0, p.final_time, p.frames)
        waves = fields.Waves.draw(count, seed)
        return Fields(fields.advection(waves, x, t, p.beta)[..., None], (x,), t, self.channels, {"beta": p.beta})
