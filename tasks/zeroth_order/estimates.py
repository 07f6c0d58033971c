"""What `estimator` and `credit` share: many estimates of a gradient that is known, and how they point along it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Solution, Task
from bench.seeds import EntrySeeds

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.zeroth_order.oracles import Oracle

SETS = ("val", "test")  # two points, each with estimates of its own
DEAREST = 3  # evaluations that an exact gradient counts as


class Estimates(Task):
    """Estimates of the gradient at two points. Subclasses make the function. `queries`: evaluations an estimate may take."""

    positive: ClassVar[tuple[str, ...]] = ("queries", "repeats")
    metrics = (
        Metric("cosine", "1", "max", "mean cosine between estimate and gradient at the test point", diverged=0.0),
        Metric("val_cosine", "1", "max", "the same at the validation point", diverged=0.0),
        Metric("cosine_squared", "1", "max", "mean of the squared cosine, which is blind to the sign", "log"),
        Metric("projection", "1", "max", "mean of <estimate, g> / |g|^2, which is 1 without bias along g"),
        Metric("relative_variance", "1", "min", "mean of |estimate - g|^2 / |g|^2", "log"),
        Metric("evaluations", "1", "min", "function evaluations an estimate took"),
    )
    rank = "cosine"
    objective = "val_cosine"
    floors = ("no_feedback",)
    reference = "backpropagation"
    margin = 0.5

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.repeats < 2:
            raise BenchError(f"task.repeats={params.repeats}: a variance needs 2 estimates or more")

    @property
    def budget(self) -> Budget:
        return Budget("evals", len(SETS) * self.params.repeats * max(self.params.queries, DEAREST))

    @abstractmethod
    def oracle(self, public: Mapping[str, Any], name: str, log: Log) -> tuple[Oracle, Tensor]:
        """The counted function and the point (d,) of the set `name`."""

    @abstractmethod
    def method(
        self, parts: Mapping[str, Any], dimension: int, generator: Generator
    ) -> Callable[[Any, Tensor], Tensor]:  # fmt: skip
        """The entry's part, made for this function."""

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        generator = torch.Generator().manual_seed(seeds("noise"))
        found = {}
        for name in SETS:
            oracle, point = self.oracle(public, name, log)
            estimate = self.method(parts, len(point), generator)
            found[name] = torch.stack([estimate(oracle, point) for _ in range(self.params.repeats)])
        return Solution(None, found)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        p, g = self.params, problem.hidden["gradients"]
        for name in SETS:
            estimates, expected = solution.tensors.get(name), (p.repeats, len(g[name]))
            if estimates is None or tuple(estimates.shape) != expected:
                got = "none" if estimates is None else f"shape {tuple(estimates.shape)}"
                raise BenchError(f"{self.name} scores tensors[{name!r}] of shape {expected}; it got {got}")
        cosines, test = cosine(solution.tensors["test"], g["test"]), solution.tensors["test"]
        norm = g["test"].square().sum()
        return {
            "cosine": float(cosines.mean()),
            "val_cosine": float(cosine(solution.tensors["val"], g["val"]).mean()),
            "cosine_squared": float(cosines.square().mean()),
            "projection": float((test @ g["test"]).mean() / norm),
            "relative_variance": float((test - g["test"]).square().sum(dim=1).mean() / norm),
            "evaluations": log.counts.get("evals", 0) / (len(SETS) * p.repeats),
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        import torch

        cosines = cosine(solution.tensors["test"], problem.hidden["gradients"]["test"]).sort().values
        shares = torch.linspace(0, 1, min(len(cosines), 200))
        values = cosines[(shares * (len(cosines) - 1)).round().long()]
        doc = "cosine between estimate and gradient, sorted, over the share of estimates below it"
        return {"cosines": Exhibit("series", {"share": shares, "cosine": values}, ("share",), "1", doc)}


def cosine(estimates: Tensor, gradient: Tensor) -> Tensor:
    """Cosines (R,) between estimates (R, d) and a gradient (d,); NaN for an estimate that is 0."""
    return estimates @ gradient / (estimates.norm(dim=1) * gradient.norm())
