"""What the tasks of the family share: slots, metrics, the counted run, and how a field is scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import (
    BenchError,
    Budget,
    Curves,
    Exhibit,
    Log,
    Metric,
    Problem,
    Slot,
    Solution,
    Task,
)
from bench.seeds import EntrySeeds, Seeds

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.pinn.equation import Equation, Points

WORST = 10.0  # relative error of a run that diverged; a field of 0 has 1
VALIDATION = (16, 64)  # times and places of the validation grid, drawn
SHOWN = (24, 64)  # times and places of an exhibit


@dataclass
class Common:
    """evals: evaluations of the loss with its gradient, the budget. points: collocation points; starts: those at t = 0; edges:
    times at the ends of a period. grid_t, grid_x: the test grid. evaluations: on the way."""

    evals: int = 1000
    points: int = 1000
    starts: int = 128
    edges: int = 64
    width: int = 20
    layers: int = 4
    grid_t: int = 100
    grid_x: int = 256
    evaluations: int = 20
    final: float = 1.0


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {
        "evals": 24, "points": 64, "starts": 16, "edges": 8, "width": 8, "layers": 2, "grid_t": 8, "grid_x": 32, "evaluations": 3,
    },
    "small": {},
    "paper": {"evals": 100000, "points": 25600, "starts": 256, "edges": 100, "width": 50},
}  # fmt: skip


def formulation(*, equation: Equation, field: Callable[..., Any], points: Points) -> nn.Module:
    """A module whose `loss()` is minimised over its parameters and whose call (x, t), each (n,), gives u (n,), all float64.

    equation: of `tasks.pinn.equation`. field(layers=, periodic=): a new network of the task's width, with `jet(x, t)`. points:
    where the equation, the initial state and the ends may be asked for. A module may have `stages()`, which yields shares of the
    budget, each after it has made itself ready for that stage. One without parameters is not trained.
    """
    raise NotImplementedError


METRICS = (
    Metric("error", "1", "min", "L2 error over that of the solution without its shift, on the test grid of times and places",
           scale="log", diverged=WORST, resolution=1e-8),
    Metric("val_error", "1", "min", "the same at validation times and places, drawn for each seed", scale="log", diverged=WORST,
           resolution=1e-8),
    Metric("mean_error", "1", "min", "mean of |u - u*| on the test grid", scale="log"),
    Metric("largest_error", "1", "min", "largest |u - u*| over the largest |u*| without its shift", scale="log"),
    Metric("initial_error", "1", "min", "largest |u - u*| at t = 0"),
    Metric("gap", "1", "min", "largest difference between the two ends of the period"),
    Metric("mass_drift", "1", "min", "largest change of the mean of u from t = 0 on; undefined where reaction makes it change"),
    Metric("loss", "1", "min", "least loss of the last stage; losses of different formulations do not compare", scale="log"),
)  # fmt: skip
WIDTHS = (
    Metric(
        "modes_eulerian",
        "modes",
        "min",
        "rank that holds the exact field without its shift on the test grid to 0.001; equal for all entries",
    ),
    Metric(
        "modes_lagrangian",
        "modes",
        "min",
        "the same of the exact state on labels, plus that of the displacement, in which the mean's drift counts 1",
    ),
)


class Pinn(Task):
    """An unsteady equation on [0, 2 pi), periodic. The initial state is moved by a phase of the cell's own."""

    Params: ClassVar[type] = Common
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    rank = "error"
    objective = "val_error"
    positive: ClassVar[tuple[str, ...]] = (
        "evals", "points", "starts", "edges", "width", "layers", "grid_t", "grid_x", "evaluations",
    )  # fmt: skip
    slots = (
        Slot("formulation", formulation, {"_target_": "baselines.pinn.eulerian.Eulerian", "periodic": False}),
        Slot("optimizer", slots.optimizer, {
            "_target_": "bench.optim.named", "name": "LBFGS", "lr": 1.0, "max_iter": 100000, "history_size": 50,
            "tolerance_grad": 0.0, "tolerance_change": 1e-14, "line_search_fn": "strong_wolfe",
        }),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.cosine"}),
    )  # fmt: skip
    floors = ("pinn_initial_state",)
    margin = 2.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.equation(0.0)  # its own checks

    @property
    def budget(self) -> Budget:
        return Budget("evals", self.params.evals)

    def numbers(self) -> dict[str, Any]:
        """The fields of the `Equation` that the task's parameters fix."""
        raise NotImplementedError

    def equation(self, phase: float) -> Equation:
        """The task's equation. BenchError, naming the parameter, for one that has no solution here."""
        from tasks.pinn.equation import Equation

        return Equation(**self.numbers(), phase=phase, final=self.params.final)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """public: phase, and collocation points; hidden: the solution on the test and validation grids, rows of times."""
        import torch

        from tasks.pinn.equation import TURN
        from tasks.pinn.exact import solution

        p, f64 = self.params, torch.float64
        phase = TURN * float(seeds.stream("data", "phase").uniform(1, dtype=f64))
        drawn = seeds.stream("data", "points")
        public = {
            "phase": phase,
            "x": TURN * drawn.uniform(p.points, dtype=f64),
            "t": p.final * drawn.uniform(p.points, dtype=f64),
            "start": torch.arange(p.starts, dtype=f64) * (TURN / p.starts),
            "edge": torch.linspace(0, p.final, p.edges, dtype=f64),
        }
        held, equation = seeds.stream("data", "validation"), self.equation(phase)
        t, x = (
            (n * held.uniform(k, dtype=f64)).sort().values for k, n in zip(VALIDATION, (p.final, TURN), strict=True)
        )
        hidden = {
            "test": solution(equation, *self.grid()),
            "val": {"t": t, "x": x, "u": solution(equation, t, x)},
        }
        return Problem(public, hidden)

    def grid(self) -> tuple[Tensor, Tensor]:
        """Times (grid_t,) and places (grid_x,) of the test grid, which is the same for all seeds."""
        import torch

        p = self.params
        times = torch.linspace(0, p.final, p.grid_t, dtype=torch.float64)
        return times, torch.arange(p.grid_x, dtype=torch.float64) * (math.tau / p.grid_x)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.pinn.equation import Points
        from tasks.pinn.network import Field
        from tasks.pinn.objective import train

        p = self.params
        with log.phase("setup"):
            equation = self.equation(public["phase"])
            points = Points(*(public[name] for name in Points._fields))
            torch.manual_seed(seeds("init"))
            field = partial(Field, width=p.width, layers=p.layers, final=p.final, curved=bool(equation.nu))
            module = parts["formulation"](equation=equation, field=field, points=points)
        return train(module, parts, log, p)

    def field(self, predict: Callable[..., Any], t: Tensor, x: Tensor) -> Tensor:
        """What `predict` gives on a grid, (m, n) float64. BenchError if it is of another shape."""
        places, times = x.repeat(len(t)), t.repeat_interleave(len(x))
        u = predict(places, times)
        if u.shape != places.shape:
            shape = tuple(u.shape)
            raise BenchError(
                f"{self.name}: the field has shape {shape} at {len(places)} points; it wants one value a point"
            )
        return u.double().view(len(t), len(x))

    def relative(self, u: Tensor, exact: Tensor) -> float:
        """The L2 error over that of a field that is the shift alone."""
        return float((u - exact).norm() / (exact - self.equation(0.0).shift).norm())

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        held = problem.hidden["val"]
        return {"val_error": self.relative(self.field(predict, held["t"], held["x"]), held["u"])}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        import torch

        predict, exact, equation = (
            solution.require_predict(),
            problem.hidden["test"],
            self.equation(problem.public["phase"]),
        )
        t, x = self.grid()
        u = self.field(predict, t, x)
        ends = self.field(predict, t, torch.tensor([0.0, math.tau], dtype=t.dtype))
        mean = u.mean(dim=1)
        loss = solution.tensors.get("loss")
        return {
            "error": self.relative(u, exact),
            "val_error": self.monitor(problem, predict)["val_error"],
            "mean_error": float((u - exact).abs().mean()),
            "largest_error": float((u - exact).abs().max() / (exact - equation.shift).abs().max()),
            "initial_error": float((u - exact)[0].abs().max()),
            "gap": float((ends[:, 1] - ends[:, 0]).abs().max()),
            "mass_drift": None if equation.rho else float((mean - mean[0]).abs().max()),
            "loss": None if loss is None else float(loss),
        }

    def widths(self, problem: Problem) -> dict[str, float | None]:
        """Ranks of the exact field, on places and on labels, of what differs from the shift and from the mean's drift."""
        from tasks.pinn.exact import characteristics, modes

        (t, x), equation = self.grid(), self.equation(problem.public["phase"])
        d, u = characteristics(equation, t, x)
        moved = d - equation.drift * t[:, None]
        return {
            "modes_eulerian": modes(problem.hidden["test"] - equation.shift),
            "modes_lagrangian": modes(u - equation.shift) + modes(moved) + bool(equation.drift),
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """The solution and the answer as fields, and both at the final time."""
        predict, exact, (t, x) = solution.require_predict(), problem.hidden["test"], self.grid()
        rows, columns = (max(1, math.ceil(n / most)) for n, most in zip(exact.shape, SHOWN, strict=True))
        times, places = t[::rows], x[::columns]
        u, thinned = self.field(predict, times, places), exact[::rows, ::columns]
        last = self.field(predict, t[-1:], x)[0]
        return {
            "field": Exhibit(
                "field", {"exact": thinned.float(), "answer": u.float(), "t": times, "x": places}, ("t", "x"), "1",
                "the solution and the answer, rows of times",
            ),
            "final": Exhibit(
                "series", {"exact": exact[-1], "answer": last, "x": x}, ("x",), "1",
                "solution and answer at the final time",
            ),
        }  # fmt: skip
