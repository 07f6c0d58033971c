"""`pinn/convection` and `pinn/convection_diffusion`: a state is carried round the circle, with diffusion or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.contract import Curves, Problem, Solution
from tasks.pinn.base import METRICS, WIDTHS, Common, Pinn


@dataclass
class Params(Common):
    """beta: speed; at 0 nothing moves, which is allowed. bump: standard deviation of a Gaussian instead of a sine, or 0."""

    beta: float = 30.0
    bump: float = 0.0


@dataclass
class DiffusionParams(Params):
    """nu: diffusion, at least 0."""

    nu: float = 0.01


class Convection(Pinn):
    """u_t + beta u_x = 0 from sin(x + phase): u = sin(x + phase - beta t)."""

    name = "pinn/convection"
    Params = Params
    metrics = (*METRICS, *WIDTHS)
    reference = "lpinn"

    def numbers(self) -> dict[str, Any]:
        return {"beta": self.params.beta, "bump": self.params.bump}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        return super().score(problem, solution, log) | self.widths(problem)


class ConvectionDiffusion(Convection):
    """u_t + beta u_x = nu u_xx from sin(x + phase): u = exp(-nu t) sin(x + phase - beta t)."""

    name = "pinn/convection_diffusion"
    Params = DiffusionParams

    def numbers(self) -> dict[str, Any]:
        return {**super().numbers(), "nu": self.params.nu}
