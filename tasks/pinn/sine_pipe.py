"""`pinn/sine_pipe`: steady flow through a plane pipe whose walls are a wave, driven by a pressure gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import Exhibit, Log, Metric, Problem, Slot, Solution
from bench.seeds import EntrySeeds, Seeds
from tasks.pinn.base import Pinn
from tasks.pinn.steady import APART, METRICS, Common, SteadyFlow

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.pinn.pipe import Pipe, PipePoints

PLACES = 200  # along each wall, where its velocity and its drag are read off
SHOWN = 32  # places of an exhibit along the pipe, and across


@dataclass
class Params(Common):
    """reynolds: above 0. amplitude: of the walls' wave, from 0 to below 1. edges: collocation places along each wall."""

    reynolds: float = 20.0
    amplitude: float = 0.3


def pipe_formulation(*, pipe: Pipe, strip: Callable[[], nn.Module], points: PipePoints) -> nn.Module:
    """A module whose `loss()` is minimised over its parameters and whose call (x, y), each (n,), gives u, v, p (n, 3), float64.

    pipe: of `tasks.pinn.pipe`, which knows its walls. strip(): a new network with `jets(x, y)`, periodic in x. A module without
    parameters is not trained.
    """
    raise NotImplementedError


class SinePipe(SteadyFlow):
    """Walls 1 + a cos x from the axis; the mean pressure gradient is 2 / Re, so that without a wave the largest speed is 1."""

    name = "pinn/sine_pipe"
    Params = Params
    metrics: ClassVar[tuple[Metric, ...]] = (
        *METRICS,
        Metric("drag_error", "1", "min", "relative error of the force on both walls, friction and pressure, which is the mean "
               "pressure gradient times the area", scale="log"),
    )  # fmt: skip
    slots = (
        Slot("pipe_formulation", pipe_formulation, {"_target_": "baselines.pinn.pipes.Soft"}),
        *Pinn.slots[1:],
    )
    floors = ("pipe_at_rest",)
    reference = "pipe_hard"
    margin = 1.0

    def pipe(self) -> Pipe:
        """The task's pipe. BenchError, naming the parameter, for one that is none."""
        from tasks.pinn.pipe import Pipe

        return Pipe(self.params.reynolds, self.params.amplitude)

    flow = pipe  # type: ignore[assignment]

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        from tasks.pinn.pipe_flow import solved

        return solved(self.pipe())(x, y)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """public: collocation points; hidden: test and validation points with the solution there."""
        import torch

        p, pipe = self.params, self.pipe()

        def drawn(name: str, count: int) -> Tensor:
            shares = seeds.stream("data", name).uniform(count, 2, dtype=torch.float64)
            x = math.tau * shares[:, 0]
            return torch.stack([x, (2 * shares[:, 1] - 1) * pipe.half_width(x)[0]], dim=-1)

        inside = drawn("points", p.points)
        hidden = {}
        for name in ("test", "val"):
            places = drawn(name, p.tests)
            hidden[name] = {"places": places, "fields": self.solution(*places.unbind(-1))}
        wall = torch.arange(p.edges, dtype=torch.float64) * (math.tau / p.edges)
        return Problem({"x": inside[:, 0], "y": inside[:, 1], "wall": wall}, hidden)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.pinn.objective import train
        from tasks.pinn.pipe import PipePoints
        from tasks.pinn.strip import Strip

        p = self.params
        with log.phase("setup"):
            points = PipePoints(*(public[name] for name in PipePoints._fields))
            torch.manual_seed(seeds("init"))
            strip = partial(Strip, width=p.width, layers=p.layers, half_width=1 + p.amplitude)
            module = parts["pipe_formulation"](pipe=self.pipe(), strip=strip, points=points)
        return train(module, parts, log, p)

    def score(self, problem: Problem, solution: Solution, log: Any) -> dict[str, float | None]:
        scores = super().score(problem, solution, log)
        exact = (
            2 / self.params.reynolds * 2 * math.tau
        )  # the gradient times the area between the walls, for any amplitude
        return scores | {"drag_error": abs(self.drag(solution.require_predict()) / exact - 1)}

    def wall_error(self, predict: Callable[..., Any]) -> float:
        """The largest speed along an axis on the walls, where the fluid is at rest."""
        return max(float(self.fields(predict, x, y)[:, :2].abs().max()) for x, y, _ in self.walls())

    def walls(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of the upper and the lower wall: x, y, and the normal out of the fluid (k, 2) times the wall's length over dx."""
        import torch

        x = torch.arange(PLACES, dtype=torch.float64) * (math.tau / PLACES)
        R, slope, _ = self.pipe().half_width(x)
        return [(x, side * R, torch.stack([-slope, torch.full_like(x, side)], dim=-1)) for side in (1.0, -1.0)]

    def drag(self, predict: Callable[..., Any]) -> float:
        """The force along x on both walls of a period, by central differences: -(stress times normal) over the walls."""
        import torch

        force = 0.0
        for x, y, normal in self.walls():
            fields = self.fields(predict, x, y)
            by_x, by_y = (
                (
                    self.fields(predict, x + APART * a, y + APART * b)
                    - self.fields(predict, x - APART * a, y - APART * b)
                )
                / (2 * APART)
                for a, b in ((1, 0), (0, 1))
            )
            shear = torch.stack([2 * by_x[:, 0], by_y[:, 0] + by_x[:, 1]], dim=-1) / self.params.reynolds
            along = (shear * normal).sum(dim=1) - fields[:, 2] * normal[:, 0]
            force -= float(along.mean()) * math.tau
        return force

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Both components of the velocity as fields of x and the share of the half width."""
        import torch

        x = torch.arange(SHOWN, dtype=torch.float64) * (math.tau / SHOWN)
        share = torch.linspace(-1, 1, SHOWN, dtype=torch.float64)
        grid_s, grid_x = (part.flatten() for part in torch.meshgrid(share, x, indexing="ij"))
        places = grid_x, grid_s * self.pipe().half_width(grid_x)[0]
        answer, exact = self.fields(solution.require_predict(), *places), self.solution(*places)

        def shown(i: int) -> Exhibit:
            fields = {
                name: values[:, i].float().view(SHOWN, SHOWN) for name, values in (("exact", exact), ("answer", answer))
            }
            doc = f"{'uv'[i]} of solution and answer, rows of y over the half width"
            return Exhibit("field", fields | {"x": x, "share": share}, ("share", "x"), "1", doc)

        return {"u": shown(0), "v": shown(1)}
