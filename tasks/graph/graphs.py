"""Graphs and what a layer sums over: edges (2, edges), each undirected edge once; laws that draw them; sparse operators.

Every node is its own neighbour in every operator, so that an isolated node keeps its features and a degree is never 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.contract import BenchError
from bench.seeds import Stream

AGGREGATIONS = ("symmetric", "mean", "sum")


def clean(edges: Tensor, nodes: int) -> Tensor:
    """The undirected edges (2, edges) without loops and repetitions, the smaller node first, in order.

    BenchError for fewer than two nodes, for another shape and for a node that there is not.
    """
    at_least_two(nodes)
    if edges.ndim != 2 or len(edges) != 2:
        raise BenchError(f"edges have shape {tuple(edges.shape)}; wanted (2, edges)")
    if edges.numel() and not (int(edges.min()) >= 0 and int(edges.max()) < nodes):
        raise BenchError(
            f"an edge names node {int(edges.max())} or {int(edges.min())}; the {nodes} nodes are 0 to {nodes - 1}"
        )
    ordered = edges.sort(dim=0).values[:, edges[0] != edges[1]]
    return torch.unique(ordered, dim=1)


def at_least_two(nodes: int) -> None:
    """BenchError for a graph of fewer nodes."""
    if nodes < 2:
        raise BenchError(f"a graph of {nodes} node has nothing to aggregate; give two nodes or more")


def degrees(edges: Tensor, nodes: int) -> Tensor:
    """Neighbours of each node (nodes,), itself among them."""
    return torch.bincount(edges.flatten(), minlength=nodes) + 1


def operator(edges: Tensor, nodes: int, aggregation: str) -> Tensor:
    """The sparse matrix P (nodes, nodes) of one aggregation, (P h)_i = sum over neighbours j of P_ij h_j, float32.

    sum: P_ij = 1. mean: 1 / d_i. symmetric: 1 / sqrt(d_i d_j) (Kipf and Welling 2017, arXiv 1609.02907). d counts the
    node itself.
    BenchError for another aggregation.
    """
    if aggregation not in AGGREGATIONS:
        raise BenchError(f"no aggregation {aggregation!r}; there are {', '.join(AGGREGATIONS)}")
    own = torch.arange(nodes)
    i, j = torch.cat([edges, edges.flip(0), own.expand(2, nodes)], dim=1)
    d = degrees(edges, nodes).float()
    values = {"sum": torch.ones(len(i)), "mean": 1 / d[i], "symmetric": (d[i] * d[j]).rsqrt()}[aggregation]
    # An invariant check would cost more than the products; the indices come from `clean`.
    return torch.sparse_coo_tensor(torch.stack([i, j]), values, (nodes, nodes), check_invariants=False).coalesce()


def block_model(nodes: int, blocks: int, degree: float, ratio: float, stream: Stream) -> tuple[Tensor, Tensor]:
    """(edges (2, edges), block of each node (nodes,)) of a stochastic block model with equal blocks, in random order.

    degree: expected neighbours of a node without itself. ratio: chance of an edge within a block over that between blocks.
    BenchError if a chance would be above 1.
    """
    labels = (torch.arange(nodes) % blocks)[stream.permutation(nodes)]
    within = nodes / blocks
    between = degree / (ratio * within + nodes - within)
    if ratio * between > 1:
        raise BenchError(
            f"{nodes} nodes in {blocks} blocks cannot have {degree:g} neighbours at a ratio of {ratio:g}; lower one"
        )
    first, second = torch.triu_indices(nodes, nodes, offset=1)
    chance = torch.where(labels[first] == labels[second], ratio * between, between)
    there = stream.uniform(len(first)) < chance
    return torch.stack([first[there], second[there]]), labels


def attachment(nodes: int, each: int, stream: Stream) -> Tensor:
    """Edges (2, edges) of preferential attachment: each new node joins `each` of those before it, chosen by their degrees.

    Source: Barabasi and Albert 1999, Emergence of scaling in random networks. BenchError unless 1 <= each < nodes.
    """
    if not 1 <= each < nodes:
        raise BenchError(f"preferential attachment of {each} edges a node needs more than {each} nodes, not {nodes}")
    ends, pairs = list(range(each)), []
    for new in range(each, nodes):
        chosen: set[int] = set()
        while len(chosen) < each:
            chosen.add(ends[int(stream.integers(len(ends), 1))])
        pairs += [(old, new) for old in sorted(chosen)]
        ends += [*sorted(chosen), *[new] * each]
    return torch.tensor(pairs).T
