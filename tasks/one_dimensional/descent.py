"""`one_dimensional/f1`, `f2`, `f3`: from points left of the global minimum, does a rule stop there, fall short or run past it?"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds

if TYPE_CHECKING:
    from torch import Tensor

NEAR = 0.05  # a point this near to the global minimum has reached it; the next minimum of each function is 0.5 or more away
SHOWN = 12  # starts whose paths the exhibit shows


@dataclass
class Params:
    """starts: points of each of the two sets, validation and test. low, high: they are uniform in between. steps: updates."""

    starts: int = 200
    low: float = -1.05
    high: float = -0.95
    steps: int = 300
    evaluations: int = 10


class Descent(Task):
    """All starts descend side by side as the elements of one float64 parameter, whose loss is the sum of their values: the
    gradient of each is its own derivative, and a rule that works element by element treats each as if it were alone.
    """

    Params = Params
    function: ClassVar[str]
    positive = ("starts", "steps", "evaluations")
    presets = {"smoke": {"starts": 20, "steps": 100, "evaluations": 2}, "small": {}, "paper": {"starts": 10000}}
    metrics = (
        Metric("gap", "1", "min", "value at the end less the function's least, mean over test starts", diverged=10.0,
               resolution=1e-6),
        Metric("val_gap", "1", "min", "the same over validation starts", diverged=10.0, resolution=1e-6),
        Metric("reached", "1", "max", f"share of test starts that end within {NEAR} of the global minimum", diverged=0.0,
               sample="starts"),
        Metric("beyond", "1", "min", f"share of test starts that end more than {NEAR} to the right of it", diverged=1.0,
               sample="starts"),
        Metric("multiplier", "1", "max", "sigmoid of the size of the gradient's change, mean over starts and steps"),
    )  # fmt: skip
    rank = "gap"
    objective = "val_gap"
    slots = (
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 1e-2}),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.constant"}),
    )
    floors = ("untrained",)
    reference = "plain_adam"
    margin = 0.3

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if not params.low < params.high:
            raise BenchError(f"task.low={params.low}: it has to be below task.high={params.high}")

    @property
    def budget(self) -> Budget:
        """Evaluations of the gradient of all starts."""
        return Budget("evals", self.params.steps)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """public: starts (2, starts), validation above test. A start is where a run begins, so that both are known to it."""
        import torch

        p = self.params
        sets = [seeds.stream("data", name).uniform(p.starts, dtype=torch.float64) for name in ("val", "test")]
        return Problem({"starts": p.low + (p.high - p.low) * torch.stack(sets)}, {})

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from bench.train import fit
        from tasks.one_dimensional.functions import FUNCTIONS, Walker
        from tasks.vision.gradient_change import GradientChange

        p, function = self.params, FUNCTIONS[self.function]
        with log.phase("setup"):
            walker = Walker(public["starts"])
            optimizer = parts["optimizer"](model=walker, steps=p.steps)
            change = GradientChange(walker, log)
        path = [walker.x[1, :SHOWN].detach().clone()]

        def loss(batch: Any) -> Tensor:
            log.count(evals=1)
            return function(walker.x).sum()

        def follow(step: int) -> None:
            change(step)
            path.append(walker.x[1, :SHOWN].detach().clone())

        solution = fit(
            walker, optimizer, loss, itertools.repeat(public["starts"]), p.steps, log,
            forward=lambda starts: walker.x.detach().clone(), samples=lambda batch: batch.numel(),
            schedule=parts["schedule"], eval_every=max(1, p.steps // p.evaluations), at_step=follow,
        )  # fmt: skip
        solution.tensors = {"path": torch.stack(path), "change": change.table()}
        return solution

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        return {"val_gap": float(self.gaps(self.ends(problem, predict))[0].mean())}

    def ends(self, problem: Problem, predict: Callable[..., Any]) -> Tensor:
        """(2, starts), where the points are. BenchError unless `predict` returns one for each start."""
        starts = problem.public["starts"]
        ends: Tensor = predict(starts)
        if ends.shape != starts.shape:
            raise BenchError(f"{self.name}: predict returned {tuple(ends.shape)} for starts {tuple(starts.shape)}")
        return ends

    def gaps(self, x: Tensor) -> Tensor:
        """F(x) less the least value of F."""
        import torch

        from tasks.one_dimensional.functions import FUNCTIONS, LOWEST

        function = FUNCTIONS[self.function]
        return function(x) - function(torch.tensor(LOWEST[self.function], dtype=x.dtype))

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.one_dimensional.functions import LOWEST

        ends = self.ends(problem, solution.require_predict())
        gaps, beyond = self.gaps(ends).mean(1), ends[1] - LOWEST[self.function]
        change = log.curve("multiplier_now")[1]
        return {
            "gap": float(gaps[1]),
            "val_gap": float(gaps[0]),
            "reached": float((beyond.abs() < NEAR).double().mean()),
            "beyond": float((beyond >= NEAR).double().mean()),
            "multiplier": sum(change) / len(change) if change else None,
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """The function, and the paths of the first test starts."""
        import torch

        from tasks.one_dimensional.functions import FUNCTIONS

        x = torch.linspace(-1.2, 1.2, 241, dtype=torch.float64)
        shown = {
            "function": Exhibit(
                "series", {"value": FUNCTIONS[self.function](x), "x": x}, ("x",), "1", f"the function {self.function}"
            )
        }
        if "path" in solution.tensors:
            path = solution.tensors["path"]
            step = torch.arange(len(path))
            every = max(1, len(path) // 300)
            arrays = {"x": path[::every].T, "step": step[::every], "start": path[0]}
            shown["paths"] = Exhibit("series", arrays, ("start", "step"), "1", "where the first test starts walk")
        return shown


class F1(Descent):
    """Two parabolas: 0 at -0.3, a local minimum of 0.05 at 0.2."""

    name = "one_dimensional/f1"
    function = "f1"


class F2(Descent):
    """A cliff left of -0.9, then a wave: 0.0001 at -0.643, local minima of 0.85 at 0 and above."""

    name = "one_dimensional/f2"
    function = "f2"
    margin = 3.0


class F3(Descent):
    """A parabola with two ridges around a kink: 0 at 0, local minima of 0.25 at -0.5 and 0.5."""

    name = "one_dimensional/f3"
    function = "f3"
