"""The flow in a cavity with a smooth lid, to many digits: a stream function of polynomials that meet all walls exactly.

psi = lid(x) y^2 (y - 1) + sum of q_jk f_j(x) f_k(y),  f_k(x) = x^2 (1 - x)^2 T_k(2 x - 1), by Newton's method for

    integral of laplace psi (psi_y f_x - psi_x f_y) + laplace psi laplace f / Re = 0    for all products f = f_j f_k

at Reynolds numbers that double up to the one asked for. The velocity is (psi_y, -psi_x). The integral form has second derivatives
only: the fourth ones are not bounded at the corners (Moffatt 1964), where collocation converges slowly.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev
from numpy.polynomial.legendre import leggauss

from bench.contract import BenchError

Array = np.ndarray
STEPS, SMALL = 30, 1e-10  # Newton steps at a Reynolds number, and the change of psi's coefficients at which they end
MORE = 12  # nodes of the quadrature beyond the degree
FIRST = 100.0  # Reynolds number up to which Newton's method starts from the lift


def _derivatives(series: Array, z: Array) -> list[Array]:
    """Values and two derivatives in x = (z + 1) / 2 of Chebyshev series (terms, functions) at z (n,): each (n, functions)."""
    return [2.0**order * chebyshev.chebval(z, chebyshev.chebder(series, order)).T for order in range(3)]


def _walls(degree: int) -> Array:
    """Series of f_0 ... f_degree, combined so that their second derivatives are orthonormal: rounding stays small."""
    bubble = chebyshev.poly2cheb([1 / 16, 0, -1 / 8, 0, 1 / 16])  # (1 - z^2)^2 / 16
    products = [chebyshev.chebmul(bubble, np.eye(degree + 1)[k][: k + 1]) for k in range(degree + 1)]
    series = np.stack([np.pad(product, (0, degree + 5 - len(product))) for product in products], axis=1)
    nodes, weights = leggauss(degree + MORE)
    _, triangle = np.linalg.qr(np.sqrt(weights)[:, None] * _derivatives(series, nodes)[2])
    return np.asarray(np.linalg.solve(triangle.T, series.T).T)


def _lift(lid: int) -> tuple[Array, Array]:
    """Series of lid(x) and of y^2 (y - 1)."""
    along = chebyshev.chebpow(chebyshev.poly2cheb([1, 0, -1]), lid)
    return along[:, None], chebyshev.poly2cheb([-1 / 8, -1 / 8, 1 / 8, 1 / 8])[:, None]  # (z + 1)^2 (z - 1) / 8


class Cavity:
    """The flow at `reynolds` with a lid of (4 x (1 - x))^lid, `degree` of the polynomials. BenchError if Newton fails."""

    def __init__(self, reynolds: float, lid: int, degree: int) -> None:
        self.reynolds, self.lid, self.degree = reynolds, lid, degree
        self.q = np.zeros((degree + 1, degree + 1))
        nodes, weights = leggauss(degree + MORE)
        self.weights = np.outer(weights, weights).reshape(-1)
        base, (along, up) = _derivatives(_walls(degree), nodes), (_derivatives(part, nodes) for part in _lift(lid))
        orders = [(1, 0), (0, 1), (2, 0), (0, 2)]
        self.of_q = [np.kron(base[a], base[b]) for a, b in orders]
        self.of_lift = [np.kron(along[a], up[b])[:, 0] for a, b in orders]
        stages = [reynolds]
        while stages[0] > FIRST:
            stages.insert(0, stages[0] / 2)
        for stage in stages:
            self._solve(stage)

    def _solve(self, reynolds: float) -> None:
        for _ in range(STEPS):
            q = self.q.reshape(-1)
            in_x, in_y, in_xx, in_yy = self.of_q
            bent = in_xx + in_yy
            psi_x, psi_y, psi_xx, psi_yy = (
                lift + matrix @ q for lift, matrix in zip(self.of_lift, self.of_q, strict=True)
            )
            spin, w = psi_xx + psi_yy, self.weights
            missed = (w * spin * psi_y) @ in_x - (w * spin * psi_x) @ in_y + (w * spin) @ bent / reynolds
            slope = in_x.T @ (w[:, None] * (psi_y[:, None] * bent + spin[:, None] * in_y))
            slope -= in_y.T @ (w[:, None] * (psi_x[:, None] * bent + spin[:, None] * in_x))
            slope += bent.T @ (w[:, None] * bent) / reynolds
            step = np.linalg.solve(slope, missed)
            self.q = (q - step).reshape(self.q.shape)
            if np.abs(step).max() < SMALL * max(1.0, np.abs(self.q).max()):
                return
        raise BenchError(
            f"task.reynolds={self.reynolds}: Newton's method finds no flow of degree {self.degree}; raise task.degree"
        )

    def derivative(self, x: Array, y: Array, order: tuple[int, int]) -> Array:
        """The derivative of psi of an order in x and in y, each at most 2, at points (n,)."""
        (a, b), zx, zy = order, 2 * x - 1, 2 * y - 1
        walls, (along, up) = _walls(self.degree), _lift(self.lid)
        lift = _derivatives(along, zx)[a][:, 0] * _derivatives(up, zy)[b][:, 0]
        return lift + np.einsum("nj,jk,nk->n", _derivatives(walls, zx)[a], self.q, _derivatives(walls, zy)[b])

    def velocity(self, x: Array, y: Array) -> tuple[Array, Array]:
        """u and v (n,)."""
        return self.derivative(x, y, (0, 1)), -self.derivative(x, y, (1, 0))
