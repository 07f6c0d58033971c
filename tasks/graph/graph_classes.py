"""`graph/graphs`: classes of whole graphs, whose outputs are averaged over their nodes (arXiv 2312.02622)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.graph import training
from tasks.graph.training import Trained, finite, metrics

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from bench.seeds import Stream
    from tasks.graph.network import Network

CLASSES = 3  # no blocks, two blocks, preferential attachment
RATIO = 20.0  # chance of an edge within a block over that between the two
DEGREES = 8  # a node's feature is its degree, one hot, the largest ones together


@dataclass
class Params(training.Params):
    """train, val, test: graphs. nodes, degree: of a graph, the same for all classes. The others are the family's."""

    train: int = 90
    val: int = 60
    test: int = 120
    nodes: int = 30
    degree: float = 4.0


class Graphs(Trained):
    """Three laws of graphs with about as many edges: uniform, two blocks, preferential attachment. Features: degrees."""

    name = "graph/graphs"
    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = (*Trained.positive, "train", "val", "test", "nodes", "degree")
    presets = {
        "smoke": {
            "depth": 3,
            "hidden": 16,
            "steps": 5,
            "evaluations": 2,
            "nodes": 12,
            "train": 12,
            "val": 9,
            "test": 12,
        },
        "small": {},
        "paper": {"hidden": 256, "steps": 500, "nodes": 100, "train": 600, "val": 300, "test": 600},
    }
    metrics = metrics("accuracy", "share of graphs classified right", 0.0, sample=True)
    rank = "test_accuracy"
    objective = "val_accuracy"
    margin = 0.1

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        p = self.params
        if p.nodes < DEGREES:
            raise BenchError(
                f"task.nodes={p.nodes}: give a graph {DEGREES} nodes or more, so that its degrees tell something"
            )
        sets = {name: batch(p, getattr(p, name), seeds.stream("data", name)) for name in ("train", "val", "test")}
        public = {**sets["train"], "budget": self.budget.limit}
        return Problem(public, {name: sets[name] for name in ("val", "test")})

    def widths(self, public: Mapping[str, Any]) -> tuple[int, int]:
        return DEGREES, CLASSES

    def loss(self, outputs: Tensor, public: Mapping[str, Any], generator: Generator) -> Tensor:
        from torch.nn import functional

        return functional.cross_entropy(averaged(outputs, len(public["labels"])), public["labels"])

    def served(self, network: Network, public: Mapping[str, Any]) -> Callable[..., Any]:
        """(features (graphs * nodes, inputs), edges (2, edges) of all of them) -> logits (graphs, classes)."""
        from tasks.graph.network import operators

        nodes, layer = self.params.nodes, self.params.layer

        def predict(x: Tensor, edges: Tensor) -> Tensor:
            return averaged(network(x, operators(edges, len(x), layer)), len(x) // nodes)

        return predict

    def quality(self, problem: Problem, predict: Callable[..., Any], name: str) -> float:
        from bench.metrics.classification import accuracy

        made = problem.hidden[name]
        return accuracy(finite(predict(made["x"], made["edges"]), len(made["labels"]), CLASSES), made["labels"])


def averaged(outputs: Tensor, graphs: int) -> Tensor:
    """Mean over the nodes of each graph, (graphs * nodes, width) -> (graphs, width)."""
    return outputs.reshape(graphs, -1, outputs.shape[1]).mean(1)


def batch(p: Any, count: int, stream: Stream) -> dict[str, Tensor]:
    """`count` graphs as one, without links between them: `x` (count * nodes, DEGREES), `edges` and `labels` (count,)."""
    import torch

    from tasks.graph.graphs import attachment, block_model, clean, degrees

    labels, parts = (torch.arange(count) % CLASSES)[stream.permutation(count)], []
    for place, label in enumerate(labels.tolist()):
        if label == 2:
            edges = attachment(p.nodes, max(1, round(p.degree / 2)), stream)
        else:
            edges, _ = block_model(p.nodes, 1 + label, p.degree, RATIO if label else 1.0, stream)
        parts.append(edges + place * p.nodes)
    edges = clean(torch.cat(parts, dim=1), count * p.nodes)
    own = (degrees(edges, count * p.nodes) - 1).clamp(max=DEGREES - 1)
    return {"x": torch.nn.functional.one_hot(own, DEGREES).float(), "edges": edges, "labels": labels}
