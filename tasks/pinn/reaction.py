"""`pinn/reaction` and `pinn/reaction_diffusion`: logistic growth of a bump, where nothing is carried."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from tasks.pinn.base import Common, Pinn


@dataclass
class Params(Common):
    """rho: rate of growth. bump: standard deviation of the initial Gaussian, whose height is 1."""

    rho: float = 5.0
    bump: float = math.pi / 4


@dataclass
class DiffusionParams(Params):
    """nu: diffusion, at least 0."""

    nu: float = 3.0


class Reaction(Pinn):
    """u_t = rho u (1 - u) from a Gaussian h: u = h / (h + (1 - h) exp(-rho t))."""

    name = "pinn/reaction"
    Params = Params
    positive = (*Pinn.positive, "rho", "bump")
    reference = "pinn_periodic_hard"

    def numbers(self) -> dict[str, Any]:
        return {"rho": self.params.rho, "bump": self.params.bump}


class ReactionDiffusion(Reaction):
    """u_t = nu u_xx + rho u (1 - u) from a Gaussian."""

    name = "pinn/reaction_diffusion"
    Params = DiffusionParams
    reference = "pinn_curriculum"  # without stages networks end at a steady state that is unstable in time

    def numbers(self) -> dict[str, Any]:
        return {**super().numbers(), "nu": self.params.nu}
