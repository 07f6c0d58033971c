"""`zeroth_order/estimator`: how well few function values tell the gradient of a quadratic function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Log, Problem
from bench.seeds import Seeds
from tasks.zeroth_order.estimates import SETS, Estimates
from tasks.zeroth_order.parts import ESTIMATOR

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.zeroth_order.oracles import Oracle


@dataclass
class Params:
    """dimension: d. queries: evaluations an estimate may take, two a direction. repeats: estimates at each of the two points.
    condition: largest over smallest curvature.
    """

    dimension: int = 100
    queries: int = 20
    repeats: int = 1000
    condition: float = 10.0


class Estimator(Estimates):
    """f(x) = x^T H x / 2 with curvatures from 1 to `condition`, at points drawn from N(0, I)."""

    name = "zeroth_order/estimator"
    Params = Params
    positive = (*Estimates.positive, "dimension")
    presets = {
        "smoke": {"dimension": 10, "repeats": 50},
        "small": {},
        "paper": {"dimension": 10000, "queries": 200},
    }
    slots = (ESTIMATOR,)

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if not params.condition >= 1:
            raise BenchError(f"task.condition={params.condition}: largest over smallest curvature is at least 1")

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.zeroth_order.quadratic import DTYPE, hessian

        p = self.params
        matrix = hessian(p.dimension, p.condition, seeds.stream("data", "hessian"))
        points = {name: seeds.stream("data", name).normal(p.dimension, dtype=DTYPE) for name in SETS}
        gradients = {name: matrix @ point for name, point in points.items()}
        return Problem({"hessian": matrix, **points}, {"gradients": gradients})

    def oracle(self, public: Mapping[str, Any], name: str, log: Log) -> tuple[Oracle, Tensor]:
        from tasks.zeroth_order.oracles import Oracle
        from tasks.zeroth_order.quadratic import values

        return Oracle(lambda points: values(public["hessian"], points), log.count), public[name]

    def method(
        self, parts: Mapping[str, Any], dimension: int, generator: Generator
    ) -> Callable[[Any, Tensor], Tensor]:  # fmt: skip
        made: Callable[[Any, Tensor], Tensor] = parts["estimator"](
            dimension=dimension, evaluations=self.params.queries, generator=generator
        )
        return made
