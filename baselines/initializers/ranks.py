"""Initial weights that differ in spectrum and agree in their Frobenius norm (Liu et al. 2023, arXiv 2310.08513).

Each takes rows, columns, the task's gain g0 and a generator, and returns a matrix (rows, columns) of norm
g0 sqrt(rows): that of independent entries N(0, g0^2 / columns), up to its fluctuation. All but `dale` keep the singular
vectors of one Gaussian draw, so that with one seed they differ in their singular values alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.contract import BenchError


def full_rank(rows: int, columns: int, gain: float, generator: torch.Generator, factor: float = 1.0) -> Tensor:
    """Independent Gaussian entries, at `factor` times the task's gain."""
    return _scaled(torch.randn(rows, columns, generator=generator), factor * gain)


def low_rank(rows: int, columns: int, gain: float, generator: torch.Generator, rank: int) -> Tensor:
    """The best approximation of rank `rank` of a Gaussian matrix. BenchError unless 1 <= rank <= min(rows, columns)."""
    if isinstance(rank, bool) or not isinstance(rank, int) or not 1 <= rank <= min(rows, columns):
        raise BenchError(
            f"rank_init.rank={rank!r}: a matrix of {rows} x {columns} has rank 1 to {min(rows, columns)}; choose one of these"
        )
    left, values, right = _singular(rows, columns, generator)
    return _scaled((left[:, :rank] * values[:rank]) @ right[:rank], gain)


def soft_low_rank(rows: int, columns: int, gain: float, generator: torch.Generator, power: float = 1.0) -> Tensor:
    """Full rank with singular values s_k proportional to k^-power. BenchError unless power >= 0."""
    if not (math.isfinite(power) and power >= 0):
        raise BenchError(f"rank_init.power={power!r}: singular values fall as k^-power; choose a power of 0 or more")
    left, values, right = _singular(rows, columns, generator)
    return _scaled((left * torch.arange(1.0, len(values) + 1) ** -power) @ right, gain)


def dale(rows: int, columns: int, gain: float, generator: torch.Generator, excitatory: float = 0.8) -> Tensor:
    """Half-normal entries whose columns, the units that send, are excitatory or inhibitory (Dale's law).

    excitatory: share of columns with positive entries, which come first. Inhibitory columns are larger, so that
    excitation and inhibition of a unit balance in expectation (Rajan and Abbott 2006). BenchError unless there is one of
    each kind.
    """
    positive = round(excitatory * columns) if 0 < excitatory < 1 else 0
    if not 0 < positive < columns:
        raise BenchError(
            f"rank_init.excitatory={excitatory!r}: of {columns} columns at least one must be excitatory and one inhibitory; "
            "choose a share above 0 and below 1, such as 0.8"
        )
    signs = torch.ones(columns)
    signs[positive:] = -positive / (columns - positive)
    return _scaled(torch.randn(rows, columns, generator=generator).abs() * signs, gain)


def aligned(weight: Tensor, target: Tensor) -> Tensor:
    """`weight` (rows, columns) reflected so that its leading right singular vector is `target` (columns,) up to length.

    A Householder reflection: singular values, and so rank and norm, stay as they are. BenchError if the target is 0.
    """
    if not float(target.norm()) > 0:
        raise BenchError("orientation: the target is zero, it has no direction to align with; leave the slot as it is")
    leading = torch.linalg.svd(weight, full_matrices=False).Vh[0]
    normal = leading - target / target.norm()
    square = normal @ normal
    if float(square) < torch.finfo(weight.dtype).eps:
        return weight
    return weight - 2 * torch.outer(weight @ normal, normal) / square


def _singular(rows: int, columns: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    left, values, right = torch.linalg.svd(torch.randn(rows, columns, generator=generator), full_matrices=False)
    return left, values, right


def _scaled(weight: Tensor, gain: float) -> Tensor:
    if not (math.isfinite(gain) and gain > 0):
        raise BenchError(f"a gain of {gain!r}: the initial weights are scaled to gain sqrt(rows); choose one above 0")
    return weight * (gain * math.sqrt(len(weight)) / weight.norm())
