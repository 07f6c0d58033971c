"""Fit a line by gradient steps; the budget is in steps, the test targets are hidden."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench import slots
from bench.contract import Budget, Metric, Problem, Slot, Solution, Task


@dataclass
class Params:
    """steps: updates. noise: of the targets. nap: seconds of CPU work before training (for timing tests)."""

    steps: int = 20
    noise: float = 0.1
    nap: float = 0.0


def extra(*, model: Any, log: Any) -> None:
    """Anything an entry wants to do before training."""
    raise NotImplementedError


class Line(Task):
    """y = 2 x + noise."""

    name = "toy/line"
    Params = Params
    presets = {"smoke": {"steps": 5}, "small": {}, "paper": {"steps": 200}}
    metrics = (
        Metric("error", "1", "min", "mean squared test error", "log", diverged=10.0),
        Metric("val_error", "1", "min", "mean squared validation error", "log", diverged=10.0),
    )
    rank = "error"
    objective = "val_error"
    slots = (
        Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "SGD", "lr": 0.1}),
        Slot("extra", extra),
        Slot("procedure", slots.procedure, excludes=("optimizer", "extra")),
    )
    floors = ("zero",)
    reference = "line_sgd"
    margin = 0.5

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    def problem(self, data, seeds) -> Problem:
        sets = {}
        for name in ("train", "val", "test"):
            stream = seeds.stream("data", name)
            x = stream.normal(64, 1)
            sets[name] = (x, 2 * x + self.params.noise * stream.normal(64, 1))
        x, y = sets.pop("train")
        return Problem({"x": x, "y": y}, sets)

    def monitor(self, problem, predict):
        x, y = problem.hidden["val"]
        return {"val_error": float(((predict(x) - y) ** 2).mean())}

    def run(self, public, parts, log, seeds) -> Solution:
        import time

        import torch

        from bench.train import Loop, served

        model = torch.nn.Linear(1, 1)
        end = time.monotonic() + self.params.nap
        while time.monotonic() < end:
            pass
        if parts["extra"] is not None:
            parts["extra"](model=model, log=log)
        optimizer = parts["optimizer"](model=model, steps=self.params.steps)
        predict = served(model, optimizer, model)

        def loss(batch):
            return ((model(batch[0]) - batch[1]) ** 2).mean()

        steps = self.params.steps
        loop = Loop(model, loss, optimizer, steps, log, predict=predict, eval_every=5)
        loop.run([(public["x"], public["y"])] * steps, samples=lambda batch: len(batch[0]))
        return Solution(predict)

    def score(self, problem, solution, log):
        x, y = problem.hidden["test"]
        values = log.curve("val_error")[1]
        return {
            "error": float(((solution.predict(x) - y) ** 2).mean()),
            "val_error": values[-1] if values else None,
        }
