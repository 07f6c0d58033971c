"""Closed forms for estimates from k random directions in d dimensions, derived here and tested.

With normal directions U (k, d) the estimate is U^T U g / k. Turn the axes so that g = |g| e_1; then U = (a, V) with a (k,) and V
(k, d - 1) independent, U^T U e_1 = (|a|^2, V^T a), and |V^T a|^2 = |a|^2 chi^2(d - 1). So cos^2 = |a|^2 / (|a|^2 + chi^2(d - 1)),
which is Beta(k/2, (d - 1)/2) exactly, whatever g is.
"""

from __future__ import annotations


def cosine_squared(directions: float, dimension: float) -> float:
    """Mean of cos^2 between estimate and gradient, k/(d + k - 1): exact for normal directions, and for signs at k = 1."""
    return directions / (dimension + directions - 1)


def cosine_squared_at(dimension: float, *, directions: int) -> float:
    """`cosine_squared` as a line over the dimension."""
    return cosine_squared(directions, dimension)


def relative_variance(directions: float, dimension: float, law: str) -> float:
    """E|estimate - g|^2 / |g|^2 without curvature along a direction: (d + 1)/k for normal directions, (d - 1)/k for signs."""
    return (dimension + (1 if law == "gaussian" else -1)) / directions


def coordinate_cosine_squared(directions: float, dimension: float) -> float:
    """Mean of cos^2 with k coordinates drawn without replacement, k/d: each holds 1/d of |g|^2 in the mean."""
    return min(directions, dimension) / dimension
