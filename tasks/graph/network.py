"""Graph networks: `layers` of aggregation, weights and ReLU, whose initial weights an entry chooses.

| layer | aggregates | source |
|---|---|---|
| gcn | P h W, P symmetric | Kipf and Welling 2017, arXiv 1609.02907 |
| sage | h W_0 + P h W_1, P the mean | Hamilton, Ying and Leskovec 2017, arXiv 1706.02216 |
| gin | P h W, P the sum; with one linear map in the place of the paper's perceptron | Xu et al. 2019, arXiv 1810.00826 |
| gat | one head of attention over neighbours | Velickovic et al. 2018, arXiv 1710.10903 |

Attention starts at 0, so that a gat layer starts as the mean. There are no biases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.contract import BenchError
from tasks.graph import graphs

LAYERS = {"gcn": ("symmetric",), "sage": ("own", "mean"), "gin": ("sum",), "gat": ("mean",)}
SLOPE = 0.2  # of the leaky ReLU in attention
Shape = tuple[int, int, int]  # of a layer's weights: blocks (one for each matrix that a layer sums), inputs, outputs


def sums(layer: str) -> tuple[str, ...]:
    """The aggregations that a layer sums at its start; BenchError for a layer that there is not."""
    if layer not in LAYERS:
        raise BenchError(f"no layer {layer!r}; there are {', '.join(LAYERS)}")
    return LAYERS[layer]


def operators(edges: Tensor, nodes: int, layer: str) -> list[Tensor]:
    """The sparse matrices (nodes, nodes) that a layer sums at its start, one for each block of weights."""
    own = torch.sparse_coo_tensor(torch.arange(nodes).expand(2, nodes), torch.ones(nodes), (nodes, nodes)).coalesce()
    return [own if name == "own" else graphs.operator(edges, nodes, name) for name in sums(layer)]


def shapes(layer: str, inputs: int, hidden: int, outputs: int, depth: int) -> list[Shape]:
    """Of the weights of every layer."""
    widths = [inputs, *[hidden] * (depth - 1), outputs]
    return [(len(sums(layer)), a, b) for a, b in zip(widths[:-1], widths[1:], strict=True)]


def checked(weights: Sequence[Tensor], wanted: Sequence[Shape]) -> list[Tensor]:
    """The entry's weights as float32; BenchError, which names the layer, if one is no finite tensor of its shape."""
    if len(weights) != len(wanted):
        raise BenchError(f"graph_init returned {len(weights)} layers; the network has {len(wanted)}")
    for place, (weight, shape) in enumerate(zip(weights, wanted, strict=True)):
        if tuple(weight.shape) != shape or not bool(weight.isfinite().all()):
            raise BenchError(
                f"graph_init: layer {place} has shape {tuple(weight.shape)}; wanted finite numbers of {shape}"
            )
    return [weight.detach().float() for weight in weights]


class Network(nn.Module):
    """(features (nodes, inputs), operators) -> outputs (nodes, outputs); norm(width=) makes what stands before a ReLU."""

    def __init__(self, layer: str, weights: Sequence[Tensor], norm: Callable[..., nn.Module]) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(weight.clone()) for weight in weights)
        self.norms = nn.ModuleList(norm(width=weight.shape[2]) for weight in weights[:-1])
        self.attention = nn.ParameterList()
        if layer == "gat":
            self.attention.extend(nn.Parameter(torch.zeros(2, weight.shape[2])) for weight in weights)

    def forward(self, x: Tensor, operators: Sequence[Tensor]) -> Tensor:
        return self.states(x, operators)[-1]

    def states(self, x: Tensor, operators: Sequence[Tensor]) -> list[Tensor]:
        """What each layer returns (nodes, width), after its ReLU but for the last."""
        states = []
        for place, weight in enumerate(self.weights):
            if self.attention:
                x = attend(x @ weight[0], operators[0], self.attention[place])
            else:
                x = sum((torch.sparse.mm(p, x @ w) for p, w in zip(operators, weight, strict=True)), torch.zeros(()))
            if place < len(self.norms):
                x = torch.relu(self.norms[place](x))
            states.append(x)
        return states


def attend(z: Tensor, operator: Tensor, attention: Tensor) -> Tensor:
    """Sums (nodes, width) of neighbours' z (nodes, width), weighted by a softmax over the neighbours that `operator` has."""
    i, j = operator.indices()
    raw = functional.leaky_relu((z @ attention[0])[i] + (z @ attention[1])[j], SLOPE)
    largest = torch.full((len(z),), -torch.inf).scatter_reduce(0, i, raw.detach(), "amax")
    shares = torch.exp(raw - largest[i])
    total = torch.zeros(len(z)).index_add(0, i, shares)
    return torch.zeros_like(z).index_add(0, i, (shares / total[i])[:, None] * z[j])
