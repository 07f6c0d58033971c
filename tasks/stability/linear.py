"""`stability/linear`: least squares with rows of equal norm, where the threshold of SGD is exactly 2 / trace on every path."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import Curves, Metric, Problem, Solution
from bench.seeds import Seeds
from tasks.stability.rates import Rates

if TYPE_CHECKING:
    from tasks.stability.models import Linear

NORM = 2.0  # of every row


@dataclass
class Params:
    """samples, inputs: rows and columns. rate: learning rate in units of 1 / trace. steps: updates at most."""

    samples: int = 20
    inputs: int = 40
    rate: float = 1.0
    steps: int = 2000


class EqualNorms(Rates):
    """Interpolating least squares, rows uniform on the sphere of radius 2, so trace = 4."""

    name = "stability/linear"
    version = 2
    Params = Params
    presets = {"smoke": {"steps": 300}, "small": {}, "paper": {"samples": 200, "inputs": 400, "steps": 20000}}
    metrics: ClassVar[tuple[Metric, ...]] = (
        *Rates.metrics,
        Metric("longest_step", "1", "min", "largest factor of |theta - minimum|^2 over one step"),
        Metric("shortest_step", "1", "min", "smallest factor of |theta - minimum|^2 over one step"),
    )

    def model(self) -> Linear:
        from tasks.stability.models import Linear

        return Linear(self.params.inputs)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.stability.models import DTYPE, sphere
        from tasks.stability.threshold import spectrum

        p, model = self.params, self.model()
        normal = partial(seeds.stream("data", "weights").normal, dtype=DTYPE)
        x = sphere(p.samples, p.inputs, NORM, seeds.stream("data", "train"))
        minimum, start = model.start(normal), model.start(normal)
        trace, _ = spectrum(x @ x.T)
        return Problem({"x": x, "y": x @ minimum, "minimum": minimum, "start": start, "trace": trace}, {})

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        scores, tensors = super().score(problem, solution, log), solution.tensors
        return scores | {"longest_step": tensors["longest"], "shortest_step": tensors["shortest"]}
