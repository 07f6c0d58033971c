"""The slots that the tasks of the family share, as typed stubs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.contract import Slot

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from tasks.graph.network import Shape


def graph_init(
    *, shapes: Sequence[Shape], operators: Sequence[Tensor], x: Tensor, generator: Generator
) -> list[Tensor]:
    """Initial weights of every layer, each of its shape (blocks, inputs, outputs).

    A layer is sum over blocks b of operators[b] h W[b], with sparse operators (nodes, nodes), and ReLU but for the last. x: the
    nodes' features (nodes, inputs). generator: of all that is drawn.
    """
    raise NotImplementedError


def graph_norm(*, width: int) -> nn.Module:
    """What stands between a hidden layer's weights and its ReLU, (nodes, width) -> (nodes, width)."""
    raise NotImplementedError


INIT = Slot("graph_init", graph_init, {"_target_": "tasks.graph.plain.kaiming"})
NORM = Slot("graph_norm", graph_norm, {"_target_": "tasks.graph.plain.no_norm"})
