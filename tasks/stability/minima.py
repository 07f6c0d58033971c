"""What all tasks of the family share, and the base of `relu2` and `diagonal`: train to interpolation, measure the minimum."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Diverged, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.stability.models import Model

INTERPOLATED = 1e-14  # a run ends once its loss is below this: the rest of it would change no metric
AT_MINIMUM = 1e-6  # loss below which the Gauss-Newton matrix is taken for the Hessian of a global minimum
CHECKS = 200  # evaluations of the loss over a run


def stepper(*, samples: int, steps: int, generator: Generator) -> Callable[[Tensor, Callable[..., Tensor]], Tensor]:
    """An update rule, theta, gradient -> theta, with attributes `lr` and `batch` (None: all samples) where it has them.

    gradient(theta, chosen=None, noise=None): the mean over the samples at indices `chosen` (all if None), `noise` added
    to their targets. generator: of all that the rule draws.
    """
    raise NotImplementedError


def shared_slots(lr: float) -> tuple[Slot, ...]:
    """The family's slot, with SGD on single samples at rate `lr` as the reference part."""
    return (Slot("stepper", stepper, {"_target_": "tasks.stability.steppers.Minibatch", "lr": lr, "batch": 1}),)


def shared_metrics(zero: float, norm: str) -> tuple[Metric, ...]:
    """zero: test error of the function 0, which a diverged cell counts as. norm: what the model's norm is."""
    return (
        Metric("test_error", "1", "min", "mean squared error on test data", "log", diverged=zero),
        Metric("val_error", "1", "min", "mean squared error on validation data", "log", diverged=zero),
        Metric("train_loss", "1", "min", "half the mean squared error on the training data", "log"),
        Metric("interpolated", "1", "max", "1 if train_loss is below 1e-6, else 0", sample=1),
        Metric("trace", "1", "min", "trace of the Gauss-Newton matrix on the training data", "log"),
        Metric("sharpness", "1", "min", "its largest eigenvalue", "log"),
        Metric("rate_trace", "1", "min", "learning rate times trace; single-sample SGD is stable up to 2 at most"),
        Metric("rate_sharpness", "1", "min", "learning rate times sharpness; gradient descent is stable up to 2"),
        Metric("threshold_trace", "1", "max", "largest rate stable in mean square, for the rule's batch, times trace"),
        Metric("rate_threshold", "1", "min", "learning rate over the largest rate stable in mean square"),
        Metric("norm", "1", "min", norm, "log"),
    )


class LeastSquares(Task):
    """Least squares with more parameters than samples. Subclasses make the data and the model."""

    @abstractmethod
    def model(self) -> Model:
        """The model with the task's sizes."""

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)


class Minima(LeastSquares):
    """Train from the model's own start until the data are interpolated."""

    positive: ClassVar[tuple[str, ...]] = ("samples", "inputs", "val", "test", "steps", "evaluations")
    rank = "test_error"
    objective = "val_error"
    probes: ClassVar[Mapping[str, str]] = {"curvature": "tasks.stability.models.curvature"}
    floors = ("stay_put",)
    reference = "sgd_single"

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        return {"val_error_now": error(predict(problem.hidden["val"][0]), problem.hidden["val"][1])}

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.stability.models import DTYPE, Gradient, loss

        p, x, y = self.params, public["x"], public["y"]
        with log.phase("setup"):
            model = self.model()
            draws = torch.Generator().manual_seed(seeds("init"))
            theta = model.start(lambda count: torch.randn(count, generator=draws, dtype=DTYPE))
            order = torch.Generator().manual_seed(seeds("order"))
            step = parts["stepper"](samples=len(x), steps=p.steps, generator=order)
            gradient = Gradient(model, x, y)
            log.count(parameters=len(theta))
        drawn = getattr(step, "batch", None) or len(x)
        every, check_every = max(1, p.steps // p.evaluations), max(1, p.steps // CHECKS)

        def observe(at: int) -> None:
            log.evaluate(at, lambda inputs: model.outputs(theta, inputs))
            log.probe(at, model=model, theta=theta, x=x)

        log.track(0, loss=loss(model, theta, x, y))
        observe(0)
        for at in range(1, p.steps + 1):
            log.count(steps=1, samples=drawn)
            theta = step(theta, gradient)
            if at <= 3 or at % check_every == 0 or at == p.steps:
                now = loss(model, theta, x, y)
                log.track(at, loss=now)
                if not math.isfinite(now):
                    raise Diverged(f"the training loss is {now} at step {at}")
                if now < INTERPOLATED or at == p.steps:
                    observe(at)
                    break
            if at % every == 0:
                observe(at)
        rule = {name: getattr(step, name, None) for name in ("lr", "batch")}
        return Solution(lambda inputs: model.outputs(theta, inputs), {"theta": theta, **rule})

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.stability.models import loss

        model, (x, y) = self.model(), problem.hidden["train"]
        theta = solution.tensors.get("theta")
        if theta is None or solution.predict is None:
            raise BenchError(f"{self.name} scores `predict` and the tensor `theta`; the solution lacks one of them")
        scores: dict[str, float | None] = {
            f"{name}_error": error(solution.predict(problem.hidden[name][0]), problem.hidden[name][1])
            for name in ("test", "val")
        }
        train = loss(model, theta, x, y)
        scores |= {"train_loss": train, "interpolated": float(train < AT_MINIMUM), "norm": model.norm(theta)}
        if not all(value is not None and math.isfinite(value) for value in scores.values()):
            return scores
        return scores | stability(model.jacobian(theta, x), solution.tensors)


def error(outputs: Tensor, y: Tensor) -> float:
    """Mean squared error. BenchError unless there is one output a target."""
    if outputs.shape != y.shape:
        raise BenchError(f"outputs of shape {tuple(outputs.shape)} for targets of shape {tuple(y.shape)}")
    return float((outputs - y).square().mean())


def stability(jacobian: Tensor, rule: Mapping[str, Any]) -> dict[str, float | None]:
    """Curvature of the minimum, and its stability for a rule with `lr` and `batch`; None where the rule has no rate."""
    from tasks.stability.threshold import mean_square_threshold, spectrum

    gram, lr = jacobian @ jacobian.T, rule.get("lr")
    trace, sharpness = spectrum(gram)
    threshold = mean_square_threshold(gram, rule.get("batch"))
    return {
        "trace": trace,
        "sharpness": sharpness,
        "rate_trace": None if lr is None else lr * trace,
        "rate_sharpness": None if lr is None else lr * sharpness,
        "threshold_trace": threshold * trace,
        "rate_threshold": None if lr is None else lr / threshold,
    }
