"""`second_order/log_sum_exp`: a smooth maximum of linear functions, the harder the smaller its temperature mu."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import Problem
from bench.seeds import Seeds
from tasks.second_order.base import Minimisation

if TYPE_CHECKING:
    from tasks.second_order.functions import LogSumExp


@dataclass
class Params:
    """rows, dimension: of A. mu: temperature. metric: own (B = A'A + 1e-8 I) or identity, for every method alike. gradients:
    the budget."""

    rows: int = 100
    dimension: int = 100
    mu: float = 1.0
    metric: str = "own"
    gradients: int = 1000


class SmoothMaximum(Minimisation):
    """f = mu log sum_i exp((a_i . x - b_i) / mu), A and b uniform on [-1, 1], the rows moved so that x = 0 is the minimum."""

    name = "second_order/log_sum_exp"
    Params = Params
    positive = (*Minimisation.positive, "rows", "dimension", "mu")
    presets = {
        "smoke": {"rows": 20, "dimension": 20, "gradients": 40},
        "small": {},
        "paper": {"rows": 1000, "dimension": 1000, "gradients": 2000},
    }

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p = self.params
        rows = 2 * seeds.stream("data", "rows").uniform(p.rows, p.dimension, dtype=torch.float64) - 1
        offsets = 2 * seeds.stream("data", "offsets").uniform(p.rows, dtype=torch.float64) - 1
        public = {"rows": rows, "offsets": offsets}
        best = torch.zeros(p.dimension, dtype=torch.float64)
        public["rows"] = rows - self.function(public).value_and_gradient(best)[1]
        minimum, _ = self.function(public).value_and_gradient(best)
        return Problem({**public, "start": torch.ones_like(best)}, {"minimum": minimum, "minimiser": best})

    def function(self, public: Mapping[str, Any]) -> LogSumExp:
        from tasks.second_order.functions import LogSumExp

        return LogSumExp(public["rows"], public["offsets"], self.params.mu)
