"""What the tasks of the family share: parameters, slots, metrics, and the training of a classifier by an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds

if TYPE_CHECKING:
    from torch import Tensor, nn

CHUNK = 2000  # pictures that are asked for at once, to bound memory


@dataclass
class Params:
    """train, val, test: samples. batch: of a step; a last partial one is dropped. activation: of the task's network, relu,
    leaky_relu, elu, selu, tanh or sigmoid. evaluations: over the run.
    """

    train: int = 1024
    val: int = 273
    test: int = 500
    batch: int = 64
    epochs: int = 10
    activation: str = "relu"
    evaluations: int = 10


def model(*, inputs: int, classes: int, activation: str) -> nn.Module:
    """(batch, inputs) -> logits (batch, classes)."""
    raise NotImplementedError


def shared_slots(network: str) -> tuple[Slot, ...]:
    """The family's slots, with the task's own network as the model."""
    return (
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 3e-3}),
        Slot("schedule", slots.schedule, {"_target_": "bench.schedules.constant"}),
        Slot("model", model, {"_target_": network}),
        Slot("procedure", slots.procedure, excludes=("optimizer", "schedule", "model")),
    )


class Vision(Task):
    """Classification with cross-entropy. Subclasses make the data."""

    Params: ClassVar[type] = Params
    metrics = (
        Metric("test_accuracy", "1", "max", "share of test samples classified right", diverged=0.1, sample="test"),
        Metric("val_accuracy", "1", "max", "share of validation samples classified right", diverged=0.1, sample="val"),
        Metric("train_loss", "nats", "min", "cross-entropy on all training samples at the end", "log", diverged=10.0),
        Metric("loss_area", "nats", "min", "training loss of a step's batch, mean over all steps", "log", diverged=10.0),
        Metric("multiplier", "1", "max", "sigmoid of the size of the gradient's change from the step before, mean over "
               "parameters and steps: diffGrad's multiplier, whatever the rule"),
        Metric("multiplier_last", "1", "max", "the same over the last tenth of the steps"),
        Metric("multiplier_largest", "1", "max", "the largest over parameters, mean over steps"),
    )  # fmt: skip
    rank = "test_accuracy"
    objective = "val_accuracy"
    positive = ("train", "val", "test", "batch", "epochs", "evaluations")
    floors = ("untrained",)
    reference = "plain_adam"
    classes = 10

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.batch > params.train:
            raise BenchError(f"task.batch={params.batch}: there are {params.train} training samples; lower it")

    @property
    def steps(self) -> int:
        """Updates of a run."""
        return int(self.params.epochs * (self.params.train // self.params.batch))

    @property
    def budget(self) -> Budget:
        """Gradients of a batch."""
        return Budget("evals", self.steps)

    def made(self, sets: Mapping[str, tuple[Tensor, Tensor]], origin: str) -> Problem:
        """The problem of the sets train, val and test, each pictures (n, inputs) and labels (n,)."""
        x, y = sets["train"]
        return Problem({"x": x, "y": y, "classes": self.classes, "budget": self.budget.limit}, dict(sets), origin)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from bench.metrics.classification import accuracy

        x, y = problem.hidden["val"]
        return {"val_accuracy": accuracy(answers(predict, x), y)}

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch
        from torch.nn import functional

        from bench.train import fit
        from tasks.large_batch.networks import batches
        from tasks.vision.gradient_change import GradientChange

        p, x, y = self.params, public["x"], public["y"]
        with log.phase("setup"):
            network = parts["model"](inputs=x.shape[1], classes=public["classes"], activation=p.activation)
            optimizer = parts["optimizer"](model=network, steps=self.steps)
            change = GradientChange(network, log)

        def loss(batch: tuple[Tensor, Tensor]) -> Tensor:
            log.count(evals=1)
            return functional.cross_entropy(network(batch[0]), batch[1])

        order = torch.Generator().manual_seed(seeds("order"))
        solution = fit(
            network, optimizer, loss, batches(x, y, p.batch, order), self.steps, log,
            schedule=parts["schedule"], eval_every=max(1, self.steps // p.evaluations), at_step=change,
        )  # fmt: skip
        solution.tensors = {"change": change.table()}
        return solution

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from torch.nn import functional

        from bench.metrics.classification import accuracy

        predict = solution.require_predict()
        logits = {name: answers(predict, problem.hidden[name][0]) for name in ("test", "val", "train")}
        accuracies = {name: accuracy(logits[name], problem.hidden[name][1]) for name in ("test", "val")}
        losses = log.curve("loss")[1]
        change = solution.tensors.get("change", ())  # (steps, 3): step, mean, largest
        return {
            "test_accuracy": accuracies["test"],
            "val_accuracy": accuracies["val"],
            "train_loss": float(functional.cross_entropy(logits["train"], problem.hidden["train"][1])),
            "loss_area": sum(losses) / len(losses) if losses else None,
            "multiplier": float(change[:, 1].mean()) if len(change) else None,
            "multiplier_last": float(change[-max(1, len(change) // 10) :, 1].mean()) if len(change) else None,
            "multiplier_largest": float(change[:, 2].mean()) if len(change) else None,
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Which classes are taken for which, and how much the gradient changed over the run."""
        import torch

        from tasks.vision.networks import confusion

        x, y = problem.hidden["test"]
        shares, classes = confusion(answers(solution.require_predict(), x), y, self.classes), torch.arange(self.classes)
        arrays = {"share": shares, "class": classes, "answer": classes}
        shown = {"confusion": Exhibit("matrix", arrays, ("class", "answer"), "1", "share of a class's test samples")}
        change = solution.tensors.get("change", ())
        if len(change):
            kept = change[:: max(1, len(change) // 300)]
            arrays = {"mean": kept[:, 1], "largest": kept[:, 2], "step": kept[:, 0]}
            doc = "sigmoid of the size of the gradient's change, mean and largest over parameters"
            shown["multiplier"] = Exhibit("series", arrays, ("step",), "1", doc)
        return shown


def answers(predict: Callable[..., Any], x: Tensor) -> Tensor:
    """Logits (samples, classes), asked for in chunks."""
    import torch

    return torch.cat([predict(part) for part in x.split(CHUNK)])
