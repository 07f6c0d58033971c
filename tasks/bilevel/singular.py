"""`bilevel/singular`: two quadratic levels; the lower one has a plane of solutions, the best of which counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.bilevel import quadratic
from tasks.bilevel.quadratic import Quadratic


@dataclass
class Params(quadratic.Params):
    """As `bilevel/quadratic`. rank: of the lower curvature, below `lower`; `condition` is that of its part that is not 0."""

    rank: int = 6


class Singular(Quadratic):
    """g = |Ay - Bx - b|^2 / 2 with A (rank, lower), so Q = A'A, P = A'B, c = A'b. C is normal: which of the solutions is
    best for the upper level depends on x, and a method that takes any of them gets another gradient.
    """

    name: ClassVar[str] = "bilevel/singular"
    Params: ClassVar[type] = Params
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"upper": 2, "lower": 4, "rank": 2, "gradients": 600, "evaluations": 6},
        "small": {},
        "paper": {"upper": 100, "lower": 100, "rank": 60, "gradients": 200000},
    }
    positive = (*Quadratic.positive, "rank")
    reference = "penalty_double_loop"
    margin = 2.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.rank >= params.lower:
            raise BenchError(f"task.rank={params.rank}: below task.lower={params.lower}, else use bilevel/quadratic")

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p, dtype = self.params, torch.float64
        left = torch.linalg.qr(seeds.stream("data", "left").normal(p.rank, p.rank, dtype=dtype))[0]
        right = torch.linalg.qr(seeds.stream("data", "basis").normal(p.lower, p.rank, dtype=dtype))[0]
        values = p.condition ** (-torch.linspace(0, 1, p.rank, dtype=dtype) / 2)
        a = (left * values) @ right.T
        coupling = seeds.stream("data", "coupling").normal(p.rank, p.upper, dtype=dtype) / p.upper**0.5
        outer = seeds.stream("data", "outer").normal(p.lower, p.lower, dtype=dtype)
        force = seeds.stream("data", "force").normal(p.rank, dtype=dtype)
        public = {"Q": a.T @ a, "P": a.T @ coupling, "c": a.T @ force, "C": outer / torch.linalg.matrix_norm(outer, 2)}
        return self.started(public, seeds)
