"""The compressible Navier-Stokes equations of an ideal gas in one, two and three dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.contract import BenchError
from tasks.pde import base, square

if TYPE_CHECKING:
    from tasks.pde.files.fields import Fields

PAPER_1D = {
    "points": 1024, "frames": 101, "reduced_resolution": 8, "reduced_resolution_t": 5, "initial_step": 10, "train": 8000,
    "valid": 1000, "test": 1000, "steps": 80000, "batch": 100, "unroll": 11, "evaluations": 50,
}  # fmt: skip
PAPER_2D = {
    "points": 128, "frames": 21, "reduced_resolution": 2, "initial_step": 10, "train": 8000, "valid": 1000, "test": 1000,
    "steps": 80000, "batch": 20, "unroll": 11, "evaluations": 50,
}  # fmt: skip
PAPER_3D = {
    "points": 128, "frames": 21, "reduced_resolution": 2, "initial_step": 10, "train": 80, "valid": 10, "test": 10,
    "steps": 8000, "batch": 5, "unroll": 11, "evaluations": 50,
}  # fmt: skip


@dataclass
class Params(base.Params):
    """eta, zeta: shear and bulk viscosity. mach: mean speed over that of sound, unused in one dimension.

    kind: "random", waves in all fields; "shock", two states, in one dimension; "turbulence", a stirred uniform gas, in two
    or three. boundary: "periodic" or "outgoing".
    """

    kind: str = "random"
    boundary: str = "periodic"
    eta: float = 0.01
    zeta: float = 0.01
    mach: float = 0.1
    steps: int = 500


@dataclass
class BoxParams(square.Params, Params):
    """The parameters with the sizes of two and three dimensions, which replace those of a line by the order of the bases."""


class Compressible(base.Evolution):
    """Density, pressure and velocity from a random state: sound waves, contacts, shocks."""

    equation, family, resting = "compressible", "cfd", 0.01
    attributes: ClassVar = {"eta": "eta", "zeta": "zeta"}
    reference = "classical_double"
    margin = 0.5
    refine: ClassVar[int] = 2

    @property
    def periodic(self) -> bool:  # type: ignore[override]
        """Whether the domain is a ring."""
        return bool(self.params.boundary == "periodic")

    def check(self) -> None:
        super().check()
        p = self.params
        if p.boundary not in ("periodic", "outgoing"):
            raise BenchError(f"{self.name}: boundary={p.boundary!r}; it is periodic or outgoing")

    def shard(self, count: int, seed: int) -> Fields:
        from dataclasses import replace

        from tasks.pde.generate import gas

        p = self.params
        flow = gas.Flow(
            p.kind, p.points, p.frames, p.final_time, self.dims, p.eta, p.zeta, p.mach, p.boundary, self.refine
        )
        fields = gas.generate(flow, count, seed)
        return replace(fields, attributes={"eta": p.eta, "zeta": p.zeta, "M": p.mach})


class Compressible1D(Compressible):
    """On a line of length 2."""

    name = "pde/compressible_1d"
    Params = Params
    presets = {"smoke": base.SMOKE, "small": {}, "paper": PAPER_1D}
    channels = ("density", "pressure", "Vx")
    metrics = base.metrics_of(*channels)
    length = 2.0
    refine = 4


class Compressible2D(Compressible):
    """In the unit square."""

    name = "pde/compressible_2d"
    Params = BoxParams
    presets = {"smoke": {**base.SMOKE_2D, "final_time": 0.1}, "small": {"final_time": 0.25}, "paper": PAPER_2D}
    channels = ("density", "pressure", "Vx", "Vy")
    metrics = base.metrics_of(*channels)
    dims = 2


SMALL_3D = {"points": 12, "frames": 6, "final_time": 0.2, "train": 12, "valid": 3, "test": 5, "steps": 300, "batch": 4}


class Compressible3D(Compressible):
    """In the unit cube."""

    name = "pde/compressible_3d"
    Params = BoxParams
    presets = {
        "smoke": {**base.SMOKE_2D, "points": 8, "frames": 3, "final_time": 0.1},
        "small": SMALL_3D,
        "paper": PAPER_3D,
    }
    channels = ("density", "pressure", "Vx", "Vy", "Vz")
    metrics = base.metrics_of(*channels)
    dims = 3
    reference = "classical"  # on a grid this coarse, averages of a finer solution are no closer to the data
