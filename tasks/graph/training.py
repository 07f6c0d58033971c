"""What the tasks share that train a graph network: parameters, slots, metrics, and the run."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import BenchError, Budget, Curves, Diverged, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds
from tasks.graph.parts import INIT, NORM

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.graph.network import Network


@dataclass
class Params:
    """layer: gcn, sage, gin or gat. depth: layers. hidden: outputs of all but the last. steps: updates, each of the whole graph.
    evaluations: over the run.
    """

    layer: str = "gcn"
    depth: int = 8
    hidden: int = 64
    steps: int = 100
    evaluations: int = 10


class Trained(Task):
    """A graph network trained for a number of updates, from initial weights under test. Subclasses make data and loss."""

    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = ("depth", "hidden", "steps", "evaluations")
    slots = (
        INIT,
        NORM,
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 1e-2}),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.constant"}),
        Slot("procedure", slots.procedure, excludes=("graph_init", "graph_norm", "optimizer", "schedule")),
    )
    floors = ("untrained",)
    reference = "plain_adam"

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    @abstractmethod
    def widths(self, public: Mapping[str, Any]) -> tuple[int, int]:
        """(features of a node, outputs of the network)."""

    @abstractmethod
    def loss(self, outputs: Tensor, public: Mapping[str, Any], generator: Generator) -> Tensor:
        """The training loss of the network's outputs (nodes, outputs) on the public graph; generator: of all that it draws."""

    @abstractmethod
    def served(self, network: Network, public: Mapping[str, Any]) -> Callable[..., Any]:
        """What the scorer may ask of the trained network."""

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import itertools

        import torch

        from bench.train import fit
        from tasks.graph.network import Network, checked, operators, shapes

        p, x = self.params, public["x"]
        inputs, outputs = self.widths(public)
        with log.phase("setup"):
            wanted = shapes(p.layer, inputs, p.hidden, outputs, p.depth)
            made = operators(public["edges"], len(x), p.layer)
            generator = torch.Generator().manual_seed(seeds("init"))
            weights = parts["graph_init"](shapes=wanted, operators=made, x=x, generator=generator)
            network = Network(p.layer, checked(weights, wanted), parts["graph_norm"])
            optimizer = parts["optimizer"](model=network, steps=p.steps)
        draws = torch.Generator().manual_seed(seeds("order"))
        return fit(
            network, optimizer, lambda graph: self.loss(network(graph, made), public, draws), itertools.repeat(x), p.steps, log,
            forward=self.served(network, public), schedule=parts["schedule"], eval_every=max(1, p.steps // p.evaluations),
        )  # fmt: skip

    @abstractmethod
    def quality(self, problem: Problem, predict: Callable[..., Any], name: str) -> float:
        """What ranks, on the set `name`, val or test."""

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        return {self.objective: self.quality(problem, predict, "val")}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        predict = solution.require_predict()
        losses = log.curve("loss")[1]
        return {
            self.rank: self.quality(problem, predict, "test"),
            self.objective: self.quality(problem, predict, "val"),
            "train_loss": losses[-1] if losses else None,
            "loss_area": sum(losses) / len(losses) if losses else None,
        }


def metrics(name: str, doc: str, worst: float, sample: bool) -> tuple[Metric, ...]:
    """The metrics of a task whose ranking one is `test_NAME`. worst: of a run that diverged. sample: whether it is a share."""
    return (
        Metric(f"test_{name}", "1", "max", doc, diverged=worst, sample="test" if sample else 0),
        Metric(
            f"val_{name}", "1", "max", "the same on the validation set", diverged=worst, sample="val" if sample else 0
        ),
        Metric("train_loss", "nats", "min", "training loss at the last update", "log", diverged=10.0),
        Metric("loss_area", "nats", "min", "training loss, mean over all updates", "log", diverged=10.0),
    )


def finite(answer: Any, rows: int, columns: int | None = None) -> Tensor:
    """A prediction (rows,) or (rows, columns). BenchError for anything else; Diverged for NaN and infinity."""
    import torch

    wanted = (rows,) if columns is None else (rows, columns)
    if not isinstance(answer, torch.Tensor) or tuple(answer.shape) != wanted:
        got = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise BenchError(f"predict returned {got}; wanted a tensor of shape {wanted}")
    if not bool(answer.isfinite().all()):
        raise Diverged("the network returns numbers that are not finite")
    return answer
