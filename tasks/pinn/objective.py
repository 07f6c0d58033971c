"""A loss that is counted, stops at its budget and remembers its best weights, and the loop that lets an optimizer lower it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import BenchError, Diverged, Exhausted, Log


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
