"""Approximations of a Hessian, each made of what a `tasks.second_order.functions` function offers.

Which of them fit gradient-normalized smoothness, and at what rate, is the subject of arXiv 2506.13710.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def gauss_newton(*, function: Any, x: Tensor) -> Any:
    """The Hessian without the part that the function's structure lets one drop; positive semidefinite."""
    return function.gauss_newton(x)


def fisher(*, function: Any, x: Tensor) -> Any:
    """First derivatives only: the empirical Fisher matrix of a classifier, or a matrix of rank one for a system of equations."""
    return function.fisher(x)


def diagonal(*, function: Any, x: Tensor) -> Any:
    """The diagonal of the Hessian, negative entries replaced by 0."""
    return function.diagonal(x)


def zero(*, function: Any, x: Tensor) -> Any:
    """No second derivatives: GNS-Newton becomes gradient descent with normalised steps."""
    return function.nothing(x)


def bound(*, function: Any, x: Tensor) -> Any:
    """A constant matrix above the Hessian everywhere, X'X / 4n in logistic regression. Valid, and no good approximation."""
    return function.bound()
