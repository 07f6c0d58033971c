"""`stability/diagonal`: sparse regression with a diagonal linear network, where the trace is an l1-type norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Problem
from bench.seeds import Seeds
from tasks.stability.minima import Minima, shared_metrics, shared_slots

if TYPE_CHECKING:
    from tasks.stability.models import Diagonal

SPARSITY = 5  # entries of the true weights that are 1; the others are 0


@dataclass
class Params:
    """samples: training samples. inputs: dimensions. scale: of u and v at the start. val, test: samples. steps: at most."""

    samples: int = 40
    inputs: int = 100
    scale: float = 0.3
    val: int = 1000
    test: int = 4000
    steps: int = 20000
    evaluations: int = 20


class DiagonalLinear(Minima):
    """x ~ N(0, I), y = x . w with five of w's entries 1 and the rest 0; f(x) = <u*u - v*v, x>, u = v at the start."""

    name = "stability/diagonal"
    version = 2
    Params = Params
    positive = (*Minima.positive, "scale")
    presets = {
        "smoke": {"samples": 20, "inputs": 30, "val": 200, "test": 400, "steps": 1000, "evaluations": 2},
        "small": {},
        "paper": {"samples": 200, "inputs": 1000, "val": 2000, "test": 10000, "steps": 500000},
    }
    metrics = shared_metrics(float(SPARSITY), "|u|^2 + |v|^2, at least the l1 norm of the weights")
    slots = shared_slots(0.03)
    margin = 0.5

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.inputs < SPARSITY:
            raise BenchError(f"task.inputs={params.inputs}: the target has {SPARSITY} entries that are not 0")

    def model(self) -> Diagonal:
        from tasks.stability.models import Diagonal

        return Diagonal(self.params.inputs, self.params.scale)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.stability.models import DTYPE

        p = self.params
        sets = {}
        for name, count in (("train", p.samples), ("val", p.val), ("test", p.test)):
            x = seeds.stream("data", name).normal(count, p.inputs, dtype=DTYPE)
            sets[name] = (x, x[:, :SPARSITY].sum(dim=1))
        x, y = sets["train"]
        return Problem({"x": x, "y": y}, sets)
