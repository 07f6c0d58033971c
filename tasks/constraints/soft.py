"""The default part: the equation as a penalty in the training loss."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from bench.contract import BenchError


class Penalty:
    """The field is the sum of the basis functions; the conditions weigh `weight` against the equation in the loss.

    The loss is the norm of the rows, as for a hard constraint. Source: Raissi, Perdikaris and Karniadakis 2019, for a network
    that also sees the problem's parameters, without data (Chalapathi, Du and Krishnapriyan 2024, their soft constraint).
    """

    def __init__(self, *, system: Any, weight: float = 1.0) -> None:
        if not 0 < weight < math.inf:
            raise BenchError(f"physics_constraint.weight={weight}: it has to be above 0 and finite")
        self.edges = torch.zeros(0, dtype=torch.float64)
        self._system, self._weight = system, weight

    def loss(self, parameters: Tensor) -> Tensor:
        """The norm of the rows, mean over problems."""
        system = self._system
        jets = system.basis(parameters, system.t, system.x) @ system.start
        return system.objective(jets, parameters, self._weight).sqrt().mean()

    def field(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(C, T, X) on the tensor grid of t (T,) and x (X,)."""
        times, places = t.repeat_interleave(len(x)), x.repeat(len(t))
        values = self._system.basis(parameters, times, places)[:, 0] @ self._system.start
        return values.view(len(parameters), len(t), len(x))
