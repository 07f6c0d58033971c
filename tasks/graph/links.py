"""`graph/links`: which pairs of nodes are linked, from the graph without those links (arXiv 2312.02622)."""

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


@dataclass
class Params(training.Params):
    """outputs: of the network, whose dot product says how likely two nodes are linked. val, test: links held back, each with
    as many pairs that are none. graph, nodes, degree, inputs, signal, classes: of the graph, as in `graph/variance`. The
    others are the family's.
    """

    graph: str = "blocks"
    outputs: int = 16
    val: int = 75
    test: int = 150
    nodes: int = 300
    degree: float = 8.0
    inputs: int = 32
    signal: float = 0.7
    classes: int = 5


class Links(Trained):
    """Links of a stochastic block model; loss and rank compare links with pairs that are none."""

    name = "graph/links"
    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = (*Trained.positive, "outputs", "val", "test", "nodes", "degree", "inputs")
    presets = {
        "smoke": {
            "depth": 3,
            "hidden": 16,
            "steps": 5,
            "evaluations": 2,
            "nodes": 60,
            "inputs": 8,
            "val": 15,
            "test": 30,
        },
        "small": {},
        "paper": {"nodes": 2000, "hidden": 256, "steps": 500, "val": 500, "test": 1000},
    }
    metrics = metrics(
        "auc", "chance that a link held back has a higher score than a pair that is none", 0.5, sample=False
    )
    rank = "test_auc"
    objective = "val_auc"
    margin = 0.05

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        from tasks.graph.drawn import graph

        p = self.params
        made = graph(p, p.graph, seeds, "whole")
        edges = made["edges"]
        if p.val + p.test >= edges.shape[1]:
            raise BenchError(
                f"{self.name}: val and test hold back {p.val + p.test} of {edges.shape[1]} links; leave some"
            )
        order = seeds.stream("split", "links").permutation(edges.shape[1])
        test, val, train = order.split([p.test, p.val, edges.shape[1] - p.val - p.test])
        absent = unlinked(edges, p.nodes, p.val + p.test, seeds.stream("data", "no links"))
        hidden = {}
        for name, part, pairs in (("val", val, absent[:, : p.val]), ("test", test, absent[:, p.val :])):
            labels = torch.cat([torch.ones(len(part)), torch.zeros(pairs.shape[1])])
            places = seeds.stream("split", f"{name} pairs").permutation(len(labels))
            hidden[name] = (torch.cat([edges[:, part], pairs], dim=1)[:, places], labels[places])
        public = {"x": made["x"], "edges": edges[:, train.sort().values], "budget": self.budget.limit}
        return Problem(public, hidden)

    def widths(self, public: Mapping[str, Any]) -> tuple[int, int]:
        return public["x"].shape[1], self.params.outputs

    def loss(self, outputs: Tensor, public: Mapping[str, Any], generator: Generator) -> Tensor:
        """Cross-entropy of the links that are known and of as many pairs drawn anew, of which a few are links."""
        import torch
        from torch.nn import functional

        edges = public["edges"]
        pairs = torch.randint(len(outputs), edges.shape, generator=generator)
        scores = alike(outputs, torch.cat([edges, pairs], dim=1))
        labels = torch.cat([torch.ones(edges.shape[1]), torch.zeros(edges.shape[1])])
        return functional.binary_cross_entropy_with_logits(scores, labels)

    def served(self, network: Network, public: Mapping[str, Any]) -> Callable[..., Any]:
        """pairs (2, k) -> scores (k,)."""
        from tasks.graph.network import operators

        made = operators(public["edges"], len(public["x"]), self.params.layer)
        return lambda pairs: alike(network(public["x"], made), pairs)

    def quality(self, problem: Problem, predict: Callable[..., Any], name: str) -> float:
        pairs, labels = problem.hidden[name]
        return area(finite(predict(pairs), len(labels)), labels)


def alike(outputs: Tensor, pairs: Tensor) -> Tensor:
    """Dot products (k,) of the outputs of two nodes, over the root of their number of coordinates; pairs (2, k)."""
    return (outputs[pairs[0]] * outputs[pairs[1]]).sum(1) / outputs.shape[1] ** 0.5


def unlinked(edges: Tensor, nodes: int, count: int, stream: Stream) -> Tensor:
    """Pairs (2, count) that are no links, each once. BenchError if there are not so many."""
    import torch

    first, second = torch.triu_indices(nodes, nodes, offset=1)
    linked = torch.zeros(nodes, nodes, dtype=torch.bool)
    linked[edges[0], edges[1]] = True
    free = (~linked[first, second]).nonzero()[:, 0]
    if len(free) < count:
        raise BenchError(
            f"{count} pairs without a link are asked for, and the graph has {len(free)}; lower val and test"
        )
    chosen = free[stream.permutation(len(free))[:count]]
    return torch.stack([first[chosen], second[chosen]])


def area(scores: Tensor, labels: Tensor) -> float:
    """Area under the ROC curve (Mann and Whitney's statistic): the share of pairs of a 1 and a 0 in which the 1 scores higher.

    Ties count a half.
    """
    ones, zeros = scores[labels == 1].double(), scores[labels == 0].double()
    higher = (ones[:, None] > zeros[None]).double() + (ones[:, None] == zeros[None]).double() / 2
    return float(higher.mean())
