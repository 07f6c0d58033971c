"""Serving a trained solver: one right-hand side a call, its products counted, its residual checked."""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.contract import BenchError, Exhausted, Log
from tasks.linear_solver.systems import Meter, System

if TYPE_CHECKING:
    from tasks.linear_solver.conjugate import Prepare, Solve

TOLERANCES = (1e-4, 1e-8)  # of |b - A x| / |b|; the first one ranks


class Server:
    """Solves with what `prepare` makes of a domain, which is made once a domain and booked on the phase `setup`.

    products: the most of a solve. setup: the most of a set-up. charged: False for an evaluation during training, whose time is
    not booked.
    """

    def __init__(self, prepare: Prepare, boundary: str, log: Log, products: int, setup: int, charged: bool) -> None:
        self.prepare, self.boundary, self.log = prepare, boundary, log
        self.products, self.setup, self.charged = products, setup, charged
        self._prepared: dict[bytes, tuple[System, Solve]] = {}

    def solve(self, b: Tensor, domain: Tensor) -> dict[str, Any]:
        """x (tolerances, *shape) with the first iterate below each tolerance, NaN where there is none; products (tolerances,)
        made until then, at least 1, or 0; history (iterates, 2) of products and the solver's own relative residual.

        An iterate counts once its true residual, whose product is free, is below the tolerance. BenchError if the solver's
        residual is not finite.
        """
        with torch.no_grad():
            system, solve = self._solver(domain)
            b = system.checked(b)
            meter = system.meter = Meter(self.log, "products", self.products)
            x, products = torch.full((len(TOLERANCES), *b.shape), math.nan, dtype=b.dtype), [0] * len(TOLERANCES)
            history, scale, level = [(0.0, 1.0)], float(b.norm()), 0
            try:
                for iterate, size in solve(b):
                    if not math.isfinite(size):
                        raise BenchError(
                            f"the solver's residual is {size} after {meter.spent} products; it is no solution"
                        )
                    history.append((float(meter.spent), size / scale))
                    while level < len(TOLERANCES) and size <= TOLERANCES[level] * scale:
                        if not float((b - system.apply(iterate)).norm()) <= TOLERANCES[level] * scale:
                            break
                        x[level], products[level] = iterate, max(1, meter.spent)
                        level += 1
                    if level == len(TOLERANCES):
                        break
            except Exhausted:
                pass
        points = torch.tensor(history, dtype=torch.float64)
        return {"x": x, "products": torch.tensor(products), "history": points}

    def _solver(self, domain: Tensor) -> tuple[System, Solve]:
        """The system of a domain and its solver, from the first call with this domain on."""
        key = bytes(domain.shape) + domain.numpy().tobytes()
        if key not in self._prepared:
            with self.log.phase("setup") if self.charged else nullcontext():
                system = System(domain, self.boundary, Meter(self.log, "setup_products", self.setup))
                self._prepared[key] = system, self.prepare(system)
        return self._prepared[key]
