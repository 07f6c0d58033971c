"""Initial weights of graph networks. Virgo looks at the graph, and `unit_variance` at what every layer makes of it.

Virgo: Li, Song, Song and Wipf 2023 (arXiv 2312.02622); formulas from the arithmetic of the authors' `utils.py`, by default with
the operators of the network itself. Xavier: Glorot and Bengio 2010. Kaiming: He et al. 2015. LeCun et al. 1998.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from bench.contract import BenchError

Shape = tuple[int, int, int]  # of a layer's weights: blocks, inputs, outputs
MEANS = ("harmonic", "arithmetic", "forward", "backward")


def drawn(shapes: Sequence[Shape], variances: Sequence[float], generator: Generator) -> list[Tensor]:
    """Weights, uniform between -sqrt(3 v) and sqrt(3 v) for each layer's v."""
    return [
        (2 * torch.rand(shape, generator=generator) - 1) * math.sqrt(3 * v)
        for shape, v in zip(shapes, variances, strict=True)
    ]


def xavier(*, shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor, generator: Generator) -> list[Tensor]:
    """Variance 2 / (inputs + outputs)."""
    return drawn(shapes, [2 / (before + after) for _, before, after in shapes], generator)


def kaiming_fan_out(
    *, shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor, generator: Generator
) -> list[Tensor]:
    """Variance 2 / outputs, which keeps gradients of a ReLU network without a graph."""
    return drawn(shapes, [2 / after for _, _, after in shapes], generator)


def lecun(*, shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor, generator: Generator) -> list[Tensor]:
    """Variance 1 / inputs."""
    return drawn(shapes, [1 / before for _, before, _ in shapes], generator)


def orthogonal(
    *, shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor, generator: Generator
) -> list[Tensor]:
    """(Semi-)orthogonal blocks times sqrt(2), which keeps the mean square of a ReLU network without a graph."""
    made = [torch.empty(shape) for shape in shapes]
    for weight in made:
        for block in weight:
            nn.init.orthogonal_(block, gain=math.sqrt(2), generator=generator)
    return made


def unit_variance(
    *, shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor, generator: Generator
) -> list[Tensor]:
    """Orthogonal blocks over the deviation of what the layer returns before its ReLU on this graph, one layer after the other.

    Source: Mishkin and Matas 2016, All you need is a good init (arXiv 1511.06422). BenchError where a layer returns 0 alone.
    """
    weights, h = orthogonal(shapes=shapes, operators=operators, x=x, generator=generator), x
    for place, weight in enumerate(weights):
        sums = sum((torch.sparse.mm(p, h @ w) for p, w in zip(operators, weight, strict=True)), torch.zeros(()))
        if not float(sums.std()) > 0:
            raise BenchError(
                f"layer {place} returns one number at every node and unit, which no factor brings to variance 1"
            )
        weights[place] = weight / sums.std()
        h = torch.relu(sums / sums.std())
    return weights


def virgo(
    *,
    shapes: Sequence[Shape],
    operators: Sequence[Tensor],
    x: Tensor,
    generator: Generator,
    mean: str = "harmonic",
    all_features: bool = False,
    published_operator: bool = False,
) -> list[Tensor]:
    """Variances that keep the variance of states (forward), of gradients (backward), or a mean of both.

    Forward, layer l > 1: (2 / m) c_{l-1} / c_l, with m the layer's inputs and c_l the sum over nodes of squares after l
    aggregations of the mean feature, or with `all_features` of every feature; the first layer has 2 / inputs. Backward the same
    from the last layer on, with m the outputs, aggregations of a vector of ones by the transposed operators, and
    n / ((classes - 1) c_1) for the last. With `published_operator` aggregation is the symmetric one whatever the layer, as in the
    authors' file. BenchError for another mean, for a single output, where that is infinite, and for features whose mean is 0 at
    every node.
    """
    if mean not in MEANS:
        raise BenchError(f"graph_init.mean={mean!r}: one of {', '.join(MEANS)}")
    matrices = [symmetric(operators[-1])] if published_operator else operators
    v = forward_variances(shapes, matrices, x if all_features else x.mean(dim=1, keepdim=True))
    u = backward_variances(shapes, matrices)
    means = {
        "forward": v,
        "backward": u,
        "harmonic": [2 / (1 / a + 1 / b) for a, b in zip(v, u, strict=True)],
        "arithmetic": [(a + b) / 2 for a, b in zip(v, u, strict=True)],
    }
    return drawn(shapes, means[mean], generator)


def symmetric(operator: Tensor) -> Tensor:
    """The sparse matrix of 1 / sqrt(d_i d_j) at the places of `operator`, d the number of places in a row."""
    i, j = operator.coalesce().indices()
    d = torch.bincount(i, minlength=len(operator)).float()
    return torch.sparse_coo_tensor(torch.stack([i, j]), (d[i] * d[j]).rsqrt(), operator.shape).coalesce()


def forward_variances(shapes: Sequence[Shape], operators: Sequence[Tensor], features: Tensor) -> list[float]:
    """Virgo's variance of each layer that keeps the variance of states; features (nodes, any number)."""
    c = squares(operators, features, len(shapes))
    later = [2 / before * a / b for (_, before, _), a, b in zip(shapes[1:], c[:-1], c[1:], strict=True)]
    return [2 / shapes[0][1], *later]


def backward_variances(shapes: Sequence[Shape], operators: Sequence[Tensor]) -> list[float]:
    """Virgo's variance of each layer that keeps the variance of gradients."""
    nodes, classes = operators[0].shape[0], shapes[-1][2]
    if classes < 2:
        raise BenchError(
            "Virgo's backward variance of the last layer is n / ((classes - 1) c); give two outputs or more"
        )
    c = squares([p.t() for p in operators], torch.ones(nodes, 1), len(shapes))
    earlier = [2 / after * a / b for (_, _, after), a, b in zip(shapes[-2::-1], c[:-1], c[1:], strict=True)]
    return [nodes / ((classes - 1) * c[0]), *earlier][::-1]


def squares(operators: Sequence[Tensor], start: Tensor, layers: int) -> list[float]:
    """c_1 .. c_layers: the trace of K_l = sum over blocks of P K_{l-1} P^T, K_0 = S S^T for a start S (nodes, columns); with
    one block |P^l S|^2, summed over entries.

    Blocks have independent weights, so that their squares add and their products do not. In float64; values may span hundreds of
    powers of ten, so that K is scaled to trace 1 at every layer and the logarithms add.
    """
    double = [p.double().coalesce() for p in operators]
    scale, traces = 0.0, []
    if not float(start.double().norm()) > 0:
        raise BenchError("Virgo aggregates features, or their mean at each node, and here these are 0 at every node")
    if len(double) == 1:
        columns = start.double()
        for _ in range(layers):
            columns = torch.sparse.mm(double[0], columns)
            scale, columns = scale + 2 * math.log(float(columns.norm())), columns / columns.norm()
            traces.append(scale)
    else:
        k = start.double() @ start.double().T
        for _ in range(layers):
            k = sum((torch.sparse.mm(p, torch.sparse.mm(p, k).T) for p in double), torch.zeros(()).double())
            trace = float(k.trace())
            scale, k = scale + math.log(trace), k / trace
            traces.append(scale)
    return [math.exp(trace) for trace in traces]
