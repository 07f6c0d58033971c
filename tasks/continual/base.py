"""What the continual tasks share: parameters, slots, metrics, and how a run of several tasks is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


@dataclass
class Params:
    """tasks: learned one after another. train, val, test: samples of each. batch: samples a step. first_epochs, later_epochs:
    over the first task and over each later one. width: hidden units. evaluations: during each task.
    """

    tasks: int = 2
    train: int = 450
    val: int = 150
    test: int = 290
    batch: int = 32
    first_epochs: int = 20
    later_epochs: int = 5
    width: int = 64
    evaluations: int = 5


def model(*, inputs: int, classes: int, width: int) -> nn.Module:
    """(batch, inputs) -> logits (batch, classes), with `width` hidden units."""
    raise NotImplementedError


def rate(*, stage: int) -> float:
    """The factor on the optimizer's rates during task number `stage`, counted from 0."""
    raise NotImplementedError


def penalty(*, model: nn.Module, generator: Generator) -> Callable[[nn.Module], Tensor]:
    """A term of the loss, called with the model. It may have `after_step(model)`, called after each update, and
    `stage_end(model, data)`, called after each task with its samples, data = (x, y)."""
    raise NotImplementedError


def memory(*, generator: Generator) -> Callable[[tuple[Tensor, Tensor]], tuple[Tensor, Tensor]]:
    """A batch (x, y) of the current task -> the batch to train on, of the same size. `stage_end` as a penalty's."""
    raise NotImplementedError


def later(stage: int, later: float = 1.0) -> float:
    """1 during the first task, `later` during all others."""
    if not later >= 0:
        raise BenchError(f"rate.later={later}: a factor on a learning rate is at least 0")
    return later if stage else 1.0


class Continual(Task):
    """Tasks learned one after another by one network with one head. Subclasses make the data.

    An answer is `predict(x, stage)`: logits of the network as it was after `stage` tasks, counted from 0, the start.
    """

    Params: ClassVar[type] = Params
    classes: ClassVar[int]
    positive: ClassVar[tuple[str, ...]] = (
        "train",
        "val",
        "test",
        "batch",
        "first_epochs",
        "later_epochs",
        "width",
        "evaluations",
    )
    metrics = (
        Metric("average_accuracy", "1", "max", "share of test samples classified right at the end, mean over tasks",
               diverged=0.0, sample="test"),
        Metric("val_accuracy", "1", "max", "the same of validation samples", diverged=0.0, sample="val"),
        Metric("forgetting", "1", "min", "test accuracy of a task just after it minus at the end, mean over all but the last",
               diverged=1.0),
        Metric("first_accuracy", "1", "max", "test accuracy of the first task at the end", diverged=0.0, sample="test"),
        Metric("first_before", "1", "max", "test accuracy of the first task just after it", diverged=0.0, sample="test"),
        Metric("last_accuracy", "1", "max", "test accuracy of the last task at the end", diverged=0.0, sample="test"),
        Metric("update_density", "1", "min", "share of the weights that an update changes, mean over all updates; 0 where a "
               "method lets no update through"),
        Metric("later_density", "1", "min", "the same over the updates after the first task"),
        Metric("stored", "numbers", "min", "numbers that optimizer, penalty and memory hold at the end, a trainable parameter"),
    )  # fmt: skip
    rank = "average_accuracy"
    objective = "val_accuracy"
    slots = (
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "SGD", "lr": 0.2}),
        Slot("rate", rate, {"_target_": "tasks.continual.base.later"}),
        Slot("penalty", penalty),
        Slot("memory", memory),
        Slot("model", model, {"_target_": "tasks.continual.network.perceptron"}),
        Slot("procedure", slots.procedure, excludes=("optimizer", "rate", "penalty", "memory", "model")),
    )
    floors = ("untrained",)
    reference = "joint_training"
    margin = 0.4

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.tasks < 2:
            raise BenchError(f"task.tasks={params.tasks}: forgetting needs an earlier task; give 2 or more")
        if params.batch > params.train:
            raise BenchError(
                f"task.batch={params.batch}: a task has {params.train} training samples; lower it or raise task.train"
            )

    def steps(self, stage: int) -> int:
        """Updates during task number `stage`, counted from 0; the last incomplete batch of an epoch is left out."""
        p = self.params
        return int((p.later_epochs if stage else p.first_epochs) * (p.train // p.batch))

    @property
    def budget(self) -> Budget:
        """Samples passed through the model with a gradient: those of all updates, and one pass over each finished task,
        for what a method measures there."""
        p = self.params
        updates = sum(self.steps(stage) for stage in range(p.tasks))
        return Budget("passes", updates * p.batch + p.tasks * p.train)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.continual import training

        steps = [self.steps(stage) for stage in range(self.params.tasks)]
        return training.run(self.params, steps, public, parts, log, seeds)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from tasks.continual import scoring

        found = scoring.accuracies(predict, problem.hidden["val"])
        return {"val_accuracy": sum(found) / len(found), "val_first": found[0], "val_last": found[-1]}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.continual import scoring

        return scoring.score(problem, solution)

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        from tasks.continual import scoring

        return scoring.exhibit(problem, solution, self.classes)
