"""Graphs with features and labels that a cell draws: what `variance`, `nodes` and `links` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.contract import BenchError
from tasks.graph.graphs import at_least_two, attachment, block_model, clean

if TYPE_CHECKING:
    from torch import Tensor

    from bench.seeds import Seeds

LAWS = ("blocks", "attachment")
RATIO = 10.0  # chance of an edge within a block over that between blocks


def graph(p: Any, law: str, seeds: Seeds, name: str) -> dict[str, Tensor]:
    """edges (2, edges), features `x` (nodes, inputs) and `labels` (nodes,) of a graph drawn by the streams of `name`.

    p: `nodes`, `degree`, `inputs`, `classes` and `signal`. Features are N(0, 1), and higher by `signal` in the coordinate of the
    node's class. The classes are the blocks; in a graph of preferential attachment edges tell nothing of them. Their order is
    drawn, so that a node's number does not tell its class. BenchError for another law, for more classes than coordinates and for
    what `clean` refuses.
    """
    import torch

    at_least_two(p.nodes)
    if law not in LAWS:
        raise BenchError(f"task.graph={law}: there are {', '.join(LAWS)}")
    if p.classes > p.inputs:
        raise BenchError(f"task.classes={p.classes} have a coordinate each; task.inputs={p.inputs} are fewer")
    if law == "blocks":
        edges, labels = block_model(p.nodes, p.classes, p.degree, RATIO, seeds.stream("data", f"{name} edges"))
    else:
        edges = attachment(p.nodes, max(1, round(p.degree / 2)), seeds.stream("data", f"{name} edges"))
        labels = (torch.arange(p.nodes) % p.classes)[seeds.stream("data", f"{name} classes").permutation(p.nodes)]
    x = seeds.stream("data", f"{name} features").normal(p.nodes, p.inputs)
    x[torch.arange(p.nodes), labels] += p.signal
    return {"edges": clean(edges, p.nodes), "x": x, "labels": labels}
