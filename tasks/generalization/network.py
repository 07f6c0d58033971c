"""ReLU teachers and students of one hidden layer: data, training and scoring."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import BenchError, Log, Problem, Solution
from bench.seeds import Seeds
from bench.train import Loop, evaluation, parameter_count
from tasks.generalization.base import checkpoints


class Student(nn.Module):
    """(batch, inputs) -> (batch,): sqrt(2 / width) sum_i v_i relu(w_i . x), with w_i ~ N(0, I/inputs).

    whole: both layers are trained, from v ~ N(0, 1). Else the hidden layer stays as drawn (random features) and only v is
    trained, from zero, which leaves no frozen part of the output (Advani, Saxe 2017: section on non-linear teachers).
    """

    def __init__(self, inputs: int, width: int, whole: bool = False) -> None:
        super().__init__()
        hidden = torch.randn(width, inputs) / inputs**0.5
        if whole:
            self.hidden = nn.Parameter(hidden)
        else:
            self.register_buffer("hidden", hidden)
        self.readout = nn.Parameter(torch.randn(1, width) if whole else torch.zeros(1, width))
        self.scale = math.sqrt(2 / width)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(x @ self.hidden.T) * self.scale
        return (features @ self.readout.T)[:, 0]


def problem(p: Any, seeds: Seeds) -> Problem:
    """Inputs N(0, I); targets of a ReLU teacher, scaled to unit mean square over the test inputs, plus noise of variance
    1/snr. Test targets carry no noise; its variance is added to the error instead.
    """
    teacher = seeds.stream("data", "teacher")
    hidden = teacher.normal(p.teacher, p.dimension) / p.dimension**0.5
    readout = teacher.normal(p.teacher)
    streams = [seeds.stream("data", name) for name in ("train", "val", "test")]
    counts = (p.samples, p.val, p.test)
    inputs = [stream.normal(count, p.dimension) for stream, count in zip(streams, counts, strict=True)]
    targets = [torch.relu(x @ hidden.T) @ readout for x in inputs]
    unit = targets[2].square().mean().sqrt()
    x, val, test = inputs
    y, val_y, clean = (target / unit for target in targets)
    y, val_y = (
        target + p.snr**-0.5 * stream.normal(len(target)) for target, stream in zip((y, val_y), streams, strict=False)
    )
    return Problem({"x": x, "y": y, "budget": p.steps}, {"val": (val, val_y), "test": (test, clean), "train": (x, y)})


def served(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """The model as predictions without gradients."""

    def predict(x: Tensor) -> Tensor:
        with torch.no_grad():
            answer: Tensor = model(x)
            return answer

    return predict


def run(p: Any, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log) -> Solution:
    """Full-batch training for the whole budget; the answer is the student that `stopping` chose last."""
    x, y = public["x"], public["y"]
    with log.phase("setup"):
        model = parts["student"](inputs=x.shape[1], width=p.width)
        optimizer = parts["optimizer"](model=model, steps=p.steps)
        log.count(parameters=parameter_count(model))
    places = frozenset(checkpoints(p.steps, p.evaluations))
    errors: list[float] = []

    def look(step: int) -> None:
        if step not in places:
            return
        with evaluation(model, optimizer):
            errors.append(log.evaluate(step, model)["val_error"])
            if parts["stopping"](errors=list(errors)):
                log.incumbent = Solution(served(copy.deepcopy(model).eval()))

    look(0)
    loop = Loop(
        model, lambda batch: (model(batch[0]) - batch[1]).square().mean(), optimizer, p.steps, log, at_step=look
    )
    loop.run(itertools.repeat((x, y)))
    if log.incumbent is None:
        raise BenchError("no student was kept: `stopping` was never True")
    return log.incumbent


def error(predict: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """Mean squared error of predictions (samples,); BenchError, naming the shapes, for any other form."""
    prediction = predict(x)
    if prediction.shape != y.shape:
        raise BenchError(
            f"predictions have shape {tuple(prediction.shape)}; wanted {tuple(y.shape)}, one number a sample"
        )
    return float((prediction.double() - y).square().mean())


def overtraining(last: float, errors: Sequence[float]) -> float | None:
    """An error over the least of a curve; None without a curve, or with an error of 0."""
    return last / min(errors) if errors and min(errors) else None
