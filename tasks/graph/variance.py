"""`graph/variance`: how states and gradients grow or shrink across the depth of a graph network before it is trained.

Source: Li, Song, Song and Wipf 2023, On the Initialization of Graph Neural Networks (arXiv 2312.02622).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.graph.parts import INIT

if TYPE_CHECKING:
    from torch import Tensor

SETS = ("val", "test")  # two graphs, each with weights of its own
LEAST_DEPTH = 4  # the fewest layers in which two hidden layers can be compared in both directions
WORST = 20.0  # decades, of a variance that is 0 or not finite


@dataclass
class Params:
    """graph: blocks or attachment. layer: gcn, sage, gin or gat. depth: layers, of which `depth` - 1 have `hidden` outputs.
    nodes, degree: of the graph, without the node itself. inputs, signal: features of a node and how far a class lifts its own.
    draws: sets of weights for each graph.
    """

    graph: str = "blocks"
    layer: str = "gcn"
    depth: int = 8
    hidden: int = 64
    nodes: int = 300
    degree: float = 5.0
    inputs: int = 32
    signal: float = 0.7
    classes: int = 5
    draws: int = 10


class Variance(Task):
    """Initial weights of a graph network, many times; variances of its states and of the loss's gradients by layer."""

    name = "graph/variance"
    version = 2
    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = ("hidden", "nodes", "degree", "inputs", "draws")
    presets = {
        "smoke": {"depth": 4, "nodes": 60, "hidden": 16, "inputs": 8, "draws": 2},
        "small": {},
        "paper": {"graph": "attachment", "nodes": 2000, "depth": 16, "hidden": 256, "inputs": 128},
    }
    metrics = (
        Metric("instability", "decades", "min", "(|forward| + |backward|) / 2, 20 at most", diverged=WORST),
        Metric("val_instability", "decades", "min", "the same on the validation graph", diverged=WORST),
        Metric("forward", "decades", "min", "log10 of the variance over units of the last hidden layer over that of the first, "
               "mean over nodes and draws"),
        Metric("backward", "decades", "min", "the same of the loss's gradient in the states of these layers"),
        Metric("weight_gradients", "decades", "min", "log10 of the variance of the loss's gradient in the weights of the last "
               "hidden layer over that in the second, mean over draws"),
    )  # fmt: skip
    rank = "instability"
    objective = "val_instability"
    slots = (INIT,)
    floors = ("xavier_graph",)
    reference = "virgo"
    margin = 0.3

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.depth < LEAST_DEPTH:
            raise BenchError(
                f"task.depth={params.depth}: give {LEAST_DEPTH} layers or more, so that hidden ones can be compared"
            )
        if params.classes < 2:
            raise BenchError(f"task.classes={params.classes}: a loss needs two classes or more")

    @property
    def budget(self) -> Budget:
        """Sets of weights."""
        return Budget("evals", len(SETS) * self.params.draws)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.graph.drawn import graph

        p = self.params
        drawn = {name: graph(p, p.graph, seeds, name) for name in SETS}
        public = {name: {"x": made["x"], "edges": made["edges"]} for name, made in drawn.items()}
        return Problem(public, {name: dict(made) for name, made in drawn.items()})

    def shapes(self) -> list[tuple[int, int, int]]:
        """Of the weights of every layer."""
        from tasks.graph.network import shapes

        p = self.params
        return shapes(p.layer, p.inputs, p.hidden, p.classes, p.depth)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.graph.network import checked, operators

        p, wanted = self.params, self.shapes()
        generator = torch.Generator().manual_seed(seeds("init"))
        tensors = {}
        for name in SETS:
            made = operators(public[name]["edges"], p.nodes, p.layer)
            for draw in range(p.draws):
                log.count(evals=1)
                weights = parts["graph_init"](shapes=wanted, operators=made, x=public[name]["x"], generator=generator)
                for place, weight in enumerate(checked(weights, wanted)):
                    tensors[f"{name} {draw} {place}"] = weight
        return Solution(None, tensors)

    def growth(self, problem: Problem, solution: Solution, name: str) -> Growth:
        """Of the weights that `solution` has for the graph `name`; BenchError for weights that lack."""
        import torch
        from torch.nn import functional

        from tasks.graph.network import Network, checked, operators
        from tasks.graph.plain import no_norm

        p, wanted, given = self.params, self.shapes(), problem.hidden[name]
        made = operators(given["edges"], p.nodes, p.layer)
        growth = Growth(*torch.zeros(3, p.draws, p.depth, dtype=torch.float64))
        for draw in range(p.draws):
            names = [f"{name} {draw} {place}" for place in range(p.depth)]
            if lacking := [key for key in names if key not in solution.tensors]:
                raise BenchError(f"{self.name} scores tensors named 'test DRAW LAYER'; {lacking[0]!r} lacks")
            network = Network(p.layer, checked([solution.tensors[key] for key in names], wanted), no_norm)
            by_layer = network.states(given["x"], made)
            loss = functional.cross_entropy(by_layer[-1], given["labels"])
            slopes = torch.autograd.grad(loss, [*by_layer, *network.weights])
            growth.states[draw] = torch.stack([over_units(h.detach()) for h in by_layer])
            growth.gradients[draw] = torch.stack([over_units(slope) for slope in slopes[: p.depth]])
            growth.weight_gradients[draw] = torch.stack([slope.double().var() for slope in slopes[p.depth :]])
        return growth

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        metrics: dict[str, float | None] = {}
        for name in SETS:
            growth = self.growth(problem, solution, name)
            forward = decades(growth.states[:, -2], growth.states[:, 0])
            backward = decades(growth.gradients[:, -2], growth.gradients[:, 0])
            metrics[f"{'val_' if name == 'val' else ''}instability"] = (abs(forward) + abs(backward)) / 2
            if name == "test":
                weights = growth.weight_gradients
                metrics |= {"forward": forward, "backward": backward}
                metrics["weight_gradients"] = decades(weights[:, -2], weights[:, 1])
        return metrics

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Variances by layer, mean over draws."""
        import torch

        growth = self.growth(problem, solution, "test")
        arrays = {name: values.mean(0) for name, values in vars(growth).items()}
        arrays["layer"] = torch.arange(1, self.params.depth + 1)
        doc = "variance before training of each layer's states, and of the loss's gradients in them and in its weights"
        return {"variances": Exhibit("series", arrays, ("layer",), "1", doc)}


@dataclass
class Growth:
    """Variances by layer, each (draws, depth): of states and of the loss's gradients in them over units, mean over nodes; of its
    gradients in weights over all of a layer's. The last layer's states are the outputs.
    """

    states: Tensor
    gradients: Tensor
    weight_gradients: Tensor


def over_units(states: Tensor) -> Tensor:
    """Mean over nodes of the variance over units, of states (nodes, units)."""
    return states.double().var(dim=1).mean()


def decades(later: Tensor, earlier: Tensor) -> float:
    """Mean over draws of log10(later / earlier), each at most WORST away from 0, and WORST where one is not finite."""
    logs = [math.log10(max(a, 1e-300) / max(b, 1e-300)) for a, b in zip(later.tolist(), earlier.tolist(), strict=True)]
    return sum(max(-WORST, min(WORST, value)) if math.isfinite(value) else WORST for value in logs) / len(logs)
