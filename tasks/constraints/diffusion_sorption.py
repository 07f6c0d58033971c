"""`constraints/diffusion_sorption`: a pollutant in soil, from any initial concentration (Chalapathi et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.constraints import base

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.constraints.equations import Sorption


@dataclass
class Params(base.Params):
    """diffusion: D. horizon: the final time."""

    diffusion: float = 5e-4
    horizon: float = 500.0


class DiffusionSorption(base.Constrained):
    """R(u) u_t = D u_xx from u0, which is the problem's one parameter."""

    name = "constraints/diffusion_sorption"
    Params = Params
    presets = {
        "smoke": {"basis": 4, "width": 8, "depth": 1, "times": 5, "columns": 10, "batch": 2, "steps": 4, "val": 2, "test": 2},
        "small": {},
        "paper": {"width": 128, "depth": 4, "times": 101, "columns": 1026, "batch": 6, "steps": 4050, "iterations": 100},
    }  # fmt: skip
    positive = (*base.Constrained.positive, "diffusion", "horizon")
    margin = 2.0

    def equation(self) -> Sorption:
        from tasks.constraints.equations import Sorption

        return Sorption(self.params.diffusion, self.params.horizon)

    def solution(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        from tasks.constraints import solutions

        return solutions.sorption(self.equation(), parameters, t, x)
