"""What the large-batch tasks share: recipe, run loop, metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import Budget, Curves, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds
from tasks.large_batch.recipe import Recipe

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


@dataclass
class Params:
    """train, val, test: samples. batch: the small batch that the recipe is stated for; a regime may grow it. epochs, lr: of
    the small-batch recipe. evaluations: over the run.
    """

    train: int = 2048
    val: int = 2000
    test: int = 4000
    batch: int = 32
    epochs: int = 20
    lr: float = 0.05
    evaluations: int = 6


def regime(*, recipe: Recipe) -> Recipe:
    """A transform of the task's own recipe (batch, rate, epochs, clipping, ghost batches)."""
    raise NotImplementedError


def optimizer(*, model: nn.Module, steps: int, lr: float) -> Optimizer:
    """An optimizer over the model for `steps` updates; `lr` is the recipe's rate."""
    raise NotImplementedError


def model(*, inputs: int, classes: int) -> nn.Module:
    """(batch, inputs) -> logits (batch, classes)."""
    raise NotImplementedError


def same(recipe: Recipe) -> Recipe:
    """The recipe as it is."""
    return recipe


def shared_slots(network: str) -> tuple[Slot, ...]:
    """The family's slots, with the task's own network as the model."""
    sgd = {"_target_": "bench.optim.named", "name": "SGD", "momentum": 0.9, "weight_decay": 1e-4}
    return (
        Slot("regime", regime, {"_target_": "tasks.large_batch.base.same"}),
        Slot("optimizer", optimizer, sgd),
        Slot("model", model, {"_target_": network}),
        Slot("procedure", slots.procedure, excludes=("regime", "optimizer", "model")),
    )


class LargeBatch(Task):
    """Classification under a batch regime. Subclasses make the data."""

    Params: ClassVar[type] = Params
    metrics = (
        Metric("test_accuracy", "1", "max", "share of test samples classified right", diverged=0.1, sample="test"),
        Metric("val_accuracy", "1", "max", "share of validation samples classified right", diverged=0.1, sample="val"),
        Metric(
            "train_accuracy", "1", "max", "share of training samples classified right", diverged=0.1, sample="train"
        ),
        Metric("generalisation_gap", "1", "min", "train_accuracy minus test_accuracy"),
        Metric("weight_distance", "1", "min", "Euclidean distance of the weights from their start", source="probe"),
    )
    rank = "test_accuracy"
    objective = "val_accuracy"
    positive = ("train", "val", "test", "batch", "epochs", "evaluations")
    probes = {"distance": "tasks.large_batch.networks.distance"}
    floors = ("chance",)
    reference = "small_batch"
    classes = 10

    @property
    def budget(self) -> Budget:
        """Updates of the small-batch recipe. A longer recipe is cut to as many, and its drops of the rate move with its end."""
        p = self.params
        return Budget("steps", p.epochs * max(1, p.train // p.batch))

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        return {"val_accuracy": accuracy(predict, *problem.hidden["val"])}

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch
        from torch.nn import functional

        from bench.schedules import drops
        from bench.train import fit
        from tasks.large_batch.ghost import with_ghosts
        from tasks.large_batch.networks import batches, copies

        p, x, y = self.params, public["x"], public["y"]
        with log.phase("setup"):
            recipe = parts["regime"](recipe=Recipe(p.batch, p.batch, p.lr, p.epochs))
            steps = min(recipe.updates(len(x)), self.budget.limit)
            network = parts["model"](inputs=x.shape[1], classes=public["classes"])
            if recipe.ghost:
                with_ghosts(network, recipe.ghost)
            stepper = parts["optimizer"](model=network, steps=steps, lr=recipe.lr)
        order = torch.Generator().manual_seed(seeds("order"))
        return fit(
            network, stepper, lambda batch: functional.cross_entropy(network(batch[0]), batch[1]),
            batches(x, y, recipe.batch, order), steps, log,
            schedule=lambda step, steps: drops(step, steps, recipe.drops), clip=recipe.clip or None,
            eval_every=max(1, steps // p.evaluations), probe_state={"model": network, "start": copies(network)},
        )  # fmt: skip

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        predict = solution.require_predict()
        test, val, train = (accuracy(predict, *problem.hidden[name]) for name in ("test", "val", "train"))
        moved = log.curve("weight_distance")[1]
        return {
            "test_accuracy": test,
            "val_accuracy": val,
            "train_accuracy": train,
            "generalisation_gap": train - test,
            "weight_distance": moved[-1] if moved else None,
        }


def accuracy(predict: Callable[..., Any], x: Any, y: Any, chunk: int = 2000) -> float:
    """Share of right answers, asked for in chunks to bound memory."""
    from bench.metrics.classification import right

    return sum(right(predict(a), b) for a, b in zip(x.split(chunk), y.split(chunk), strict=True)) / len(y)
