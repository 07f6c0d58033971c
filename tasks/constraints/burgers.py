"""`constraints/burgers`: waves that steepen into shocks of finite width, from random initial fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.constraints import base

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.constraints import equations


@dataclass
class Params(base.Params):
    """viscosity: nu. horizon: the final time."""

    columns: int = 32
    viscosity: float = 0.03
    horizon: float = 0.5


class Burgers(base.Constrained):
    """u_t + u u_x = nu u_xx, periodic; the problem's parameters are the four coefficients of its initial field."""

    name = "constraints/burgers"
    Params = Params
    presets = {
        "smoke": {"basis": 4, "width": 8, "depth": 1, "times": 5, "columns": 8, "batch": 2, "steps": 4, "val": 2, "test": 2},
        "small": {},
        "paper": {"basis": 64, "width": 128, "depth": 4, "times": 101, "columns": 256, "viscosity": 0.01, "steps": 4050},
    }  # fmt: skip
    positive = (*base.Constrained.positive, "viscosity", "horizon")
    margin = 2.0

    def equation(self) -> equations.Burgers:
        from tasks.constraints import equations

        return equations.Burgers(self.params.viscosity, self.params.horizon)

    def solution(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        from tasks.constraints import solutions

        return solutions.burgers(self.equation(), parameters, t, x)
