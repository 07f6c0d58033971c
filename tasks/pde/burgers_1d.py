"""Viscous Burgers' equation, u_t + (u^2/2)_x = (nu/pi) u_xx on (0, 1), periodic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base

if TYPE_CHECKING:
    from bench.data.fields import Fields


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
    version = 2
    reference = "spectral_512"
    margin = 3.0
    data_source = (
        "Generated: the Cole-Hopf solution, marched in float64, of random sums of two sines (wave numbers 1-4), stored as "
        "float32. Or a PDEBench file `1D_Burgers_Sols_Nu*.hdf5`, given as task.file."
    )
    known_limits = (
        "The stored grid samples shocks that it may not resolve (width 0.01 at nu = 0.01), as PDEBench's strided data "
        "do. The generated set lacks PDEBench's rectified and windowed samples. PDEBench files from before November 2023 may "
        "lie on (-1, 1) (issue 51 of its repository)."
    )
    reference_error = (
        "Generated data are exact to 1e-11 of a frame and 1e-15 of the initial state, before they are rounded to float32 "
        "(tested against the Cole-Hopf integral and a spectral scheme). PDEBench's files come from a second-order "
        "finite-volume scheme in float32, whose error is not stated there."
    )

    def shard(self, start: int, count: int) -> Fields:
        import numpy as np

        from bench.data.fields import Fields
        from tasks.pde import fields
        from tasks.pde.generate import burgers

        p = self.params
        x, t = fields.grid(p.points), np.linspace(0, p.final_time, p.frames)
        waves = fields.Waves.draw(self.samples, base.DATA_SEED).pick(slice(start, start + count))
        return Fields(burgers.solve(waves, p.points, t, p.nu)[..., None], (x,), t, self.channels, {"Nu": p.nu})
