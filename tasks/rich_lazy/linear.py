"""`rich_lazy/linear`: a two-layer linear network learns a linear teacher; kernel and exceptions in closed form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.rich_lazy.parts import CHANGES, changes, initial, shared_slots

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Params:
    """inputs, hidden: width of the layers. samples: to train on, all at every step. steps: of gradient descent. gain: g0 of
    the first layer. readout: deviation of the second layer's initial weights. noise: deviation of the labels' noise.
    val, test: samples held back. evaluations: over the run.
    """

    inputs: int = 20
    hidden: int = 200
    samples: int = 200
    steps: int = 1000
    gain: float = 0.2
    readout: float = 0.01
    noise: float = 0.1
    val: int = 1000
    test: int = 4000
    evaluations: int = 10

    def __post_init__(self) -> None:
        if self.samples < self.inputs:
            raise BenchError(
                f"task.samples={self.samples}: fewer than task.inputs={self.inputs} do not determine the solution; take more"
            )
        for name in ("readout", "noise"):
            if not getattr(self, name) >= 0:
                raise BenchError(f"task.{name}={getattr(self, name)}: a deviation is 0 or more")


def orientation(*, weight: Tensor, target: Tensor) -> Tensor:
    """The drawn first layer (rows, columns), turned towards `target` (columns,): the data's least-squares solution."""
    raise NotImplementedError


class Linear(Task):
    """Gradient descent of f(x) = a' W x, a near 0, on noisy labels of a linear teacher of norm 1; float64."""

    name = "rich_lazy/linear"
    version = 2
    Params: ClassVar[type] = Params
    presets = {
        "smoke": {"inputs": 8, "hidden": 24, "samples": 40, "steps": 60, "val": 100, "test": 200, "evaluations": 2},
        "small": {},
        "paper": {"hidden": 1000, "samples": 1000, "steps": 10000},
    }
    metrics = (
        Metric(
            "test_loss", "1", "min", "mean squared error against the teacher on test inputs", "log", diverged="first"
        ),
        Metric(
            "val_loss", "1", "min", "mean squared error against the teacher on validation inputs", "log", diverged=1.0
        ),
        *CHANGES,
        Metric("balance_drift", "1", "min", "change of W W' - a a', relative; 0 under gradient flow", source="probe"),
    )
    rank = "test_loss"
    objective = "val_loss"
    positive = ("inputs", "hidden", "steps", "val", "test", "evaluations")
    slots = shared_slots(0.02, 0.0, Slot("orientation", orientation, {"_target_": "tasks.rich_lazy.draws.as_drawn"}))
    probes = {"changes": "tasks.rich_lazy.two_layers.probe"}
    floors = ("untrained",)
    reference = "full_rank_init"
    margin = 2.0

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p = self.params
        teacher = seeds.stream("data", "teacher").normal(p.inputs, dtype=torch.float64)
        teacher /= teacher.norm()
        train = seeds.stream("data", "train")
        x = train.normal(p.samples, p.inputs, dtype=torch.float64)
        y = x @ teacher + p.noise * train.normal(p.samples, dtype=torch.float64)
        hidden = {}
        for name, count in (("val", p.val), ("test", p.test)):
            inputs = seeds.stream("data", name).normal(count, p.inputs, dtype=torch.float64)
            hidden[name] = (inputs, inputs @ teacher)
        return Problem({"x": x, "y": y, "budget": self.budget.limit}, hidden)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import itertools

        import torch

        from bench.train import fit
        from tasks.rich_lazy.two_layers import TwoLayers

        p, x, y = self.params, public["x"], public["y"]
        with log.phase("setup"):
            generator = torch.Generator().manual_seed(seeds("init"))
            first = initial(parts["rank_init"], p.hidden, p.inputs, p.gain, generator).double()
            # The normal equations: LAPACK's least squares differ in the last bits with where its work arrays lie.
            target = torch.linalg.solve(x.T @ x, x.T @ y)
            first = parts["orientation"](weight=first, target=target)
            second = p.readout * torch.randn(p.hidden, generator=generator, dtype=torch.float64)
            network = TwoLayers(first, second)
            stepper = parts["optimizer"](model=network, steps=p.steps)
            start = (first.clone(), second.clone())

        def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
            return (network(batch[0]) - batch[1]).square().mean() / 2

        return fit(
            network, stepper, loss, itertools.repeat((x, y)), p.steps, log,
            eval_every=max(1, p.steps // p.evaluations), probe_state={"model": network, "start": start, "inputs": x},
        )  # fmt: skip

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        return {f"{name}_loss": squared_error(predict, *problem.hidden[name]) for name in ("val", "test")}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        drifts = log.curve("balance_drift")[1]
        return {
            **self.monitor(problem, solution.require_predict()),
            **changes(log),
            "balance_drift": drifts[-1] if drifts else None,
        }


def squared_error(predict: Callable[..., Any], x: Tensor, y: Tensor) -> float:
    """Mean of (predict(x) - y)^2. BenchError unless predictions have the shape of y (samples,)."""
    prediction = predict(x)
    if prediction.shape != y.shape:
        raise BenchError(f"predict returned {tuple(prediction.shape)}; one number a sample is wanted: {tuple(y.shape)}")
    return float((prediction - y).square().mean())
