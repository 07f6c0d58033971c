"""`zeroth_order/credit`: how well a rule points along the gradient of a network, by the network's width."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import Log, Problem
from bench.seeds import Seeds
from tasks.zeroth_order.estimates import SETS, Estimates
from tasks.zeroth_order.parts import ESTIMATOR, RULE

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.zeroth_order.network import Network
    from tasks.zeroth_order.oracles import Oracle


@dataclass
class Params:
    """inputs, width, classes: units of the network's layers. batch: samples. queries: evaluations an estimate may take.
    repeats: estimates at each of the two points.
    """

    inputs: int = 64
    width: int = 64
    classes: int = 10
    batch: int = 64
    queries: int = 2
    repeats: int = 200


class Credit(Estimates):
    """A network of one hidden layer as it was drawn, on a batch of normal inputs with random labels; two of each."""

    name = "zeroth_order/credit"
    Params = Params
    positive = (*Estimates.positive, "inputs", "width", "classes", "batch")
    presets = {
        "smoke": {"inputs": 8, "width": 8, "batch": 16, "repeats": 20},
        "small": {},
        "paper": {"inputs": 784, "width": 1000, "repeats": 1000},
    }
    slots = (ESTIMATOR, RULE)

    def network(self) -> Network:
        """The network with the task's sizes."""
        from tasks.zeroth_order.network import Network

        return Network((self.params.inputs, self.params.width, self.params.classes))

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        from tasks.zeroth_order.oracles import gradient

        p, network = self.params, self.network()
        public, gradients = {}, {}
        for name in SETS:
            stream = seeds.stream("data", name)
            x, y = stream.normal(p.batch, p.inputs), stream.integers(p.classes, p.batch)
            start = torch.Generator().manual_seed(int(stream.integers(2**62, 1)))
            weights = network.start(start)
            public[name] = {"x": x, "y": y, "weights": weights}
            gradients[name] = gradient(lambda w, x=x, y=y: network.loss(w, x, y), weights)  # type: ignore[misc]
        return Problem(public, {"gradients": gradients})

    def oracle(self, public: Mapping[str, Any], name: str, log: Log) -> tuple[Oracle, Tensor]:
        from tasks.zeroth_order.oracles import NetworkOracle

        oracle = NetworkOracle(self.network(), log.count)
        oracle.x, oracle.y = public[name]["x"], public[name]["y"]
        return oracle, public[name]["weights"]

    def method(
        self, parts: Mapping[str, Any], dimension: int, generator: Generator
    ) -> Callable[[Any, Tensor], Tensor]:  # fmt: skip
        made: Callable[[Any, Tensor], Tensor]
        if parts.get("rule") is not None:
            made = parts["rule"](network=self.network(), generator=generator)
        else:
            made = parts["estimator"](dimension=dimension, evaluations=self.params.queries, generator=generator)
        return made
