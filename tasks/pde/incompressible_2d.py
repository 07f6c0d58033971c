"""Incompressible Navier-Stokes on the periodic unit square with a steady random force, which carries smoke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError
from tasks.pde import base, square

if TYPE_CHECKING:
    from pathlib import Path

    from bench.contract import Problem
    from bench.seeds import Seeds
    from tasks.pde.files.fields import Fields
    from tasks.pde.files.layout import Layout


PAPER = {
    "points": 256, "frames": 101, "initial_step": 10, "train": 800, "valid": 100, "test": 100, "steps": 80000, "batch": 5,
    "unroll": 20, "evaluations": 50,
}  # fmt: skip


@dataclass
class Params(square.Params):
    """nu: viscosity. faithful: the force acts in proportion to the smoke, as in PDEBench's code. boundary: "periodic", or
    "walls", at which the velocity is 0, as in PDEBench's files.
    """

    nu: float = 0.01
    faithful: bool = False
    boundary: str = "periodic"


class Incompressible(base.Evolution):
    """Velocity and smoke, driven by a force that differs between samples and is told."""

    name = "pde/incompressible_2d"
    Params = Params
    presets = {"smoke": {**base.SMOKE_2D, "final_time": 0.4}, "small": {}, "paper": PAPER}
    equation, attributes, family = "incompressible", {"nu": "nu"}, "seeds"
    channels = ("force_x", "force_y", "Vx", "Vy", "particles")
    constants, dims, resting = 2, 2, 0.01
    metrics = base.metrics_of("Vx", "Vy", "particles")
    reference = "classical"
    margin = 2.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.boundary == "walls":
            self.reference = ""
            self.unanchored = "no solver here knows the flow between walls"

    @property
    def periodic(self) -> bool:  # type: ignore[override]
        """Whether the square is a torus."""
        return bool(self.params.boundary == "periodic")

    def check(self) -> None:
        super().check()
        p = self.params
        if p.boundary not in ("periodic", "walls"):
            raise BenchError(f"{self.name}: boundary={p.boundary!r}; it is periodic or walls")
        if p.boundary == "walls" and not p.file:
            raise BenchError(f"{self.name}: data with walls are not generated; give PDEBench's file as task.file=PATH")

    def match(self, path: Path, held: Layout) -> None:
        from dataclasses import replace

        p = self.params
        if held.family == "incompressible" and not (p.boundary == "walls" and p.faithful):
            raise BenchError(
                f"{path}: PDEBench's flow has walls and a force in proportion to the smoke; to use this file set "
                "task.boundary=walls task.faithful=true"
            )
        attributes = {name.lower(): value for name, value in held.attributes.items()}
        super().match(path, replace(held, names=(*held.constants, *held.names), attributes={"nu": p.nu, **attributes}))

    def problem(self, data: Fields, seeds: Seeds) -> Problem:
        """The force as the first two channels, which do not change."""
        return super().problem(data.joined(), seeds)

    def shard(self, count: int, seed: int) -> Fields:
        from dataclasses import replace

        import numpy as np

        from tasks.pde.generate import incompressible

        p = self.params
        flow = incompressible.generate(count, seed, p.points, p.frames, p.final_time, p.nu, p.faithful)
        force = np.stack([flow.constants["force_x"], flow.constants["force_y"]], axis=-1)[:, None]
        force = np.broadcast_to(force, (*flow.values.shape[:-1], 2))
        values = np.concatenate([force, flow.values], axis=-1)
        return replace(flow, values=values, names=self.channels, constants={})
