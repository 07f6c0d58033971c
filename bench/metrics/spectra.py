"""Spectra of weights: effective rank, and purity over the frequencies or irreducible representations of a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor


def effective_rank(matrix: Tensor, kind: Literal["participation", "entropy"] = "participation") -> float:
    """Effective rank of a matrix (m, n) from its singular values s: between 1 and the rank, the rank if they are equal.

    participation: (sum s)² / sum s², used by Liu et al. 2023 (arXiv 2310.08513). entropy: exp of the entropy of s / sum s
    (Roy and Vetterli 2007). ValueError for what is no matrix, not finite, or zero, and for another kind.
    """
    if matrix.ndim != 2:
        raise ValueError(f"a tensor of shape {tuple(matrix.shape)} has no rank; expected a matrix")
    if not bool(matrix.isfinite().all()):
        raise ValueError("the matrix is not finite: the run has diverged")
    wide = torch.complex128 if matrix.is_complex() else torch.float64
    values = torch.linalg.svdvals(matrix.detach().to(wide))
    total = values.sum()
    if float(total) == 0:
        raise ValueError("the effective rank of a matrix of zeros is undefined")
    shares = values / total
    if kind == "participation":
        return float(1 / shares.square().sum())
    if kind == "entropy":
        return float(torch.special.entr(shares).sum().exp())
    raise ValueError(f"kind={kind!r}; there are participation and entropy")


def _functions(weights: Tensor) -> Tensor:
    """Weights as real functions on a group: (rows, operands, order) float64."""
    if weights.ndim not in (2, 3) or weights.is_complex():
        expected = "expected real (rows, order) or (rows, operands, order)"
        raise ValueError(f"weights of shape {tuple(weights.shape)}, {weights.dtype}; {expected}")
    if not bool(weights.isfinite().all()):
        raise ValueError("the weights are not finite: the run has diverged")
    functions = weights.detach().double()
    return functions[:, None] if functions.ndim == 2 else functions


def _purity(power: Tensor, functions: Tensor) -> Tensor:
    """The share of the strongest part, 0 where all parts together are rounding errors of the functions' power."""
    varying = power.sum(-1)
    whole = functions.square().sum((1, 2))
    return torch.where(varying > 1e-24 * whole, power.amax(-1) / varying.clamp_min(torch.finfo(power.dtype).tiny), 0.0)


def fourier_power(weights: Tensor) -> Tensor:
    """(rows, M // 2) power of each row at the frequencies 1, 2, … of the cyclic group of order M; operands are added.

    weights (rows, M), or (rows, operands, M) for neurons that read several group elements. With the power of the mean it
    sums to |row|² (Parseval). ValueError for complex weights, weights that are not finite, and M < 2.
    """
    functions = _functions(weights)
    order = functions.shape[-1]
    if order < 2:
        raise ValueError(f"a cyclic group of order {order} has no frequency but 0")
    power = torch.fft.rfft(functions, norm="ortho").abs().square().sum(1)[:, 1:] * 2
    if order % 2 == 0:
        power[:, -1] /= 2  # the alternating function is its own conjugate
    return power


def fourier_purity(weights: Tensor) -> Tensor:
    """(rows,) share of a row's power, the mean left out, at its strongest frequency; 1 for a pure wave, 0 for a constant,
    about log(n) / n for noise at n = M/2 frequencies. weights and errors as in `fourier_power`."""
    return _purity(fourier_power(weights), _functions(weights))


def irrep_power(weights: Tensor, irreps: Sequence[Tensor]) -> Tensor:
    """(rows, irreps) power of each row in each irreducible representation of a group; operands are added.

    weights: (rows, M) or (rows, operands, M), real functions on the M group elements. irreps: the complete list over the
    complex or over the real numbers, each (M, d, d), the unitary matrices in the weights' order. The power in ρ is d / (M
    <χ,χ>) |sum_g w(g) ρ(g)|², χ its character; the powers sum to |row|² (Plancherel). ValueError for weights as in
    `fourier_power`, and for a list that is not complete, not unitary, or names one twice.
    """
    functions = _functions(weights)
    order = functions.shape[-1]
    if order < 2:
        raise ValueError(f"a group of order {order} has no representation but the trivial one")
    powers, characters, dimensions = [], [], 0.0
    for i, table in enumerate(irreps):
        if table.ndim != 3 or table.shape[0] != order or table.shape[1] != table.shape[2]:
            raise ValueError(f"irrep {i} has shape {tuple(table.shape)}; expected ({order}, d, d)")
        matrices = table.to(torch.complex128)
        d = matrices.shape[-1]
        if not torch.allclose(matrices @ matrices.mH, torch.eye(d, dtype=matrices.dtype), atol=1e-6):
            raise ValueError(f"irrep {i} is not unitary; choose an orthonormal basis for it")
        character = matrices.diagonal(dim1=-2, dim2=-1).sum(-1)
        norm = float(character.abs().square().mean())
        coefficients = torch.einsum("rog,gij->roij", functions.to(matrices.dtype), matrices)
        powers.append(coefficients.abs().square().sum((1, 2, 3)) * d / (order * norm))
        characters.append(character)
        dimensions += d * d / norm
    if abs(dimensions - order) > 1e-6 * order:
        raise ValueError(
            f"the irreps hold {dimensions:g} of the {order} dimensions of functions; give each of them once"
        )
    rows = torch.stack(characters)
    products = (rows @ rows.mH).abs() / order
    if float((products - products.diagonal().diag()).max()) > 1e-6:
        raise ValueError("two irreps share a part: one is given twice, or one is reducible")
    return torch.stack(powers, -1)


def irrep_purity(weights: Tensor, irreps: Sequence[Tensor]) -> Tensor:
    """(rows,) share of a row's power, the trivial representation left out, in its strongest irreducible representation.

    A complex representation and its conjugate count as one, as they are one over the reals: for a cyclic group this is
    `fourier_purity`. 1 for a row within one representation, 0 for a constant. weights, irreps and errors as in
    `irrep_power`. Tian 2025 (arXiv 2509.21519): the local maxima of the energy have purity 1.
    """
    power = irrep_power(weights, irreps)
    characters = torch.stack([m.to(torch.complex128).diagonal(dim1=-2, dim2=-1).sum(-1) for m in irreps])
    parts = []
    for i, character in enumerate(characters):
        if torch.allclose(character, torch.ones_like(character)):
            continue
        partners = [j for j in range(len(irreps)) if torch.allclose(characters[j], character.conj())]
        if partners[0] < i:
            continue  # counted with its conjugate
        parts.append(power[:, sorted({i, *partners})].sum(-1))
    return _purity(torch.stack(parts, -1), _functions(weights))
