"""`graph/nodes`: classes of nodes from their features and their neighbours, by a network of many layers (arXiv 2312.02622)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Exhibit, Problem, Solution
from bench.seeds import Seeds
from tasks.graph import training
from tasks.graph.training import Trained, finite, metrics

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.graph.network import Network


@dataclass
class Params(training.Params):
    """graph: blocks, attachment, or cora, the citation network. train, val, test: nodes whose classes are known, watched and
    asked for. nodes, degree, inputs, signal, classes: of a graph that is drawn, as in `graph/variance`. The others are
    the family's.
    """

    graph: str = "blocks"
    train: int = 60
    val: int = 60
    test: int = 180
    nodes: int = 300
    degree: float = 5.0
    inputs: int = 32
    signal: float = 0.7
    classes: int = 5


class Nodes(Trained):
    """A stochastic block model whose blocks are the classes, each a shift of one feature; or Cora, split anew by seed."""

    name = "graph/nodes"
    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = (*Trained.positive, "train", "val", "test", "nodes", "degree", "inputs")
    presets = {
        "smoke": {"depth": 3, "hidden": 16, "steps": 5, "evaluations": 2, "nodes": 60, "inputs": 8, "train": 20, "val": 20,
                  "test": 20},
        "small": {},
        "paper": {"graph": "cora", "hidden": 256, "steps": 500, "train": 140, "val": 500, "test": 1000},
    }  # fmt: skip
    metrics = metrics("accuracy", "share of nodes classified right", 0.0, sample=True)
    rank = "test_accuracy"
    objective = "val_accuracy"
    margin = 0.2

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        from tasks.graph import cora

        return cora.files(cache) if self.params.graph == "cora" else {}

    def prepare(self, cache: Path, pool: int) -> str:
        from tasks.graph import cora

        return str(cora.here(cache)) if self.params.graph == "cora" else ""

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.graph import cora
        from tasks.graph.drawn import graph

        p = self.params
        made, origin = (
            (cora.read(Path(data)), cora.origin(Path(data)))
            if data
            else (graph(p, p.graph, seeds, "whole"), "generated")
        )
        nodes = len(made["x"])
        if p.train + p.val + p.test > nodes:
            raise BenchError(
                f"{self.name}: train, val and test add up to {p.train + p.val + p.test}; there are {nodes} nodes"
            )
        order = seeds.stream("split", "nodes").permutation(nodes)[: p.train + p.val + p.test]
        parts = dict(zip(("train", "val", "test"), order.split([p.train, p.val, p.test]), strict=True))
        labels = {name: made["labels"][part] for name, part in parts.items()}
        public = {
            "x": made["x"], "edges": made["edges"], "nodes": parts["train"], "labels": labels["train"],
            "classes": int(made["labels"].max()) + 1, "budget": self.budget.limit,
        }  # fmt: skip
        hidden = {name: (parts[name], labels[name]) for name in ("val", "test")}
        return Problem(public, hidden | {"classes": public["classes"]}, origin)

    def widths(self, public: Mapping[str, Any]) -> tuple[int, int]:
        return public["x"].shape[1], public["classes"]

    def loss(self, outputs: Tensor, public: Mapping[str, Any], generator: Generator) -> Tensor:
        from torch.nn import functional

        return functional.cross_entropy(outputs[public["nodes"]], public["labels"])

    def served(self, network: Network, public: Mapping[str, Any]) -> Callable[..., Any]:
        """nodes (k,) -> logits (k, classes)."""
        from tasks.graph.network import operators

        made = operators(public["edges"], len(public["x"]), self.params.layer)
        return lambda nodes: network(public["x"], made)[nodes]

    def quality(self, problem: Problem, predict: Callable[..., Any], name: str) -> float:
        from bench.metrics.classification import accuracy

        nodes, labels = problem.hidden[name]
        return accuracy(finite(predict(nodes), len(nodes), problem.hidden["classes"]), labels)

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Which classes are taken for which."""
        import torch

        nodes, labels = problem.hidden["test"]
        classes = torch.arange(problem.hidden["classes"])
        answers = finite(solution.require_predict()(nodes), len(nodes), len(classes)).argmax(1)
        shares = torch.zeros(len(classes), len(classes)).index_put(
            (labels, answers), torch.ones(len(nodes)), accumulate=True
        )
        shares /= shares.sum(1, keepdim=True).clamp(min=1)
        arrays = {"share": shares, "class": classes, "answer": classes}
        return {
            "confusion": Exhibit("matrix", arrays, ("class", "answer"), "1", "share of a class's test nodes by answer")
        }
