"""Effective ranks and purities against matrices and functions whose spectra are known."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from bench.metrics.spectra import effective_rank, fourier_power, fourier_purity, irrep_power, irrep_purity


def cyclic(order):
    """All complex irreducible representations of the cyclic group."""
    k = torch.arange(order, dtype=torch.float64)
    return [torch.exp(2j * math.pi * j * k / order).reshape(order, 1, 1) for j in range(order)]


def symmetric_3():
    """Trivial, sign and the two-dimensional representation of S3, orthonormal, elements in lexicographic order."""
    permutations = list(itertools.permutations(range(3)))
    matrices = torch.stack([torch.eye(3, dtype=torch.float64)[:, list(p)] for p in permutations])
    plane = torch.tensor([[1.0, -1, 0], [1, 1, -2]], dtype=torch.float64) / torch.tensor([[2.0], [6.0]]).sqrt()
    return [torch.ones(6, 1, 1), torch.linalg.det(matrices).reshape(6, 1, 1), plane @ matrices @ plane.T]


@pytest.mark.parametrize("kind", ["participation", "entropy"])
def test_equal_singular_values_have_their_rank_and_scale_does_not_matter(kind):
    basis = torch.linalg.qr(torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).Q
    for rank in (1, 3, 8):
        assert effective_rank(basis[:, :rank] @ basis[:rank], kind) == pytest.approx(rank)
        assert effective_rank(1e-6 * basis[:, :rank] @ basis[:rank], kind) == pytest.approx(rank)


def test_effective_ranks_of_a_worked_example():
    """Singular values 3 and 1: (3 + 1)² / (9 + 1) = 1.6; the entropy of (3/4, 1/4) is log 4 - (3/4) log 3."""
    matrix = torch.diag(torch.tensor([3.0, 1.0, 0.0]))
    assert effective_rank(matrix) == pytest.approx(1.6)
    assert effective_rank(matrix, "entropy") == pytest.approx(4 / 3**0.75)


def test_a_tensor_without_an_effective_rank_is_an_error():
    with pytest.raises(ValueError, match="expected a matrix"):
        effective_rank(torch.ones(3))
    with pytest.raises(ValueError, match="zeros"):
        effective_rank(torch.zeros(2, 2))
    with pytest.raises(ValueError, match="diverged"):
        effective_rank(torch.full((2, 2), torch.nan))
    with pytest.raises(ValueError, match="participation and entropy"):
        effective_rank(torch.eye(2), "nuclear")  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [7, 8])
def test_fourier_power_is_parsevals(order):
    w = torch.randn(5, order, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    power = fourier_power(w).sum(1) + w.mean(1).square() * order
    torch.testing.assert_close(power, w.square().sum(1))


def test_a_wave_is_pure_and_a_delta_is_not():
    t = torch.arange(11, dtype=torch.float64)
    wave = torch.cos(2 * math.pi * 3 * t / 11 + 0.4) + 5
    two = torch.cos(2 * math.pi * t / 11) + 2 * torch.cos(2 * math.pi * 4 * t / 11)
    delta = (t == 0).double()
    purity = fourier_purity(torch.stack([wave, two, delta, torch.ones(11)]))
    torch.testing.assert_close(purity, torch.tensor([1, 0.8, 0.2, 0], dtype=torch.float64))


def test_operands_are_added():
    t = torch.arange(11, dtype=torch.float64)
    a, b = torch.cos(2 * math.pi * t / 11), torch.sin(4 * math.pi * t / 11)
    assert float(fourier_purity(torch.stack([a, 2 * b])[None])) == pytest.approx(0.8)
    assert float(irrep_purity(torch.stack([a, 2 * b])[None], cyclic(11))) == pytest.approx(0.8)


@pytest.mark.parametrize("order", [2, 7, 8])
def test_the_irreps_of_a_cyclic_group_are_its_frequencies(order):
    w = torch.randn(5, order, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(irrep_purity(w, cyclic(order)), fourier_purity(w))


def test_real_and_complex_irreps_give_the_same():
    order, t = 5, torch.arange(5, dtype=torch.float64)
    real = [torch.ones(5, 1, 1, dtype=torch.float64)]
    for k in (1, 2):
        c, s = torch.cos(2 * math.pi * k * t / order), torch.sin(2 * math.pi * k * t / order)
        real.append(torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2))
    w = torch.randn(4, order, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(irrep_power(w, real).sum(1), w.square().sum(1))
    torch.testing.assert_close(irrep_purity(w, real), irrep_purity(w, cyclic(order)))


def test_matrix_coefficients_are_pure_in_a_group_that_does_not_commute():
    irreps = symmetric_3()
    w = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(irrep_power(w, irreps).sum(1), w.square().sum(1))
    plane = irreps[2]
    rows = torch.stack([plane[:, 0, 1], plane[:, 1, 1] + 3, irreps[1][:, 0, 0].double(), torch.ones(6).double()])
    torch.testing.assert_close(irrep_purity(rows, irreps), torch.tensor([1, 1, 1, 0], dtype=torch.float64))
    mixed = plane[:, 0, 0] + irreps[1][:, 0, 0]  # squared norms 6/2 and 6
    assert float(irrep_purity(mixed[None], irreps)) == pytest.approx(2 / 3)


def test_a_wrong_list_of_irreps_is_an_error():
    w, irreps = torch.ones(2, 6), symmetric_3()
    with pytest.raises(ValueError, match="hold 2 of the 6"):
        irrep_purity(w, irreps[:2])
    with pytest.raises(ValueError, match="expected"):
        irrep_purity(torch.ones(2, 5), irreps)
    with pytest.raises(ValueError, match="unitary"):
        irrep_purity(w, [*irreps[:2], 2 * irreps[2]])
    with pytest.raises(ValueError, match="share a part"):
        irrep_purity(w, [irreps[0], irreps[0], irreps[2]])
    with pytest.raises(ValueError, match="trivial"):
        irrep_purity(torch.ones(2, 1), [torch.ones(1, 1, 1)])
    with pytest.raises(ValueError, match="rows, order"):
        fourier_purity(torch.ones(3))
    with pytest.raises(ValueError, match="diverged"):
        fourier_purity(torch.full((2, 3), torch.nan))
    with pytest.raises(ValueError, match="frequency"):
        fourier_purity(torch.ones(2, 1))
