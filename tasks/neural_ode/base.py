"""What the tasks share: slots, metrics, the run, and how weights are scored.

A cell is scored by its weights alone: the scorer solves the equation of the test problem at the task's tolerance and counts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench import slots
from bench.contract import BenchError, Budget, Curves, Diverged, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds
from tasks.neural_ode.parts import END_TIME, REGULARIZER

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.neural_ode.network import Network
    from tasks.neural_ode.paths import Path

STEPS = 200  # that a solution may take; one of more counts as failed
WORST = 1202.0  # evaluations that such a solution of an ordinary equation costs
SERVED = 3  # predictions of the test set whose time is booked


@dataclass
class Params:
    """width, depth: tanh units of a layer, and layers. tolerance: of the solver, absolute and relative. steps: updates. batch:
    samples of one. evaluations: over the run. required: the quality from which on evaluations count.
    """

    width: int = 32
    depth: int = 2
    tolerance: float = 1e-6
    steps: int = 200
    batch: int = 128
    evaluations: int = 10
    required: float = 0.95


class Flow(Task):
    """A network that is the right side of a differential equation. Subclasses make data, network, loss and quality."""

    positive: ClassVar[tuple[str, ...]] = ("width", "depth", "tolerance", "steps", "batch", "evaluations", "required")
    slots = (
        REGULARIZER,
        END_TIME,
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 1e-2}),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.constant"}),
        Slot("procedure", slots.procedure, excludes=("flow_regularizer", "end_time", "optimizer", "schedule")),
    )
    rank = "test_evaluations"
    objective = "val_evaluations"
    floors = ("untrained",)
    reference = "unregularized_flow"
    margin = 0.5
    quality: ClassVar[str] = "accuracy"  # or "error", which is better where it is smaller
    worst: ClassVar[float] = 0.0  # quality of a solution that fails

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    @abstractmethod
    def network(self) -> Network:
        """The network of the task's sizes."""

    @abstractmethod
    def batches(self, public: Mapping[str, Any], generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless (states at the start (batch, d), targets)."""

    @abstractmethod
    def loss(self, answer: Tensor, target: Tensor) -> Tensor:
        """The loss of an answer, a scalar."""

    def answer(self, network: Network, outputs: Tensor) -> Tensor:
        """What is said of the states `outputs` (times, batch, d): the states themselves, unless a task has a head."""
        return outputs

    @abstractmethod
    def times(self) -> Tensor:
        """At which a training solution is asked for, the start first, float64."""

    @abstractmethod
    def prediction(self, network: Network, state: Tensor, times: Tensor, count: Callable[..., Any] | None) -> Path:
        """The solution that is asked for at the end, without a graph; seeded by nothing but its arguments."""

    @abstractmethod
    def question(self, part: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """(states, times) of a held-back set."""

    @abstractmethod
    def judge(self, answer: Tensor, part: Mapping[str, Any]) -> float:
        """Quality of an answer on a held-back set."""

    def solve(self, network: Network, state: Tensor, times: Tensor, generator: Generator, log: Log) -> Path:
        """The solution of an update, with a graph. generator: of what the equation itself draws."""
        from tasks.neural_ode import ordinary

        limit, how = ordinary.limit_of(STEPS), getattr(self.params, "sensitivity", "backpropagation")
        return ordinary.solve(network.field, state, times, self.params.tolerance, limit, how, log.count)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        """Fits the weights; every update solves one equation, and its evaluations are counted and tracked."""
        import torch

        from bench.train import evaluation, fit

        p = self.params
        with log.phase("setup"):
            network = self.network().draw(torch.Generator().manual_seed(seeds("init")))
            optimizer = parts["optimizer"](model=network, steps=p.steps)
            own = torch.Generator().manual_seed(seeds("noise"))  # of the parts
            motion = torch.Generator().manual_seed(seeds("noise") ^ 1)  # of the equation
            asked, step = self.times(), 0

        def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
            nonlocal step
            state, target = batch
            path = self.solve(network, state, ended(asked, parts["end_time"], own), motion, log)
            penalty = parts["flow_regularizer"](path=path, generator=own, progress=step / p.steps)
            step += 1
            log.track(step, evaluations=path.solver_evaluations)
            return self.loss(self.answer(network, path.outputs), target) + penalty

        def predict(state: Tensor, times: Tensor) -> Tensor:
            try:
                outputs = self.prediction(network, state, times, log.count).outputs
            except Diverged:  # a later update may still mend a field that cannot be solved now
                outputs = state.new_full((len(times), *state.shape), torch.nan)
            return self.answer(network, outputs)

        made = fit(
            network, optimizer, loss, self.batches(public, torch.Generator().manual_seed(seeds("order"))), p.steps, log,
            forward=predict, schedule=parts["schedule"], eval_every=max(1, p.steps // p.evaluations),
        )  # fmt: skip
        with evaluation(network, optimizer):
            made.tensors["weights"] = network.vector()
        return made

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        part = problem.hidden["val"]
        quality = self.judge(predict(*self.question(part)), part)
        return {f"val_{self.quality}": quality if isfinite(quality) else self.worst}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        network = self.network()
        if not network.load(solution.tensors.get("weights")):
            return {self.rank: float("nan")}  # a diverged run
        scores: dict[str, float | None] = {
            "step_evaluations": log.counts.get("evals", 0) / max(1, log.counts.get("steps", 0))
        }
        for name in ("val", "test"):
            part = problem.hidden[name]
            try:
                path = self.prediction(network, *self.question(part), None)
            except Diverged:
                quality, evaluations = self.worst, WORST
            else:
                quality = self.judge(self.answer(network, path.outputs).detach(), part)
                evaluations = float(path.solver_evaluations)
            scores[f"{name}_{self.quality}"] = quality
            scores[f"{name}_evaluations"] = min(evaluations, WORST) if self.reached(quality) else WORST
        scores["prediction_evaluations"] = evaluations
        if solution.predict is not None and evaluations < WORST:
            for _ in range(SERVED):
                solution.predict(*self.question(problem.hidden["test"]))
        return scores

    def reached(self, quality: float) -> bool:
        """Whether a quality is at least what is required."""
        required: float = self.params.required
        return quality >= required if self.quality == "accuracy" else quality <= required

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Where the solver steps on the test problem."""
        import torch

        network = self.network()
        network.load(solution.tensors["weights"])
        steps = self.prediction(network, *self.question(problem.hidden["test"]), None).steps
        arrays = {"time": torch.stack([s.start for s in steps]), "size": torch.stack([s.size for s in steps])}
        return {
            "steps": Exhibit(
                "series", arrays, ("time",), "time", "sizes of the steps that the solver accepted on test data"
            )
        }


def ended(times: Tensor, end_time: Callable[..., float], generator: Generator) -> Tensor:
    """`times` with the last one as the slot `end_time` has it; BenchError unless it is above the one before, and finite."""
    before, end = float(times[-2]), float(times[-1])
    drawn = float(end_time(before=before, end=end, generator=generator))
    if not before < drawn < float("inf"):
        raise BenchError(f"end_time returned {drawn}; it has to be finite and above {before}")
    moved = times.clone()
    moved[-1] = drawn
    return moved


def metrics(quality: Literal["accuracy", "error"], doc: str, worst: float) -> tuple[Metric, ...]:
    """The metrics of a task by the name of its quality, of which `doc` is the sentence; worst: of a run that diverged."""
    accuracy = quality == "accuracy"
    better: Literal["min", "max"] = "max" if accuracy else "min"
    scale: Literal["linear", "log"] = "linear" if accuracy else "log"
    rule = f"evaluations of the field that solving the test problem takes, {WORST:g} where test {quality} misses `required`"

    def judged(name: str, sentence: str) -> Metric:
        return Metric(f"{name}_{quality}", "1", better, sentence, scale, diverged=worst, sample=name if accuracy else 0)

    def spent(name: str, sentence: str) -> Metric:
        return Metric(name, "evaluations", "min", sentence, "log", diverged=WORST)

    return (
        spent("test_evaluations", rule),
        spent("val_evaluations", "the same of validation data"),
        judged("test", doc),
        judged("val", "the same on validation data"),
        spent("prediction_evaluations", f"those of the test problem, whatever the {quality}"),
        spent("step_evaluations", "evaluations of the field that an update took: solution, penalty and adjoint"),
    )
