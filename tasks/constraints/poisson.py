"""`constraints/poisson`: a linear equation, whose least squares have a closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.constraints import base

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.constraints import equations


@dataclass
class Params(base.Params):
    """As in all tasks of the family; `times` is without effect, as the equation is steady."""

    basis: int = 12
    depth: int = 2
    times: int = 1
    columns: int = 34
    batch: int = 8
    steps: int = 400


class Poisson(base.Constrained):
    """-u'' = f; the problem's parameters are the four coefficients of f."""

    name = "constraints/poisson"
    Params = Params
    presets = {
        "smoke": {"basis": 4, "width": 8, "depth": 1, "columns": 10, "batch": 2, "steps": 4, "val": 2, "test": 2},
        "small": {},
        "paper": {"basis": 16, "width": 128, "depth": 4, "columns": 1026, "steps": 4050},
    }  # fmt: skip
    least_times = 1
    margin = 2.0

    def equation(self) -> equations.Poisson:
        from tasks.constraints import equations

        return equations.Poisson()

    def solution(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        from tasks.constraints import solutions

        return solutions.poisson(self.equation(), parameters, t, x)
