"""`deep_linear/isometry`: what a deep product of starting weights does to lengths, forwards and backwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import Budget, Curves, Log, Metric, Problem, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.deep_linear.base import INIT

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1e-14  # exact isometries differ by less than this, in float64
GRADIENTS = 32  # random gradients sent back from the output
MARKS = 12  # depths at which the spread is kept for the curve


@dataclass
class Params:
    """size: units in every layer. depth: weight matrices."""

    size: int = 16
    depth: int = 500


class Isometry(Task):
    """Exponents, in nats a layer, by which a product of `depth` square matrices stretches; nothing is trained."""

    name = "deep_linear/isometry"
    version = 2
    Params: ClassVar[type] = Params
    presets = {
        "smoke": {"size": 8, "depth": 50},
        "small": {},
        "paper": {"size": 200, "depth": 200},
    }
    metrics = (
        Metric("rms_exponent", "nats", "min", "root mean square of the exponents; 0 is an isometry", diverged=10.0,
               resolution=ROUNDING),
        Metric("gradient_exponent", "nats", "min", "|mean growth a layer of random gradients sent back|", diverged=10.0,
               resolution=ROUNDING),
        Metric("largest_exponent", "nats", "min", "the largest exponent"),
        Metric("smallest_exponent", "nats", "max", "the smallest exponent"),
        Metric("gaussian_z", "1", "min", "root mean square of the exponents' distance from Newman's for N(0, 1/n) entries, in "
               "standard errors; about 1 for such entries"),
    )  # fmt: skip
    rank = "rms_exponent"
    objective = "gradient_exponent"
    positive = ("size", "depth")
    probes = {"spread": "tasks.deep_linear.isometry.spread"}
    slots = (INIT,)
    floors = ("init_gaussian",)
    reference = "init_orthogonal"
    margin = 0.2

    @property
    def budget(self) -> Budget:
        """A step is a layer."""
        return Budget("steps", self.params.depth)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p = self.params
        gradients = seeds.stream("data", "gradients").normal(p.size, GRADIENTS, dtype=torch.float64)
        return Problem({"size": p.size, "depth": p.depth}, {"gradients": gradients})

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.deep_linear.network import checked

        depth = int(public["depth"])
        sizes = [int(public["size"])] * (depth + 1)
        generator = torch.Generator().manual_seed(seeds("init"))
        weights = checked(parts["deep_linear_init"](sizes=sizes, generator=generator), sizes)
        log.count(steps=depth, parameters=sum(w.numel() for w in weights))
        for mark in sorted({max(1, round(depth * (i + 1) / MARKS)) for i in range(MARKS)}):
            log.probe(mark, weights=weights[:mark])
        return Solution(tensors={"weights": torch.stack(weights)})

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        import torch

        from tasks.deep_linear import network, saxe

        weights = list(solution.tensors["weights"])
        exponents = network.exponents(weights)
        newman = torch.from_numpy(saxe.gaussian_exponents(len(exponents)))
        errors = torch.from_numpy(saxe.gaussian_exponent_errors(len(exponents), len(weights)))
        return {
            "rms_exponent": float(exponents.square().mean().sqrt()),
            "gradient_exponent": abs(float(network.vector_exponents(weights, problem.hidden["gradients"]).mean())),
            "largest_exponent": float(exponents.max()),
            "smallest_exponent": float(exponents.min()),
            "gaussian_z": float(((exponents - newman) / errors).square().mean().sqrt()),
        }


def spread(weights: Sequence[Tensor]) -> dict[str, float]:
    """Probe: nats between the most and the least stretched direction after so many layers, and the mean stretch."""
    from tasks.deep_linear.network import exponents

    stretches = len(weights) * exponents(weights)
    return {"log_spread": float(stretches.max() - stretches.min()), "log_stretch": float(stretches.mean())}
