"""What a step of node perturbation costs over the same rule as a Python loop over the samples of a batch.

A ratio of CPU seconds in one run; the two take turns and of each the least is taken. Both get the same noise and must give the
same direction, or the ratio would compare nothing.

    python -m benchmarks node_perturbation
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from baselines.learning_rules.node_perturbation import NodePerturbation
from benchmarks.timing import ratio
from tasks.zeroth_order.network import Network
from tasks.zeroth_order.oracles import NetworkOracle

SIZES, BATCH, SMOOTHING, ROUNDS, SEED = (64, 32, 10), 64, 1e-3, 20, 100
LIMIT = 0.2  # of the loop's CPU seconds
Row = tuple[str, float, str, float, Callable[[float, float], bool]]


def looped(network: Network, weights: Tensor, x: Tensor, y: Tensor, noise: list[Tensor]) -> Tensor:
    """The mean over samples of (loss with noise - loss without) / smoothing times each layer's input and noise."""
    layers, total = network.layers(weights), torch.zeros_like(weights)
    for sample, label in enumerate(y):
        losses, inputs = [], [x[sample]]
        for scale in (0.0, SMOOTHING):
            before = x[sample]
            for place, (matrix, bias) in enumerate(layers):
                sums = before @ matrix + bias + scale * noise[place][sample]
                before = torch.tanh(sums)
                if scale == 0 and place < len(layers) - 1:
                    inputs.append(before)
            losses.append(sums.logsumexp(dim=0) - sums[label])
        change = (losses[1] - losses[0]) / SMOOTHING
        errors = [change * n[sample] for n in noise]
        parts = [part for i, e in zip(inputs, errors, strict=True) for part in (torch.outer(i, e).flatten(), e)]
        total += torch.cat(parts) / len(y)
    return total


def rows() -> Iterator[Row]:
    """The ratio of one step's cost."""
    torch.set_num_threads(1)
    draws = torch.Generator().manual_seed(SEED)
    network = Network(SIZES)
    weights = network.start(draws).double()
    x, y = torch.randn(BATCH, SIZES[0], generator=draws).double(), torch.randint(SIZES[-1], (BATCH,), generator=draws)
    oracle = NetworkOracle(network, lambda **amounts: None)
    oracle.x, oracle.y = x, y

    def noise_of(generator: torch.Generator) -> list[Tensor]:
        return [torch.randn(BATCH, units, generator=generator, dtype=weights.dtype) for units in SIZES[1:]]

    def ours() -> Tensor:
        rule = NodePerturbation(network=network, generator=torch.Generator().manual_seed(SEED), smoothing=SMOOTHING)
        return rule(oracle, weights)

    def theirs() -> Tensor:
        return looped(network, weights, x, y, noise_of(torch.Generator().manual_seed(SEED)))

    if not torch.allclose(ours(), theirs(), rtol=1e-6, atol=1e-9):
        raise RuntimeError("the two do not give the same direction; one of them is not node perturbation")
    yield (
        "a step of node perturbation, over a loop over samples",
        ratio(ours, theirs, ROUNDS),
        "x",
        LIMIT,
        lambda got, limit: got <= limit,
    )
