"""`pinn/taylor_green`: vortices that decay, a solution of the unsteady Navier-Stokes equations in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.pinn.base import WORST, Pinn

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.pinn.vortices import Moments, Vortices

SHOWN = 32  # places of an exhibit along each side


@dataclass
class Params:
    """evals: evaluations of the loss with its gradient, the budget. points: collocation points; starts: those at t = 0. tests:
    points of the test set, and of the validation set. evaluations: on the way. drift: the speed that carries the vortices.
    """

    evals: int = 1000
    points: int = 1000
    starts: int = 256
    width: int = 24
    layers: int = 4
    tests: int = 2500
    evaluations: int = 20
    reynolds: float = 10.0
    final: float = 5.0
    drift: float = 0.0


def vortex_formulation(*, flow: Vortices, torus: Callable[[], nn.Module], points: Moments) -> nn.Module:
    """A module whose `loss()` is minimised over its parameters and whose call (x, y, t), each (n,), gives u, v, p (n, 3).

    flow: of `tasks.pinn.vortices`, which knows the initial state. torus(): a new network with `jets(x, y, t)`. A module without
    parameters is not trained.
    """
    raise NotImplementedError


class TaylorGreen(Task):
    """u = -cos x sin y e^(-2t/Re), v = sin x cos y e^(-2t/Re), p = -(cos 2x + cos 2y)/4 e^(-4t/Re) (Taylor and Green 1937), moved
    by a phase of the cell's own and carried at `drift`.
    """

    name = "pinn/taylor_green"
    Params: ClassVar[type] = Params
    presets = {
        "smoke": {"evals": 16, "points": 64, "starts": 16, "width": 8, "layers": 2, "tests": 100, "evaluations": 2},
        "small": {},
        "paper": {"evals": 50000, "points": 20000, "starts": 2000, "width": 64, "layers": 6},
    }
    metrics = (
        Metric("error", "1", "min", "L2 error of the velocity less the drift over its L2 norm, at test points and times",
               scale="log", diverged=WORST, resolution=1e-8),
        Metric("val_error", "1", "min", "the same at validation points", scale="log", diverged=WORST, resolution=1e-8),
        Metric("error_p", "1", "min", "of the pressure, at test points, both without their means at each time", scale="log"),
        Metric("initial_error", "1", "min", "largest difference from the velocity at t = 0, at test places"),
        Metric("loss", "1", "min", "least loss; losses of different formulations do not compare", scale="log"),
    )  # fmt: skip
    rank = "error"
    objective = "val_error"
    positive: ClassVar[tuple[str, ...]] = ("evals", "points", "starts", "width", "layers", "tests", "evaluations")
    slots = (
        Slot("vortex_formulation", vortex_formulation, {"_target_": "baselines.pinn.vortices.Soft"}),
        *Pinn.slots[1:],
    )
    floors = ("vortex_initial",)
    reference = "vortex_hard"
    margin = 2.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.flow((0.0, 0.0))  # its own checks

    @property
    def budget(self) -> Budget:
        return Budget("evals", self.params.evals)

    def flow(self, phase: tuple[float, float]) -> Vortices:
        """The task's flow. BenchError, naming the parameter, for one that is none."""
        from tasks.pinn.vortices import Vortices

        p = self.params
        return Vortices(p.reynolds, p.final, p.drift, phase)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """public: phases and collocation points; hidden: test and validation points (n, 3) with u, v, p there (n, 3)."""
        import torch

        p, f64 = self.params, torch.float64
        size = torch.tensor([math.tau, math.tau, p.final], dtype=f64)
        a, b = (math.tau * seeds.stream("data", "phase").uniform(2, dtype=f64)).tolist()
        inside = size * seeds.stream("data", "points").uniform(p.points, 3, dtype=f64)
        starts = math.tau * seeds.stream("data", "starts").uniform(p.starts, 2, dtype=f64)
        public = {"phase": [a, b], "x": inside[:, 0], "y": inside[:, 1], "t": inside[:, 2]}
        public |= {"start_x": starts[:, 0], "start_y": starts[:, 1]}
        hidden = {}
        for name in ("test", "val"):
            places = size * seeds.stream("data", name).uniform(p.tests, 3, dtype=f64)
            hidden[name] = {"places": places, "fields": exact(self.flow((a, b)), places)}
        return Problem(public, hidden)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.pinn.objective import train
        from tasks.pinn.torus import Torus
        from tasks.pinn.vortices import Moments

        p = self.params
        with log.phase("setup"):
            a, b = public["phase"]
            points = Moments(*(public[name] for name in Moments._fields))
            torch.manual_seed(seeds("init"))
            torus = partial(Torus, width=p.width, layers=p.layers, final=p.final)
            module = parts["vortex_formulation"](flow=self.flow((a, b)), torus=torus, points=points)
        return train(module, parts, log, p)

    def fields(self, predict: Callable[..., Any], places: Tensor) -> Tensor:
        """What `predict` gives at places (n, 3) of x, y, t: (n, 3) float64. BenchError if it is of another shape."""
        answer = predict(*places.unbind(-1))
        if answer.shape != places.shape:
            shape = tuple(answer.shape)
            raise BenchError(
                f"{self.name}: the answer has shape {shape} at {len(places)} points; it wants u, v, p at each"
            )
        return answer.double()  # type: ignore[no-any-return]

    def relative(self, answer: Tensor, truth: Tensor) -> float:
        """The L2 error of the velocity over the velocity's norm without the drift."""
        import torch

        drift = torch.tensor([self.params.drift, 0.0], dtype=truth.dtype)
        return float((answer[:, :2] - truth[:, :2]).norm() / (truth[:, :2] - drift).norm())

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        held = problem.hidden["val"]
        return {"val_error": self.relative(self.fields(predict, held["places"]), held["fields"])}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        import torch

        predict, held = solution.require_predict(), problem.hidden["test"]
        places, loss = held["places"], solution.tensors.get("loss")
        a, b = problem.public["phase"]
        start = torch.cat([places[:, :2], torch.zeros_like(places[:, 2:])], dim=1)
        given = torch.stack(self.flow((a, b)).initial(places[:, 0], places[:, 1]), dim=-1)
        return {
            "error": self.relative(self.fields(predict, places), held["fields"]),
            "val_error": self.monitor(problem, predict)["val_error"],
            "error_p": self.pressure_error(predict, (a, b)),
            "initial_error": float((self.fields(predict, start)[:, :2] - given).abs().max()),
            "loss": None if loss is None else float(loss),
        }

    def pressure_error(self, predict: Callable[..., Any], phase: tuple[float, float]) -> float:
        """Of the pressure on a grid at five times, since it is known up to a constant at each of them."""
        import torch

        off = size = 0.0
        for t in torch.linspace(0, self.params.final, 5, dtype=torch.float64).tolist():
            places = grid(t)
            answer, truth = (
                p - p.mean() for p in (self.fields(predict, places)[:, 2], exact(self.flow(phase), places)[:, 2])
            )
            off, size = off + float((answer - truth).square().sum()), size + float(truth.square().sum())
        return math.sqrt(off / size)

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """The velocity along x at the final time, solution and answer."""
        a, b = problem.public["phase"]
        places = grid(self.params.final)
        truth = exact(self.flow((a, b)), places)[:, 0].view(SHOWN, SHOWN)
        answer = self.fields(solution.require_predict(), places)[:, 0].view(SHOWN, SHOWN)
        axis = places[:SHOWN, 0]
        arrays = {"exact": truth.float(), "answer": answer.float(), "x": axis, "y": axis}
        return {"u": Exhibit("field", arrays, ("y", "x"), "1", "u at the final time, solution and answer, rows of y")}


def exact(flow: Vortices, places: Tensor) -> Tensor:
    """u, v, p (n, 3) at places (n, 3) of x, y, t."""
    import torch

    x, y, t = places.unbind(-1)
    a, b = x + flow.phase[0] - flow.drift * t, y + flow.phase[1]
    fading = torch.exp(-2 * t / flow.reynolds)
    u, v = flow.drift - a.cos() * b.sin() * fading, a.sin() * b.cos() * fading
    return torch.stack([u, v, -((2 * a).cos() + (2 * b).cos()) / 4 * fading.square()], dim=-1)


def grid(t: float) -> Tensor:
    """Places (n, 3) of x, y, t on a grid of the torus at a time, x the fastest."""
    import torch

    axis = torch.arange(SHOWN, dtype=torch.float64) * (math.tau / SHOWN)
    y, x = (part.flatten() for part in torch.meshgrid(axis, axis, indexing="ij"))
    return torch.stack([x, y, torch.full_like(x, t)], dim=-1)
