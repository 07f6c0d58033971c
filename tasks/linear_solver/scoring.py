"""How the answers to right-hand sides are checked and counted, in the scorer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from bench.contract import BenchError
from tasks.linear_solver.conjugate import prepared
from tasks.linear_solver.serving import TOLERANCES, Server
from tasks.linear_solver.systems import System

ROUNDING = 1 + 1e-9  # by which a residual may differ between two processes


@dataclass(frozen=True)
class Counts:
    """Products until each tolerance of each right-hand side (sides, tolerances); the budget where `solved` is False."""

    products: Tensor
    solved: Tensor


def answered(
    sides: Tensor, domains: Tensor, boundary: str, predict: Callable[..., Any], limit: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """(products, solved), each (tolerances,), of right-hand sides (count, *shape) that are asked for one by one.

    A tolerance counts as reached only if the residual of the x that was returned says so. BenchError for an answer of another
    form.
    """
    for b, domain in zip(sides, domains, strict=True):
        answer = predict(b, domain)
        x, products = (answer.get(name) for name in ("x", "products")) if isinstance(answer, dict) else (None, None)
        wanted = (len(TOLERANCES), *b.shape)
        if not isinstance(x, Tensor) or x.shape != wanted or not isinstance(products, Tensor):
            raise BenchError(
                f"an answer is {{x: {wanted}, products: ({len(TOLERANCES)},), history}}, as the task serves it"
            )
        system = System(domain, boundary)
        left = torch.stack([(b - system.apply(iterate)).norm() for iterate in x.double()]) / b.norm()
        solved = (left <= ROUNDING * torch.tensor(TOLERANCES)) & (products >= 1) & (products <= limit)
        yield torch.where(solved, products, limit), solved


def counts(*arguments: Any) -> Counts:
    """The counts of `answered`."""
    products, solved = zip(*answered(*arguments), strict=True)
    return Counts(torch.stack(products), torch.stack(solved))


def conjugate_gradients(sides: Tensor, domains: Tensor, boundary: str, limit: int) -> Counts:
    """What the default part takes for these right-hand sides, by the same rules."""
    log: Any = SimpleNamespace(count=lambda **amounts: None)
    return counts(sides, domains, boundary, Server(prepared, boundary, log, limit, limit, charged=False).solve, limit)


def geometric(values: Tensor | Sequence[float]) -> float:
    """The geometric mean of positive values."""
    return math.exp(sum(math.log(value) for value in torch.as_tensor(values).tolist()) / len(values))


def break_even(own: Tensor, rival: Tensor, spent: int) -> float | None:
    """Solves after which `spent` products are repaid by what `own` takes less than `rival`; None if it takes no less."""
    saved = float((rival - own).double().mean())
    return max(1.0, spent / saved) if saved > 0 else None
