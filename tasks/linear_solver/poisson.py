"""The four tasks: a square and a cube with the solution 0 around it, squares with obstacles, and a square that nothing leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError
from bench.seeds import Seeds
from tasks.linear_solver.base import LinearSolver, Params

if TYPE_CHECKING:
    from torch import Tensor

SMOKE = {"side": 8, "val": 2, "test": 4, "products": 40, "training": 400, "evaluations": 1}


class Poisson2D(LinearSolver):
    """-Laplace x = b on a square."""

    name: ClassVar[str] = "linear_solver/poisson_2d"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": SMOKE,
        "small": {},
        "paper": {"side": 128, "products": 1000, "training": 2_000_000},
    }


class Poisson3D(LinearSolver):
    """-Laplace x = b on a cube."""

    name: ClassVar[str] = "linear_solver/poisson_3d"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {**SMOKE, "side": 6},
        "small": {"side": 12, "training": 10000},
        "paper": {"side": 64, "products": 1000, "training": 2_000_000},
    }
    dims = 3


class Neumann2D(LinearSolver):
    """-Laplace x = b on a square through whose border nothing flows: A maps the constant to 0, and b has mean 0."""

    name: ClassVar[str] = "linear_solver/neumann_2d"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = Poisson2D.presets
    boundary = "neumann"


@dataclass
class ObstacleParams(Params):
    """As for the square. obstacles: discs in each domain, drawn anew for every right-hand side."""

    obstacles: int = 3


class Obstacles2D(LinearSolver):
    """-Laplace x = b around discs where x = 0. Training sees the empty square only; each right-hand side has its own discs."""

    name: ClassVar[str] = "linear_solver/obstacles_2d"
    Params: ClassVar[type] = ObstacleParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {**SMOKE, "obstacles": 1},
        "small": {},
        "paper": {"side": 128, "products": 1000, "training": 2_000_000},
    }

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.obstacles < 0:
            raise BenchError(f"task.obstacles={params.obstacles}: it has to be 0 or more for {self.name}")

    def domains(self, name: str, count: int, seeds: Seeds) -> Tensor:
        import torch

        from tasks.linear_solver.sources import obstructed

        stream, p = seeds.stream("data", f"domains_{name}"), self.params
        return torch.stack([obstructed(p.side, self.dims, p.obstacles, stream) for _ in range(count)])
