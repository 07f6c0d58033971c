"""`pinn/kovasznay`: the flow behind a grid of wires, a solution of the Navier-Stokes equations in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tasks.pinn.steady import Common, SteadyFlow

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.pinn.flow import Flow


@dataclass
class Params(Common):
    """reynolds: above 0."""

    reynolds: float = 40.0


class Kovasznay(SteadyFlow):
    """u = 1 - e^(lx) cos 2 pi y, v = l/(2 pi) e^(lx) sin 2 pi y, p = (1 - e^(2lx))/2, l = Re/2 - sqrt(Re^2/4 + 4 pi^2)."""

    name = "pinn/kovasznay"
    Params = Params

    def flow(self) -> Flow:
        from tasks.pinn.flow import KovasznayFlow

        return KovasznayFlow(self.params.reynolds)

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        import math

        import torch

        from tasks.pinn.flow import KovasznayFlow

        decay = KovasznayFlow(self.params.reynolds).decay
        fading, turn = torch.exp(decay * x), math.tau * y
        u, v = 1 - fading * torch.cos(turn), decay / math.tau * fading * torch.sin(turn)
        return torch.stack([u, v, (1 - fading.square()) / 2], dim=-1)
