"""What the two tasks of classification share: a state that starts as the input, and a linear head at time 1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError
from tasks.neural_ode.base import STEPS, Flow

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.neural_ode.network import Network
    from tasks.neural_ode.paths import Path

SENSITIVITIES = (
    "backpropagation",
    "adjoint",
)  # ways to a gradient: through the solver's steps, or by the adjoint equation


class Classes(Flow):
    """dz/dt = f(t, z) from the input, padded by zeros, over t in [0, 1]; logits are linear in z(1)."""

    positive: ClassVar[tuple[str, ...]] = (*Flow.positive, "train", "val", "test")
    inputs: ClassVar[int]
    classes: ClassVar[int]

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.augmented < 0:
            raise BenchError(f"task.augmented={params.augmented}: coordinates that start at 0; give 0 or more")
        if params.sensitivity not in SENSITIVITIES:
            raise BenchError(f"task.sensitivity={params.sensitivity}: there are {', '.join(SENSITIVITIES)}")
        if params.batch > params.train:
            raise BenchError(
                f"task.batch={params.batch}: there are task.train={params.train} samples; take a smaller batch"
            )

    def network(self) -> Network:
        from tasks.neural_ode.network import Field, Network

        p, dimension = self.params, self.inputs + self.params.augmented
        return Network(Field(dimension, p.width, p.depth), dimension, self.classes)

    def times(self) -> Tensor:
        import torch

        return torch.tensor([0.0, 1.0], dtype=torch.float64)

    def batches(self, public: Mapping[str, Any], generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        from tasks.neural_ode.network import batches

        state, _ = self.question(public)
        for rows in batches(len(state), self.params.batch, generator):
            yield state[rows], public["y"][rows]

    def question(self, part: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        from tasks.neural_ode.network import padded

        return padded(part["x"], self.inputs + self.params.augmented), self.times()

    def prediction(self, network: Network, state: Tensor, times: Tensor, count: Callable[..., Any] | None) -> Path:
        import torch

        from tasks.neural_ode import ordinary

        with torch.no_grad():
            return ordinary.solve(
                network.field, state, times, self.params.tolerance, ordinary.limit_of(STEPS), count=count
            )

    def answer(self, network: Network, outputs: Tensor) -> Tensor:
        """Logits (batch, classes)."""
        assert network.head is not None
        logits: Tensor = network.head(outputs[-1])
        return logits

    def loss(self, answer: Tensor, target: Tensor) -> Tensor:
        from torch.nn import functional

        return functional.cross_entropy(answer, target)

    def judge(self, answer: Tensor, part: Mapping[str, Any]) -> float:
        from bench.metrics.classification import accuracy

        return accuracy(answer, part["y"])
