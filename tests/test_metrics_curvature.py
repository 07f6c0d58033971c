"""Curvature against Hessians that are known in closed form."""

from __future__ import annotations

import pytest
import torch

from bench.metrics.curvature import gauss_newton_trace, hessian_trace, hessian_vector_product, top_eigenvalue


def quadratic(n=12, seed=0):
    """½ w'Aw with A symmetric of known eigenvalues, over two parameter tensors."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64)).Q
    eigenvalues = torch.linspace(-4.0, 3.0, n, dtype=torch.float64)
    matrix = basis @ eigenvalues.diag() @ basis.T
    params = [
        torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_() for size in ((2, 3), (n - 6,))
    ]

    def loss():
        w = torch.cat([p.reshape(-1) for p in params])
        return w @ matrix @ w / 2

    return loss, params, matrix, eigenvalues


def test_the_product_with_a_quadratic_is_its_matrix():
    loss, params, matrix, _ = quadratic()
    vector = [torch.randn_like(p) for p in params]
    with torch.no_grad():  # as a probe runs
        product = hessian_vector_product(loss, params, vector)
    flat = torch.cat([v.reshape(-1) for v in vector])
    torch.testing.assert_close(torch.cat([h.reshape(-1) for h in product]), matrix @ flat)
    assert all(p.grad is None for p in params)


def test_lanczos_with_as_many_steps_as_parameters_is_exact_and_with_fewer_a_lower_bound():
    loss, params, _, eigenvalues = quadratic()
    top = float(eigenvalues[-1])
    estimates = [top_eigenvalue(loss, params, steps, torch.Generator().manual_seed(1)) for steps in (1, 3, 6, 12, 50)]
    assert estimates == sorted(estimates)
    assert estimates[-1] == pytest.approx(top, rel=1e-10) == estimates[-2]


def test_lanczos_stops_when_the_space_is_used_up():
    w = torch.ones(5, dtype=torch.float64, requires_grad=True)
    assert top_eigenvalue(lambda: 3 * w.square().sum(), [w], 5) == pytest.approx(6.0)
    assert top_eigenvalue(lambda: w.sum(), [w], 5) == 0.0, "a linear loss has no curvature"


def test_the_trace_is_exact_where_the_hessian_is_diagonal():
    w = torch.ones(4, requires_grad=True)
    unused = torch.ones(3, requires_grad=True)
    weights = torch.tensor([1.0, 2.0, 3.0, -4.0])
    assert hessian_trace(lambda: (weights * w.square()).sum() / 2, [w, unused], 1) == pytest.approx(2.0)


def test_the_trace_of_a_quadratic_is_estimated_within_its_own_error():
    loss, params, matrix, eigenvalues = quadratic()
    estimate = hessian_trace(loss, params, 400, torch.Generator().manual_seed(2))
    error = (2 * (matrix.square().sum() - matrix.diagonal().square().sum()) / 400).sqrt()
    assert abs(estimate - float(eigenvalues.sum())) < 3 * float(error)
    assert estimate == hessian_trace(loss, params, 400, torch.Generator().manual_seed(2))


def test_a_loss_with_attention_has_a_second_derivative():
    q = torch.randn(1, 3, 2, generator=torch.Generator().manual_seed(5)).requires_grad_()
    attend = torch.nn.functional.scaled_dot_product_attention

    def plain():
        return ((q @ q.mT / 2**0.5).softmax(-1) @ q).square().sum()

    vector = [torch.ones_like(q)]
    (fused,) = hessian_vector_product(lambda: attend(q, q, q).square().sum(), [q], vector)
    torch.testing.assert_close(fused, hessian_vector_product(plain, [q], vector)[0])


def test_gauss_newton_is_the_hessian_where_a_linear_model_meets_its_data():
    """For 1/(2n) |Xw - y|² the Hessian is X'X / n, at any w."""
    x = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    expected = float((x.T @ x / 7).trace())
    assert gauss_newton_trace(x @ w, [w]) == pytest.approx(expected)
    assert hessian_trace(lambda: (x @ w).square().sum() / 14, [w], 200) == pytest.approx(expected, rel=0.2)


def test_several_outputs_of_a_sample_add_up():
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    weight = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    assert gauss_newton_trace(x @ weight.T, [weight]) == pytest.approx(2 * float(x.square().sum()) / 5)


def test_a_loss_without_curvature_is_an_error():
    w = torch.ones(2, requires_grad=True)
    with pytest.raises(ValueError, match="no parameters"):
        hessian_trace(lambda: w.sum(), [], 1)
    with pytest.raises(ValueError, match="needs no gradient"):
        hessian_trace(lambda: w.sum(), [torch.ones(2)], 1)
    with pytest.raises(ValueError, match="complex"):
        hessian_trace(lambda: w.sum(), [torch.ones(2, dtype=torch.complex64, requires_grad=True)], 1)
    with pytest.raises(ValueError, match="scalar"):
        hessian_trace(lambda: w.square(), [w], 1)
    with pytest.raises(ValueError, match="does not depend"):
        hessian_trace(lambda: torch.ones(()), [w], 1)
    with pytest.raises(ValueError, match="samples=0"):
        hessian_trace(lambda: w.sum(), [w], 0)
    with pytest.raises(ValueError, match="steps=0"):
        top_eigenvalue(lambda: w.sum(), [w], 0)
    with pytest.raises(ValueError, match="one tensor a parameter"):
        hessian_vector_product(lambda: w.square().sum(), [w], [torch.ones(3)])
    with pytest.raises(FloatingPointError, match="diverged"):
        top_eigenvalue(lambda: (w * torch.inf).square().sum(), [w], 2)
    with pytest.raises(ValueError, match="enable_grad"):
        gauss_newton_trace(w.detach(), [w])
    with pytest.raises(ValueError, match="no samples"):
        gauss_newton_trace(w.sum(), [w])
