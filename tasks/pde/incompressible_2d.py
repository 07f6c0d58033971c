"""Incompressible Navier-Stokes on the periodic unit square with a steady random force, which carries smoke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pde import base, square

if TYPE_CHECKING:
    from tasks.pde.files.fields import Fields


PAPER = {
    "points": 256, "frames": 101, "initial_step": 10, "train": 800, "valid": 100, "test": 100, "steps": 80000, "batch": 5,
    "unroll": 20, "evaluations": 50,
}  # fmt: skip


@dataclass
class Params(square.Params):
    """nu: viscosity. faithful: the force acts in proportion to the smoke, as in PDEBench's code."""

    nu: float = 0.01
    faithful: bool = False


class Incompressible(base.Evolution):
    """Velocity and smoke, driven by a force that differs between samples and is told."""

    name = "pde/incompressible_2d"
    Params = Params
    presets = {"smoke": {**base.SMOKE_2D, "final_time": 0.4}, "small": {}, "paper": PAPER}
    equation, family = "incompressible", "seeds"
    channels = ("force_x", "force_y", "Vx", "Vy", "particles")
    constants, dims, resting = 2, 2, 0.01
    metrics = base.metrics_of("Vx", "Vy", "particles")
    reference = "classical"
    margin = 2.0

    def shard(self, count: int, seed: int) -> Fields:
        from dataclasses import replace

        import numpy as np

        from tasks.pde.generate import incompressible

        p = self.params
        made = incompressible.generate(count, seed, p.points, p.frames, p.final_time, p.nu, p.faithful)
        force = np.stack([made.constants["force_x"], made.constants["force_y"]], axis=-1)[:, None]
        force = np.broadcast_to(force, (*made.values.shape[:-1], 2))
        values = np.concatenate([force, made.values], axis=-1)
        return replace(made, values=values, names=self.channels, constants={})
