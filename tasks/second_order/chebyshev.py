"""`second_order/chebyshev`: a chain of Chebyshev polynomials, a valley that bends more with every unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.second_order.base import Minimisation

if TYPE_CHECKING:
    from tasks.second_order.functions import Chebyshev


@dataclass
class Params:
    """unknowns: length of the chain. p: the power, at least 2. gradients: the budget."""

    unknowns: int = 50
    p: float = 4.0
    gradients: int = 1000


class Chain(Minimisation):
    """f = |u|^p / p with u_1 = (1 - x_1)/2, u_i = x_i - (2 x_{i-1}^2 - 1), from a start uniform on [0, 1]. The minimum is
    0 at x = 1.
    """

    name = "second_order/chebyshev"
    Params = Params
    positive = (*Minimisation.positive, "unknowns")
    presets = {"smoke": {"unknowns": 5, "gradients": 40}, "small": {}, "paper": {"unknowns": 1000, "gradients": 5000}}

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if not params.p >= 2:
            raise BenchError(f"task.p={params.p}: it is at least 2, or the Hessian is infinite at the minimum")

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        start = seeds.stream("data", "start").uniform(self.params.unknowns, dtype=torch.float64)
        return Problem({"start": start}, {"minimum": 0.0, "minimiser": torch.ones_like(start)})

    def function(self, public: Mapping[str, Any]) -> Chebyshev:
        from tasks.second_order.functions import Chebyshev

        return Chebyshev(self.params.unknowns, self.params.p)
