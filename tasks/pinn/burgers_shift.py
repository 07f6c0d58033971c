"""`pinn/burgers_shift`: Burgers' equation from c + sin x, a front that steepens and moves at c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.contract import BenchError, Curves, Problem, Solution
from tasks.pinn.base import METRICS, WIDTHS, Common, Pinn

THINNEST = 1e-4  # of diffusion: the front of a smaller one is thinner than the test grid's spacing by far


@dataclass
class Params(Common):
    """shift: c, the mean of the initial state. nu: diffusion."""

    shift: float = 30.0
    nu: float = 0.01


class BurgersShift(Pinn):
    """u_t + u u_x = nu u_xx from c + sin(x + phase): u = c + v(x - c t, t), v that at c = 0. Errors are those of u - c."""

    name = "pinn/burgers_shift"
    Params = Params
    metrics = (*METRICS, *WIDTHS)
    reference = "lpinn_hard"

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.nu < THINNEST:
            raise BenchError(
                f"task.nu={params.nu}: Burgers' equation wants a diffusion of at least {THINNEST:g} here; without any the front "
                "becomes a jump"
            )

    def numbers(self) -> dict[str, Any]:
        return {"advected": True, "shift": self.params.shift, "nu": self.params.nu}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        return super().score(problem, solution, log) | self.widths(problem)
