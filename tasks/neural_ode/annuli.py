"""`neural_ode/annuli`: a disc and the ring around it, told apart by where a flow carries their points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import Exhibit, Problem, Solution
from bench.seeds import Seeds, Stream
from tasks.neural_ode import base
from tasks.neural_ode.base import metrics
from tasks.neural_ode.classes import Classes

if TYPE_CHECKING:
    from torch import Tensor

INNER, BETWEEN, OUTER = 0.5, 1.0, 1.5  # radii: the disc ends, the ring begins, the ring ends
GRID = 41  # points of the exhibit's grid a side


@dataclass
class Params(base.Params):
    """train, val, test: points. augmented: coordinates of the state that start at 0. sensitivity: `backpropagation` through the
    solver, or `adjoint`. The others are the family's.
    """

    train: int = 512
    val: int = 512
    test: int = 512
    augmented: int = 2
    sensitivity: str = "backpropagation"


class Annuli(Classes):
    """Points of the plane, half in a disc, half in a ring around it: no flow of the plane itself can part them."""

    name = "neural_ode/annuli"
    Params = Params
    inputs = 2
    classes = 2
    presets = {
        "smoke": {"train": 64, "val": 32, "test": 32, "width": 8, "steps": 4, "batch": 16, "tolerance": 1e-3, "evaluations": 2,
                  "required": 0.5},
        "small": {},
        "paper": {"train": 4096, "val": 1024, "test": 4096, "width": 128, "steps": 2000, "batch": 512, "tolerance": 1e-8},
    }  # fmt: skip
    metrics = metrics("accuracy", "share of test points classified right", 0.0)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        p = self.params
        hidden = {name: points(getattr(p, name), seeds.stream("data", name)) for name in ("train", "val", "test")}
        return Problem(hidden.pop("train"), hidden)

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Where the network sees the ring, and where the solver steps."""
        import torch

        network = self.network()
        network.load(solution.tensors["weights"])
        side = torch.linspace(-2.0, 2.0, GRID, dtype=torch.float64)
        state, times = self.question({"x": torch.cartesian_prod(side, side)})
        logits = self.answer(network, self.prediction(network, state, times, None).outputs).detach()
        arrays = {"ring": logits.softmax(-1)[:, 1].view(GRID, GRID), "x": side, "y": side}
        field = Exhibit(
            "field",
            arrays,
            ("x", "y"),
            "1",
            "probability of the ring; the disc ends at 0.5, the ring lies from 1 to 1.5",
        )
        return {"ring": field, **super().exhibit(problem, solution)}


def points(count: int, stream: Stream) -> dict[str, Tensor]:
    """`x` (count, 2) float64, uniform in area over the disc or the ring, and `y` (count,), 1 for the ring."""
    import torch

    y = stream.permutation(count) % 2
    share, angle = stream.uniform(2, count, dtype=torch.float64)
    low, high = torch.where(y == 1, BETWEEN**2, 0.0), torch.where(y == 1, OUTER**2, INNER**2)
    radius, angle = (low + share * (high - low)).sqrt(), 2 * torch.pi * angle
    return {"x": torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), "y": y}
