"""A loss that is counted, stops at its budget and remembers its best weights, and the loop that lets an optimizer lower it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import BenchError, Diverged, Exhausted, Log, Solution
from bench.train import parameter_count, served

SHARES = 1e-9  # stages whose shares of the budget add up to 1 within it use all of it


class Spent(Exception):
    """A stage's share of the budget is spent."""


class Objective:
    """The loss of `module`, an evaluation with gradient at a time, each counted as one of the budget.

    The weights of the least loss are kept: an optimizer may be stopped in the middle of a line search. observe: called with the
    number of evaluations, and the best weights in place, about `evaluations` times over a budget of `limit`.
    """

    def __init__(
        self, module: Any, log: Log, limit: int, evaluations: int, observe: Callable[[int], Any]
    ) -> None:  # fmt: skip
        self.module, self.log, self.observe = module, log, observe
        self.weights: list[nn.Parameter] = list(module.parameters())
        self.spent, self.end, self.every = 0, limit, max(1, limit // max(1, evaluations))
        self.least = math.inf
        self.best: list[Tensor] = []
        self.begin(limit)

    def begin(self, end: int) -> None:
        """Start a stage that lasts until `end` evaluations are spent; losses of different stages do not compare."""
        self.end, self.least = end, math.inf
        self._keep()

    def __call__(self) -> Tensor:
        """The loss, its gradient in the weights' `grad`. Raises Spent or Exhausted, and Diverged where it is not finite."""
        if self.spent >= self.end:
            raise Spent
        self.log.count(evals=1)
        for weight in self.weights:
            weight.grad = None
        with torch.enable_grad():
            loss: Tensor = self.module.loss()
            loss.backward()
        value = loss.item()
        self.log.track(self.spent, loss=value)
        self.spent += 1
        if not math.isfinite(value):
            raise Diverged(f"the loss is {value} at evaluation {self.spent}")
        if value < self.least:
            self.least = value
            self._keep()
        if self.spent % self.every == 0:
            with self.at_best():
                self.observe(self.spent)
        return loss.detach()

    def _keep(self) -> None:
        self.best = [weight.detach().clone() for weight in self.weights]

    @torch.no_grad()
    def restore(self) -> None:
        """Put the best weights of this stage into the module."""
        for weight, value in zip(self.weights, self.best, strict=True):
            weight.copy_(value)

    @contextmanager
    def at_best(self) -> Iterator[None]:
        """A context with the best weights in the module, and the present ones after it."""
        present = [weight.detach().clone() for weight in self.weights]
        self.restore()
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, value in zip(self.weights, present, strict=True):
                    weight.copy_(value)


def descend(objective: Objective, optimizer: Any, schedule: Callable[..., float], steps: int) -> None:
    """Let `optimizer` lower the loss until the stage's share of the budget is spent, `steps` evaluations from now.

    The schedule acts on rules that take a step an evaluation. One that searches along lines asks for evaluations itself, and its
    first trial is no rate. BenchError for a rule that wants the graph of the gradient.
    """
    if getattr(optimizer, "wants_graph", False):
        name = type(optimizer).__name__
        raise BenchError(
            f"optimizer {name} wants the gradient's own derivatives, which these fields do not have; use another"
        )
    searches = getattr(optimizer, "wants_closure", False)
    if hasattr(optimizer, "train"):
        optimizer.train()
    rates = [] if searches else [group["lr"] for group in optimizer.param_groups]
    step = 0
    try:
        while True:
            if searches:
                before = objective.spent
                optimizer.step(objective)
                if objective.spent == before:
                    raise BenchError(f"optimizer {type(optimizer).__name__} made a step without evaluating its closure")
                continue
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * schedule(step=min(step, steps - 1), steps=steps)
            objective()
            optimizer.step()
            step += 1
    except (Spent, Exhausted):
        objective.restore()


def train(module: Any, parts: Mapping[str, Any], log: Log, params: Any) -> Solution:
    """Train a formulation stage by stage; the answer has the weights of the last stage's least loss, which `tensors` holds.

    params: a task's `evals` and `evaluations`. A module without parameters is the answer as it is.
    """
    log.count(parameters=parameter_count(module))
    predict = served(module, None, module)
    log.evaluate(0, predict)
    if not list(module.parameters()):
        return Solution(predict)
    objective = Objective(module, log, params.evals, params.evaluations, lambda spent: log.evaluate(spent, predict))
    share = 0.0
    for stage in module.stages() if hasattr(module, "stages") else (1.0,):
        share += stage
        end = params.evals if share > 1 - SHARES else round(share * params.evals)
        if (steps := end - objective.spent) > 0:
            objective.begin(end)
            descend(objective, parts["optimizer"](model=module, steps=steps), parts["schedule"], steps)
    return Solution(predict, {"loss": torch.tensor(objective.least, dtype=torch.float64)})
