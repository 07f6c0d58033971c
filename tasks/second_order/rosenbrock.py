"""`second_order/rosenbrock`: the curved valley in two dimensions, and its powers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.second_order.base import Minimisation

if TYPE_CHECKING:
    from tasks.second_order.functions import Rosenbrock

START = (-2.0, 2.0)


@dataclass
class Params:
    """p: the power, at least 2. spread: the start lies within this of (-2, 2), uniformly. gradients: the budget."""

    p: float = 2.0
    spread: float = 0.25
    gradients: int = 2000


class Valley(Minimisation):
    """f = |u|^p / p with u = (1 - x_1, 10 (x_2 - x_1^2)); for p = 2 half of Rosenbrock's function. The minimum is 0 at (1, 1)."""

    name = "second_order/rosenbrock"
    Params = Params
    positive: ClassVar[tuple[str, ...]] = (*Minimisation.positive, "spread")
    presets = {"smoke": {"gradients": 40}, "small": {}, "paper": {"gradients": 20000}}

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if not params.p >= 2:
            raise BenchError(f"task.p={params.p}: it is at least 2, or the Hessian is infinite at the minimum")

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        shift = 2 * seeds.stream("data", "start").uniform(2, dtype=torch.float64) - 1
        start = torch.tensor(START, dtype=torch.float64) + self.params.spread * shift
        return Problem({"start": start}, {"minimum": 0.0, "minimiser": torch.ones(2, dtype=torch.float64)})

    def function(self, public: Mapping[str, Any]) -> Rosenbrock:
        from tasks.second_order.functions import Rosenbrock

        return Rosenbrock(self.params.p)
