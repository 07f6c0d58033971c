"""Discrete Poisson equations on a square or a cube with obstacles, and the count of products with their matrices.

The matrix is the stencil of 2 dims + 1 points without its factor 1 / h^2. Around a Dirichlet domain, and in an obstacle, the
solution is 0; through a Neumann border, and into an obstacle of such a domain, nothing flows. Rows of obstacles are those of
the identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.contract import BenchError, Exhausted, Log

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BOUNDARIES = ("dirichlet", "neumann")
MEAN = 1e-9  # the share of a right-hand side's norm that its constant part may have where the matrix is singular


class Meter:
    """Counts products with a matrix in `unit` of the log, and raises Exhausted before one that would be beyond `limit`."""

    def __init__(self, log: Log, unit: str, limit: int) -> None:
        self.log, self.unit, self.limit, self.spent = log, unit, limit, 0

    def charge(self, products: int) -> None:
        if self.spent + products > self.limit:
            raise Exhausted(f"{self.limit} {self.unit} are spent")
        self.log.count(**{self.unit: products})
        self.spent += products


class System:
    """The matrix A of one domain. Fields are tensors of the domain's shape, batches of them have that shape at the end.

    domain: bool, True where the equation holds, False in an obstacle; two or three equal sides. singular: whether A maps the
    constant to 0, so that solutions have mean 0 and right-hand sides have to. meter: of what `multiply` spends.
    """

    def __init__(self, domain: Tensor, boundary: str, meter: Meter | None = None) -> None:
        if boundary not in BOUNDARIES:
            raise BenchError(f"boundary={boundary!r}: there are {' and '.join(BOUNDARIES)}")
        if domain.dtype != torch.bool or not domain.any():
            raise BenchError("a domain is a bool tensor with at least one cell that is True")
        if boundary == "neumann" and pieces(domain) > 1:
            raise BenchError(
                "obstacles cut this Neumann domain in pieces, so that the matrix is singular in more than the constant; "
                "leave a way between them"
            )
        self.domain, self.boundary, self.meter = domain, boundary, meter
        self.shape, self.dims = domain.shape, domain.dim()
        self.singular = boundary == "neumann"
        self._fluid = domain.double()
        neighbours = torch.zeros(self.shape, dtype=torch.float64)
        for low, high in self._pairs(self.dims):
            neighbours[low] += self._fluid[high]
            neighbours[high] += self._fluid[low]
        self.diagonal = torch.where(domain, neighbours if self.singular else 2.0 * self.dims, 1.0)
        self._whole = bool(domain.all())
        self._matrix = self._assembled()

    def multiply(self, x: Tensor) -> Tensor:
        """A x for fields x (..., *shape): one product a field, two where its derivative is recorded, whose use is another one."""
        if self.meter is not None:
            recorded = torch.is_grad_enabled() and x.requires_grad
            self.meter.charge((1 + recorded) * (x.numel() // self.domain.numel()))
        return self.apply(x)

    def apply(self, x: Tensor) -> Tensor:
        """`multiply` without a charge, for the scorer. A single field of float64 goes the fastest way, as a sparse product."""
        if x.shape == self.shape and x.dtype == torch.float64 and not x.requires_grad:
            return torch.from_numpy(self._matrix @ x.reshape(-1).numpy()).reshape(self.shape)
        if self._whole:
            return self._stencil(x)
        fluid = self._fluid.to(x.dtype)
        return self._stencil(x * fluid) * fluid + x * (1 - fluid)

    def _stencil(self, x: Tensor) -> Tensor:
        y = x * self.diagonal.to(x.dtype)
        for low, high in self._pairs(x.dim()):
            y[low] -= x[high]
            y[high] -= x[low]
        return y

    def _pairs(self, dims: int) -> list[tuple[Any, Any]]:
        """For each axis of the grid, the last of `dims` axes: (all but the last, all but the first) of its cells."""
        whole = (slice(None),) * dims
        pairs = []
        for axis in range(dims - self.dims, dims):
            low, high = list(whole), list(whole)
            low[axis], high[axis] = slice(None, -1), slice(1, None)
            pairs.append((tuple(low), tuple(high)))
        return pairs

    def project(self, x: Tensor) -> Tensor:
        """x (..., *shape) with 0 in obstacles and, where A is singular, mean 0 over the rest."""
        fluid = self._fluid.to(x.dtype)
        x = x if self._whole else x * fluid
        if not self.singular:
            return x
        axes = tuple(range(-self.dims, 0))
        return x - fluid * (x.sum(axes, keepdim=True) / fluid.sum())

    def matrix(self) -> csr_matrix:
        """A (cells, cells) in float64, for the set-up of a solver. What is later multiplied by it in place of A is a product."""
        return self._matrix.copy()

    def _assembled(self) -> csr_matrix:
        from scipy import sparse

        index = torch.arange(self.domain.numel()).reshape(self.shape)
        rows, columns, values = [index.reshape(-1)], [index.reshape(-1)], [self.diagonal.reshape(-1)]
        for low, high in self._pairs(self.dims):
            joined = (self.domain[low] & self.domain[high]).reshape(-1)
            first, second = index[low].reshape(-1)[joined], index[high].reshape(-1)[joined]
            rows += [first, second]
            columns += [second, first]
            values += [torch.full((2 * len(first),), -1.0, dtype=torch.float64)]
        entries = (torch.cat(values).numpy(), (torch.cat(rows).numpy(), torch.cat(columns).numpy()))
        return sparse.csr_matrix(entries, shape=2 * (self.domain.numel(),))

    def checked(self, b: Tensor) -> Tensor:
        """A right-hand side (*shape) in float64. BenchError unless it is finite, not 0, of this shape, and has a solution."""
        if b.shape != self.shape:
            raise BenchError(f"a right-hand side of shape {tuple(b.shape)} on a domain of shape {tuple(self.shape)}")
        b = b.double()
        size = float(b.norm())
        if not 0 < size < float("inf"):
            raise BenchError(f"a right-hand side of norm {size}: it has to be above 0 and finite")
        if float((b - self.project(b)).norm()) > MEAN * size:
            reason = (
                "its mean is not 0, so the singular system has no solution" if self.singular else "it is not 0 there"
            )
            raise BenchError(f"the right-hand side does not fit the domain ({reason}); give system.project(b)")
        return b


def pieces(domain: Tensor) -> int:
    """The number of connected parts of a bool domain; cells are joined through their sides."""
    from scipy import ndimage

    return int(ndimage.label(domain.numpy())[1])
