"""`pinn/cavity`: a square box with a lid that moves smoothly, driven into rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError
from tasks.pinn.steady import PRESETS, Common, SteadyFlow

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.pinn.cavity_flow import Cavity as Reference
    from tasks.pinn.flow import Flow


@dataclass
class Params(Common):
    """reynolds: above 0. lid: exponent of its speed (4 x (1 - x))^lid, at least 2. degree: of the reference's polynomials."""

    reynolds: float = 100.0
    lid: int = 2
    degree: int = 24


class Cavity(SteadyFlow):
    """The reference is a stream function of polynomials; its pressure is not made."""

    name = "pinn/cavity"
    Params = Params
    presets = {**PRESETS, "smoke": {**PRESETS["smoke"], "degree": 8, "reynolds": 10.0}}

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.degree < 6:
            raise BenchError(f"task.degree={params.degree}: the reference wants polynomials of degree 6 or more")
        self._reference: Reference | None = None

    def flow(self) -> Flow:
        from tasks.pinn.flow import CavityFlow

        return CavityFlow(self.params.reynolds, self.params.lid)

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        import torch

        from tasks.pinn.cavity_flow import Cavity as Reference

        if self._reference is None:
            self._reference = Reference(self.params.reynolds, self.params.lid, self.params.degree)
        velocity = self._reference.velocity(x.numpy(), y.numpy())
        return torch.stack([torch.from_numpy(part) for part in velocity], dim=-1)
