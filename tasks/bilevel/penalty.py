"""The reference part: the penalty method in two loops, at a fixed sigma (Kwon et al. 2023, arXiv 2309.01753).

With y_s near the minimum of sigma f + g and z near that of g, the gradient of psi_sigma at x is
f_x(x, y_s) + (g_x(x, y_s) - g_x(x, z)) / sigma. No second derivative is needed. The paper writes lambda for 1 / sigma.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.contract import BenchError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.bilevel.oracle import Oracle

Iterates = Iterator[tuple["Tensor", float | None]]  # (upper variable, its penalty, if it has one)


def positive(part: str, **numbers: float) -> None:
    """BenchError, naming the argument, unless all of a part's `numbers` are above 0 and finite."""
    for name, value in numbers.items():
        if not 0 < value < float("inf"):
            raise BenchError(f"bilevel_method.{name}={value} of {part}: it has to be above 0 and finite")


def double_loop(
    *, oracle: Oracle, x: Tensor, y: Tensor, generator: Generator, sigma: float = 0.01, lr: float = 0.3, inner: float = 1.0,
    steps: int = 10,
) -> Iterates:  # fmt: skip
    """`steps` of projected gradient descent on each of z and y_s, warm from the last x, then one on x.

    lr: rate of x in units of 1 / the oracle's scale. inner: rate of the inner steps in units of 1 / L, L the smoothness in y of
    what they descend on. Yields (x, sigma) after every step of x.
    """
    positive("the penalty method", sigma=sigma, lr=lr, inner=inner, steps=steps)
    of_f, of_g = oracle.smoothness
    rate_y, rate_z = inner / (sigma * of_f + of_g), inner / of_g
    z = y
    while True:
        for _ in range(steps):
            z = oracle.project_y(z - rate_z * oracle.lower(x, z)[1])
            slope = sigma * oracle.upper(x, y)[1] + oracle.lower(x, y)[1]
            y = oracle.project_y(y - rate_y * slope)
        slope = oracle.upper(x, y)[0] + (oracle.lower(x, y)[0] - oracle.lower(x, z)[0]) / sigma
        x = oracle.project_x(x - lr / oracle.scale * slope)
        yield x, sigma
