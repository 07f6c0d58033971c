"""`deep_linear/depth`: how many steps does a deep linear network need, at the best learning rate there is for it?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import Budget, Curves, Derived, Diverged, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.deep_linear.base import INIT

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

LEARNED, EARLY = 0.05, 0.2  # shares of the zero map's loss that count as learned, and as on the way
LOST = 1e6  # times the zero map's loss: a run that gets there has diverged
NEVER = 1e4  # steps, beyond every preset's budget: what a diverged run counts as
RANGE = (1.0, 3.0)  # singular values of the target
GRID = {
    "smoke": (0.02, 0.08),
    "small": (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16),
    "paper": (3.125e-4, 6.25e-4, 1.25e-3, 0.0025, 0.005, 0.01, 0.02, 0.04),
}


@dataclass
class Params:
    """size: units in every layer. depth: weight matrices. steps: budget. lr: learning rate, the axis of the derived metrics."""

    size: int = 16
    depth: int = 16
    steps: int = 400
    lr: float = 0.02


def optimizer(*, model: nn.Module, steps: int, lr: float) -> Optimizer:
    """An optimizer over `model`'s named parameters for `steps` updates at the rate `lr`, which replaces its own."""
    raise NotImplementedError


def _best(name: str, of: str, doc: str) -> Derived:
    def reduce(grid: Sequence[float], rows: Sequence[Mapping[str, float]]) -> float:
        return min(row.get(of, math.inf) for row in rows)

    return Derived(Metric(name, "steps", "min", doc, scale="log", diverged=NEVER, step=1.0), "lr", GRID, reduce)


class Depth(Task):
    """A linear network of equal layers learns a random map with singular values in [1, 3], full batch, white inputs."""

    name = "deep_linear/depth"
    version = 2
    Params: ClassVar[type] = Params
    presets = {
        "smoke": {"size": 8, "depth": 4, "steps": 60},
        "small": {},
        "paper": {"size": 100, "depth": 100, "steps": 4000},
    }
    metrics = (
        Metric("learning_steps", "steps", "min", "steps to 5 % of the zero map's loss; the budget if it is not reached",
               scale="log", diverged=NEVER, step=1.0),
        Metric("early_steps", "steps", "min", "steps to 20 % of the zero map's loss; the budget if it is not reached",
               scale="log", diverged=NEVER, step=1.0),
        Metric("learned", "1", "max", "1 if 5 % of the zero map's loss was reached, else 0", diverged=0.0, sample=1),
        Metric("final_loss", "1", "min", "last loss over the zero map's; a run ends once it has learned",
               scale="log", diverged=LOST),
    )  # fmt: skip
    derived = (
        _best("best_learning_steps", "learning_steps", "learning_steps at the best rate of the grid"),
        _best("best_early_steps", "early_steps", "early_steps at the best rate of the grid"),
    )
    rank = "best_learning_steps"
    objective = "best_early_steps"
    positive = ("size", "depth", "steps", "lr")
    slots = (
        INIT,
        Slot("optimizer", optimizer, {"_target_": "bench.optim.named", "name": "SGD"}),
    )
    floors = ("init_gaussian",)
    reference = "init_orthogonal"
    margin = 1.0

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        from tasks.deep_linear.network import haar

        p = self.params
        stream = seeds.stream("data", "target")
        u, v = (haar(p.size, p.size, stream) for _ in range(2))
        low, high = RANGE
        s = low + (high - low) * stream.uniform(p.size, dtype=torch.float64)
        target = u * s @ v.T
        return Problem({"target": target}, {"target": target})

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from bench.train import Loop, evaluation
        from tasks.deep_linear import network

        p, target = self.params, public["target"]
        sizes = [p.size] * (p.depth + 1)
        generator = torch.Generator().manual_seed(seeds("init"))
        with log.phase("setup"):
            weights = network.checked(parts["deep_linear_init"](sizes=sizes, generator=generator), sizes)
            model = network.Chain(weights)
            log.count(parameters=sum(w.numel() for w in weights))
            stepper = parts["optimizer"](model=model, steps=p.steps, lr=p.lr)
        zero = float(network.loss(target, 0 * target))
        losses: list[float] = []  # before the first step, and after each

        def goes_on() -> bool:
            """Keep the loss; False once the map is learned. Raises Diverged."""
            with evaluation(model, stepper):
                losses.append(float(network.loss(target, model())))
            if not losses[-1] < LOST * zero:
                raise Diverged(f"the loss is {losses[-1]:.3g} after {len(losses) - 1} steps at rate {p.lr:g}")
            return losses[-1] > LEARNED * zero

        def batches() -> Iterator[None]:
            """Endless batches, each the whole population."""
            while goes_on():
                yield None

        Loop(model, lambda _: network.loss(target, model()), stepper, p.steps, log).run(batches(), samples=lambda _: 0)
        if losses[-1] > LEARNED * zero:  # the budget ended the run, after a step
            goes_on()
        return Solution(tensors={"losses": torch.tensor(losses, dtype=torch.float64)})

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.deep_linear import network

        target = problem.hidden["target"]
        losses = (solution.tensors["losses"] / network.loss(target, 0 * target)).tolist()

        def first(share: float) -> float:
            return float(next((i for i, loss in enumerate(losses) if loss <= share), self.params.steps))

        return {
            "learning_steps": first(LEARNED),
            "early_steps": first(EARLY),
            "learned": float(min(losses) <= LEARNED),
            "final_loss": losses[-1],
        }
