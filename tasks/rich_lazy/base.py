"""What the two recurrent tasks share: parameters, run loop, metrics."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Log, Metric, Problem, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.rich_lazy.parts import CHANGES, changes, initial

if TYPE_CHECKING:
    from torch import Tensor

    from bench.seeds import Stream

INPUTS, OUTPUTS = 3, 3  # fixation cue and two stimulus channels; fixation and two choices
LOSS = "cross-entropy of the decision, fixation among the answers,"
CHANCE_LOSS = math.log(OUTPUTS)


@dataclass
class Params:
    """hidden: units. steps: updates of `batch` trials; each trial is seen once. gain: g0 of the initial recurrent weights.
    leak: Euler step over the units' time constant. val, test, watched: trials held back, and those that probes look at.
    evaluations: over the run.
    """

    hidden: int = 100
    steps: int = 1500
    batch: int = 32
    gain: float = 1.25
    leak: float = 1.0
    val: int = 2000
    test: int = 4000
    watched: int = 32
    evaluations: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.leak <= 1:
            raise BenchError(f"task.leak={self.leak}: a step is a share of the time constant, above 0 and at most 1")


class Recurrent(Task):
    """A choice at the end of a trial, by a recurrent network whose initial weights are under test. Subclasses draw trials."""

    Params: ClassVar[type] = Params
    metrics = (
        Metric("test_loss", "nats", "min", f"{LOSS} of the test trials", scale="log", diverged=CHANCE_LOSS),
        Metric("val_loss", "nats", "min", f"{LOSS} of the validation trials", scale="log", diverged=CHANCE_LOSS),
        Metric("test_accuracy", "1", "max", "share of test trials with the right choice", diverged=0.5, sample="test"),
        *CHANGES,
    )
    rank = "test_loss"
    objective = "val_loss"
    positive = ("hidden", "steps", "batch", "val", "test", "watched", "evaluations")
    probes = {"changes": "tasks.rich_lazy.network.probe"}
    floors = ("untrained",)
    reference = "full_rank_init"

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    @abstractmethod
    def trials(self, count: int, stream: Stream) -> tuple[Tensor, Tensor]:
        """Inputs (count, steps, 3) and labels (count, steps): 0 fixation, 1 and 2 the choices, asked for at the end."""

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        p = self.params
        x, y = self.trials(p.steps * p.batch, seeds.stream("data", "train"))
        watched = self.trials(p.watched, seeds.stream("data", "watched"))[0]
        hidden = {}
        for name, count in (("val", p.val), ("test", p.test)):
            inputs, labels = self.trials(count, seeds.stream("data", name))
            hidden[name] = (inputs, labels[:, -1])
        return Problem({"x": x, "y": y, "watched": watched, "budget": self.budget.limit}, hidden)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch
        from torch.nn import functional

        from bench.train import fit
        from tasks.rich_lazy.network import RateNetwork

        p, x, y = self.params, public["x"], public["y"]
        with log.phase("setup"):
            generator = torch.Generator().manual_seed(seeds("init"))
            network = RateNetwork(
                INPUTS, OUTPUTS, initial(parts["rank_init"], p.hidden, p.hidden, p.gain, generator), p.leak
            )
            stepper = parts["optimizer"](model=network, steps=p.steps)
            start = {name: value.clone() for name, value in network.state_dict().items()}

        def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
            return functional.cross_entropy(network(batch[0]).flatten(0, 1), batch[1].flatten())

        return fit(
            network, stepper, loss, zip(x.split(p.batch), y.split(p.batch), strict=True), p.steps, log,
            forward=lambda inputs: network(inputs)[:, -1], eval_every=max(1, p.steps // p.evaluations),
            probe_state={"model": network, "start": start, "trials": public["watched"]},
        )  # fmt: skip

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        return {"val_loss": decision(predict, *problem.hidden["val"])[0]}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        predict = solution.require_predict()
        test, accuracy = decision(predict, *problem.hidden["test"])
        val = decision(predict, *problem.hidden["val"])[0]
        return {"test_loss": test, "val_loss": val, "test_accuracy": accuracy, **changes(log)}


def decision(predict: Callable[..., Any], x: Tensor, labels: Tensor) -> tuple[float, float]:
    """Cross-entropy in nats, and share of trials whose larger logit of the two choices is that of the label (1 or 2).

    predict: x (trials, steps, 3) -> logits (trials, 3) of fixation and the choices. BenchError for another shape.
    """
    from torch.nn import functional

    from bench.metrics.classification import accuracy

    logits = predict(x)
    if logits.shape != (len(x), OUTPUTS):
        raise BenchError(
            f"predict returned {tuple(logits.shape)}; logits of fixation and two choices are wanted: {(len(x), OUTPUTS)}"
        )
    return float(functional.cross_entropy(logits, labels)), accuracy(logits[:, 1:], labels - 1)
