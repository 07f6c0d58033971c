"""`second_order/p_norm`: a power of the residual of linear equations, whose curvature vanishes at the minimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.second_order.base import Minimisation

if TYPE_CHECKING:
    from tasks.second_order.functions import Linear


@dataclass
class Params:
    """equations, unknowns: of A. p: the power, at least 2. metric: own (B = A'A + 1e-8 I) or identity, for every method alike.
    gradients: the budget."""

    equations: int = 50
    unknowns: int = 100
    p: float = 4.0
    metric: str = "own"
    gradients: int = 1000


class PowerOfResidual(Minimisation):
    """f = |Ax - b|^p / p with fewer equations than unknowns; A, b and a solution uniform on [-1, 1], from x = 1.

    In the norm of A'A it is the power of a distance, on which Newton's method has a linear rate known in closed form.
    """

    name = "second_order/p_norm"
    Params = Params
    positive = (*Minimisation.positive, "equations", "unknowns")
    reference = ""
    unanchored = (
        "in the norm of A'A it is a power of a distance, on which gradient descent does as well as Newton's method"
    )
    presets = {
        "smoke": {"equations": 10, "unknowns": 20, "gradients": 40},
        "small": {},
        "paper": {"equations": 100, "unknowns": 200},
    }

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if not params.p >= 2:
            raise BenchError(f"task.p={params.p}: it is at least 2, or the Hessian is infinite at a solution")
        if params.equations > params.unknowns:
            raise BenchError(
                f"task.equations={params.equations}: more than {params.unknowns} unknowns have no solution"
            )

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p = self.params
        rows = 2 * seeds.stream("data", "rows").uniform(p.equations, p.unknowns, dtype=torch.float64) - 1
        offsets = 2 * seeds.stream("data", "offsets").uniform(p.equations, dtype=torch.float64) - 1
        start = torch.ones(p.unknowns, dtype=torch.float64)
        nearest = start - torch.linalg.pinv(rows) @ (rows @ start - offsets)
        return Problem({"rows": rows, "offsets": offsets, "start": start}, {"minimum": 0.0, "minimiser": nearest})

    def function(self, public: Mapping[str, Any]) -> Linear:
        from tasks.second_order.functions import Linear

        return Linear(public["rows"], public["offsets"], self.params.p)
