"""Initial weights of graph networks, drawn uniformly with a variance for each layer; only Virgo looks at the graph.

Virgo: Li, Song, Song and Wipf 2023 (arXiv 2312.02622); formulas from the arithmetic of the authors' `utils.py`, with the
operators of the network itself. Xavier: Glorot and Bengio 2010. Kaiming: He et al. 2015. LeCun et al. 1998.
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


def virgo(
    *, shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor, generator: Generator, mean: str = "harmonic"
) -> list[Tensor]:
    """Variances that keep the variance of states (forward), of gradients (backward), or a mean of both.

    Forward, layer l > 1: (2 / m) c_{l-1} / c_l, with m the layer's inputs and c_l the sum over nodes of squares after l
    aggregations of the mean feature; the first layer has 2 / inputs. Backward the same from the last layer on, with m the
    outputs, aggregations of a vector of ones by the transposed operators, and n / ((classes - 1) c_1) for the last.
    BenchError for another mean, for a single output, where that is infinite, and for features whose mean is 0 at every node.
    """
    if mean not in MEANS:
        raise BenchError(f"graph_init.mean={mean!r}: one of {', '.join(MEANS)}")
    v, u = forward_variances(shapes, operators, x), backward_variances(shapes, operators)
    means = {
        "forward": v,
        "backward": u,
        "harmonic": [2 / (1 / a + 1 / b) for a, b in zip(v, u, strict=True)],
        "arithmetic": [(a + b) / 2 for a, b in zip(v, u, strict=True)],
    }
    return drawn(shapes, means[mean], generator)


def forward_variances(shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor) -> list[float]:
    """Virgo's variance of each layer that keeps the variance of states; x (nodes, inputs)."""
    c = squares(operators, x.mean(dim=1), len(shapes))
    later = [2 / before * a / b for (_, before, _), a, b in zip(shapes[1:], c[:-1], c[1:], strict=True)]
    return [2 / shapes[0][1], *later]


def backward_variances(shapes: Sequence[Shape], operators: Sequence[Tensor]) -> list[float]:
    """Virgo's variance of each layer that keeps the variance of gradients."""
    nodes, classes = operators[0].shape[0], shapes[-1][2]
    if classes < 2:
        raise BenchError(
            "Virgo's backward variance of the last layer is n / ((classes - 1) c); give two outputs or more"
        )
    c = squares([p.t() for p in operators], torch.ones(nodes), len(shapes))
    earlier = [2 / after * a / b for (_, _, after), a, b in zip(shapes[-2::-1], c[:-1], c[1:], strict=True)]
    return [nodes / ((classes - 1) * c[0]), *earlier][::-1]


def squares(operators: Sequence[Tensor], start: Tensor, layers: int) -> list[float]:
    """c_1 .. c_layers: the trace of K_l = sum over blocks of P K_{l-1} P^T, K_0 = start start^T; with one block |P^l start|^2.

    Blocks have independent weights, so that their squares add and their products do not. In float64; values may span hundreds of
    powers of ten, so that K is scaled to trace 1 at every layer and the logarithms add.
    """
    double = [p.double().coalesce() for p in operators]
    scale, traces = 0.0, []
    if not float(start.double().norm()) > 0:
        raise BenchError("Virgo aggregates the mean of each node's features, and here it is 0 at every node")
    if len(double) == 1:
        vector = start.double()[:, None]
        for _ in range(layers):
            vector = torch.sparse.mm(double[0], vector)
            scale, vector = scale + 2 * math.log(float(vector.norm())), vector / vector.norm()
            traces.append(scale)
    else:
        k = torch.outer(start.double(), start.double())
        for _ in range(layers):
            k = sum((torch.sparse.mm(p, torch.sparse.mm(p, k).T) for p in double), torch.zeros(()).double())
            trace = float(k.trace())
            scale, k = scale + math.log(trace), k / trace
            traces.append(scale)
    return [math.exp(trace) for trace in traces]
