"""What a method of bilevel optimisation may ask: gradients and curvature of both levels, each counted."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Generator, Tensor

from bench.contract import Log

Pair = tuple[Tensor, Tensor]


class Model(Protocol):
    """Upper loss f(x, y) and lower loss g(x, y), x (dx,) in a convex set X, y (dy,) in a convex set Y.

    A draw is what makes one stochastic sample of both losses; at draw None they are exact. smoothness: bounds on the
    Lipschitz constants of the gradients of f and g in y, over X. scale: the rough size of psi's second derivatives.
    """

    smoothness: tuple[float, float]
    scale: float

    def draw(self, generator: Generator) -> Any: ...
    def upper_value(self, x: Tensor, y: Tensor, draw: Any = None) -> float: ...
    def upper(self, x: Tensor, y: Tensor, draw: Any = None) -> Pair: ...
    def lower(self, x: Tensor, y: Tensor, draw: Any = None) -> Pair: ...
    def curvature(self, x: Tensor, y: Tensor, v: Tensor, draw: Any = None) -> Pair: ...
    def project_x(self, x: Tensor) -> Tensor: ...
    def project_y(self, y: Tensor) -> Tensor: ...

    def hyper(self, x: Tensor) -> tuple[float, Tensor]:
        """psi(x) = min of f over the solutions y of the lower problem at x, and its gradient (dx,)."""

    def penalised(self, x: Tensor, sigma: float) -> tuple[float, Tensor] | None:
        """psi_sigma(x) = (min_y (sigma f + g) - min_z g) / sigma and its gradient; None where neither has a closed form."""


class Oracle:
    """Counted access to a `Model`. A gradient or a value of either level at one point costs 1 of the budget, a product with
    the lower level's second derivatives 2: it takes about two gradients. Raises Exhausted when the budget is spent.

    smoothness, scale: see `Model`. Without a `draw` each call is a sample of its own; a draw that is given to several calls
    makes them the same sample, as the mean-squared smoothness of the paper's single-loop method wants.
    """

    def __init__(self, model: Model, log: Log, generator: Generator) -> None:
        self._model, self._log, self._generator = model, log, generator
        self.smoothness, self.scale = model.smoothness, model.scale
        self.project_x, self.project_y = model.project_x, model.project_y
        self.spent = 0

    def draw(self) -> Any:
        """A sample of both levels; None where they are deterministic."""
        return self._model.draw(self._generator)

    def upper_value(self, x: Tensor, y: Tensor, draw: Any = None) -> float:
        """f(x, y)."""
        self._spend(1)
        return self._model.upper_value(x, y, self._sample(draw))

    def upper(self, x: Tensor, y: Tensor, draw: Any = None) -> Pair:
        """Gradient of f: its parts in x (dx,) and y (dy,)."""
        self._spend(1)
        return self._model.upper(x, y, self._sample(draw))

    def lower(self, x: Tensor, y: Tensor, draw: Any = None) -> Pair:
        """Gradient of g: its parts in x (dx,) and y (dy,)."""
        self._spend(1)
        return self._model.lower(x, y, self._sample(draw))

    def curvature(self, x: Tensor, y: Tensor, v: Tensor, draw: Any = None) -> Pair:
        """Second derivatives of g times v (dy,): (d/dx of g_y . v (dx,), g_yy v (dy,))."""
        self._spend(2)
        return self._model.curvature(x, y, v, self._sample(draw))

    def _sample(self, draw: Any) -> Any:
        return self.draw() if draw is None else draw

    def _spend(self, gradients: int) -> None:
        self._log.count(gradients=gradients)
        self.spent += gradients
