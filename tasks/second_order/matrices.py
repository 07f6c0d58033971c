"""Symmetric matrices as a method meets them: whole, diagonal, or of low rank. Each solves its shifted system in its own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Whole:
    """entries (d, d), symmetric, not necessarily positive definite."""

    entries: Tensor

    def dense(self) -> Tensor:
        return self.entries

    def solve(self, shift: float, right: Tensor) -> Tensor | None:
        """(M + shift I)^-1 right by Cholesky; None unless the shifted matrix is positive definite in float64."""
        factor, info = torch.linalg.cholesky_ex(self.entries + shift * torch.eye(len(right), dtype=right.dtype))
        return torch.cholesky_solve(right[:, None], factor)[:, 0] if int(info) == 0 else None


@dataclass(frozen=True)
class Diagonal:
    """entries (d,): a diagonal matrix; zeros are the matrix 0."""

    entries: Tensor

    def dense(self) -> Tensor:
        return torch.diag(self.entries)

    def solve(self, shift: float, right: Tensor) -> Tensor | None:
        """(M + shift I)^-1 right; None unless the shifted matrix is positive definite."""
        shifted = self.entries + shift
        return right / shifted if bool((shifted > 0).all()) else None


@dataclass(frozen=True)
class LowRank:
    """factor (d, r): the matrix F F'."""

    factor: Tensor

    def dense(self) -> Tensor:
        return self.factor @ self.factor.T

    def solve(self, shift: float, right: Tensor) -> Tensor | None:
        """(F F' + shift I)^-1 right by Woodbury's formula, for r = 1 that of Sherman and Morrison; None unless shift > 0."""
        if not shift > 0:
            return None
        small = shift * torch.eye(self.factor.shape[1], dtype=right.dtype) + self.factor.T @ self.factor
        return (right - self.factor @ torch.linalg.solve(small, self.factor.T @ right)) / shift


Matrix = Whole | Diagonal | LowRank


def exact(*, function: Any, x: Tensor) -> Matrix:
    """The Hessian itself."""
    return function.hessian(x)
