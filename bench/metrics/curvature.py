"""Curvature of a loss at given parameters, by automatic differentiation.

`loss` is a deterministic closure without arguments (no dropout; batch norm in evaluation mode) that returns a scalar tensor;
it is called once, with gradients enabled. `.grad` is neither read nor written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

CHUNK = 1 << 24  # the most numbers of a Jacobian in memory, 64 MB in float32


def leaves(params: Iterable[Tensor]) -> list[Tensor]:
    """The parameters as a list. ValueError if there are none, one needs no gradient, or one is complex."""
    parameters = list(params)
    if not parameters:
        raise ValueError("no parameters: the derivative with respect to nothing is undefined")
    for p in parameters:
        if not p.requires_grad:
            raise ValueError(f"a parameter of shape {tuple(p.shape)} needs no gradient; leave it out")
        if p.is_complex():
            raise ValueError("complex parameters are not supported; parametrise by torch.view_as_real")
    return parameters


def _gradient(loss: Callable[[], Tensor], params: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradient with its graph. Attention uses its plain kernel, since the fused ones have no second derivative."""
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        value = loss()
        if value.numel() != 1:
            raise ValueError(f"the loss has shape {tuple(value.shape)}; curvature is that of a scalar")
        if not value.requires_grad:
            raise ValueError("the loss does not depend on parameters; compute it inside the closure, without detach")
        return torch.autograd.grad(value.reshape(()), params, create_graph=True, materialize_grads=True)


def _product(gradient: Sequence[Tensor], params: Sequence[Tensor], vector: Sequence[Tensor]) -> tuple[Tensor, ...]:
    with torch.enable_grad():
        slope = sum(((g * v).sum() for g, v in zip(gradient, vector, strict=True)), torch.zeros(()))
        if not slope.requires_grad:  # the loss is linear in all parameters
            return tuple(torch.zeros_like(p) for p in params)
        return torch.autograd.grad(slope, params, retain_graph=True, materialize_grads=True)


def hessian_vector_product(
    loss: Callable[[], Tensor], params: Iterable[Tensor], vector: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """H v, one tensor a parameter like v, by differentiating the gradient's product with v (Pearlmutter 1994). ValueError for
    a vector of other shapes, or a loss that is no scalar."""
    parameters = leaves(params)
    if [v.shape for v in vector] != [p.shape for p in parameters]:
        raise ValueError("the vector needs one tensor a parameter, of the parameter's shape")
    return _product(_gradient(loss, parameters), parameters, vector)


def hessian_trace(
    loss: Callable[[], Tensor], params: Iterable[Tensor], samples: int, generator: torch.Generator | None = None
) -> float:
    """Trace of the Hessian, estimated as the mean of v'Hv over `samples` vectors of random signs (Hutchinson 1990).

    Unbiased, with variance 2 (|H|² - |diag H|²) / samples in Frobenius norms: exact for a diagonal Hessian. generator: a
    CPU generator; the default one if None. ValueError for no samples.
    """
    if samples < 1:
        raise ValueError(f"samples={samples}: the trace needs at least one random vector")
    parameters = leaves(params)
    gradient = _gradient(loss, parameters)
    total = 0.0
    for _ in range(samples):
        draws = (torch.randint(0, 2, p.shape, generator=generator) * 2 - 1 for p in parameters)
        signs = [draw.to(dtype=p.dtype, device=p.device) for draw, p in zip(draws, parameters, strict=True)]
        product = _product(gradient, parameters, signs)
        total += sum(float((v * h).double().sum()) for v, h in zip(signs, product, strict=True))
    return total / samples


def top_eigenvalue(
    loss: Callable[[], Tensor], params: Iterable[Tensor], steps: int = 20, generator: torch.Generator | None = None
) -> float:
    """Largest (most positive) eigenvalue of the Hessian, the sharpness, by Lanczos' iteration from a random vector.

    steps: Hessian-vector products, at most the number of parameters. The estimate grows with them and is never above the
    true value but for rounding; with as many steps as parameters it is the value. The basis is kept orthogonal in
    float64, steps x parameters numbers. ValueError for no steps, FloatingPointError for a Hessian that is not finite.
    """
    if steps < 1:
        raise ValueError(f"steps={steps}: Lanczos' iteration needs at least one")
    parameters = leaves(params)
    gradient = _gradient(loss, parameters)
    sizes = [p.numel() for p in parameters]
    start = torch.randn(sum(sizes), generator=generator, dtype=torch.float64)
    basis = [start / start.norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        pieces = zip(basis[-1].split(sizes), parameters, strict=True)
        parts = [piece.reshape(p.shape).to(dtype=p.dtype, device=p.device) for piece, p in pieces]
        product = torch.cat([h.reshape(-1).double().cpu() for h in _product(gradient, parameters, parts)])
        if not bool(product.isfinite().all()):
            raise FloatingPointError("the Hessian is not finite here: the run has diverged")
        diagonal.append(float(basis[-1] @ product))
        known = torch.stack(basis)
        for _ in range(2):  # one pass leaves rounding errors, which grow as the eigenvalue converges
            product = product - known.T @ (known @ product)
        norm = float(product.norm())
        scale = max(map(abs, [*diagonal, *beside]))
        if len(basis) == min(steps, len(start)) or norm <= 1e-12 * max(scale, math.ulp(0.0)):
            break
        beside.append(norm)
        basis.append(product / norm)
    off = torch.tensor(beside, dtype=torch.float64)
    tridiagonal = torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + torch.diag(off, 1) + torch.diag(off, -1)
    return float(torch.linalg.eigvalsh(tridiagonal)[-1])


def jacobian_rows(outputs: Tensor, params: Iterable[Tensor], chunk: int = CHUNK) -> Iterator[Tensor]:
    """The Jacobian of all numbers of `outputs` by all parameters, in blocks (rows, parameters) of at most `chunk` numbers.
    ValueError if `outputs` carry no graph."""
    parameters = leaves(params)
    if not outputs.requires_grad:
        raise ValueError("the outputs carry no graph; compute them under torch.enable_grad(), without detach")
    with torch.enable_grad():
        flat = outputs.reshape(-1)
    rows = max(1, chunk // sum(p.numel() for p in parameters))
    for first in range(0, len(flat), rows):
        count = min(rows, len(flat) - first)
        units = torch.zeros(count, len(flat), dtype=flat.dtype, device=flat.device)
        units[torch.arange(count), first + torch.arange(count)] = 1
        blocks = torch.autograd.grad(
            flat, parameters, units, retain_graph=True, is_grads_batched=True, materialize_grads=True
        )
        yield torch.cat([block.reshape(count, -1) for block in blocks], 1)


def gauss_newton_trace(outputs: Tensor, params: Iterable[Tensor]) -> float:
    """Mean over samples of |d f(x_i) / d params|², outputs (n,) or (n, outputs), summed over outputs of a sample.

    The trace of the Gauss-Newton matrix (1/n) J'J of the loss 1/(2n) sum |f(x_i) - y_i|²; where that loss is 0 it is the
    trace of the Hessian (Wu and Su 2023, arXiv 2305.17490). ValueError for outputs without samples or without a graph.
    """
    if outputs.ndim == 0 or len(outputs) == 0:
        raise ValueError(f"outputs of shape {tuple(outputs.shape)} have no samples; expected (n,) or (n, outputs)")
    return sum(float(block.double().square().sum()) for block in jacobian_rows(outputs, params)) / len(outputs)
