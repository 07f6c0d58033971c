"""Kernels against closed forms, and the alignment's identities."""

from __future__ import annotations

import pytest
import torch

from bench.metrics.curvature import jacobian_rows
from bench.metrics.kernels import alignment, gram, ntk


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_tangent_kernel_of_a_two_layer_linear_network():
    """f(x) = a'W x: K = |a|² XX' + X W'W X', exactly."""
    x, w, a = normal(6, 4), normal(5, 4, seed=1).requires_grad_(), normal(5, seed=2).requires_grad_()
    expected = a @ a * x @ x.T + x @ w.T @ w @ x.T
    outputs = x @ w.T @ a
    with torch.no_grad():  # as a probe runs
        torch.testing.assert_close(ntk(outputs, [w, a]), expected.detach())


def test_blocks_of_rows_are_the_whole_jacobian():
    x, w = normal(5, 3), normal(2, 3, seed=1).requires_grad_()
    outputs = x @ w.T
    blocks = list(jacobian_rows(outputs, [w], chunk=12))
    assert [len(block) for block in blocks] == [2, 2, 2, 2, 2]
    expected = torch.stack([torch.kron(unit, row) for row in x for unit in torch.eye(2, dtype=torch.float64)])
    torch.testing.assert_close(torch.cat(blocks), expected)
    torch.testing.assert_close(torch.cat(blocks) @ torch.cat(blocks).T, ntk(outputs, [w]))


def test_alignment_is_one_for_proportional_kernels_only():
    k = gram(normal(6, 3))
    other = gram(normal(6, 3, seed=1))
    assert alignment(k, 7 * k) == pytest.approx(1.0)
    assert 0 <= alignment(k, other) < 1
    assert alignment(k, other) == pytest.approx(alignment(3 * other, k))
    assert alignment(torch.tensor([[1.0, 0], [0, 0]]), torch.tensor([[0.0, 0], [0, 1]])) == 0.0
    assert alignment(torch.eye(4), torch.ones(4, 4)) == pytest.approx(0.5), "4 / (2 * 4)"


def test_a_rotation_of_the_features_changes_no_gram_matrix():
    h = normal(6, 4)
    rotation = torch.linalg.qr(normal(4, 4, seed=1)).Q
    torch.testing.assert_close(gram(h @ rotation), gram(h))
    torch.testing.assert_close(gram(h.reshape(6, 2, 2)), gram(h))


def test_a_matrix_that_is_no_kernel_is_an_error():
    with pytest.raises(ValueError, match="square"):
        alignment(torch.eye(2), torch.eye(3))
    with pytest.raises(ValueError, match="zeros"):
        alignment(torch.eye(2), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="diverged"):
        alignment(torch.eye(2), torch.full((2, 2), torch.nan))
    with pytest.raises(ValueError, match="features"):
        gram(torch.ones(3))
    with pytest.raises(ValueError, match="enable_grad"):
        ntk(torch.ones(3), [torch.ones(3, requires_grad=True)])
