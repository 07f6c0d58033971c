"""The training loop that the families share: steps, evaluations at intervals, and an end once every target is reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.contract import Diverged, Log, Solution

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


@contextmanager
def evaluation(model: nn.Module, optimizer: Optimizer | None = None) -> Iterator[None]:
    """A context without gradients, with the model in evaluation mode, and the optimizer too if it has modes (schedule-free)."""
    import torch

    modes = optimizer is not None and hasattr(optimizer, "eval") and hasattr(optimizer, "train")
    was_training = model.training
    model.eval()
    if modes:
        optimizer.eval()  # type: ignore[union-attr]
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)
        if modes:
            optimizer.train()  # type: ignore[union-attr]


def batch_size(batch: Any) -> int:
    """Number of samples of a batch; of a tuple, such as (inputs, labels), the length of its first part."""
    return len(batch[0]) if isinstance(batch, tuple) else len(batch)


@dataclass
class Loop:
    """The training of one model by a loss of a batch.

    schedule(step=, steps=): factor on each group's base rate. clip: bound on the gradient's norm. predict: what `log.evaluate`
    gets, every `eval_every` steps and at the end. probe_state: keywords of the task's probes. start: updates made before, from
    which steps are numbered on in curves and log, while the schedule gets the loop's own, 0 to `steps`. at_step(step): called
    after each update. stage: a name under which evaluations are recorded a second time.

    It counts steps and samples. A task with a budget in another unit counts it in `loss`, once an optimizer's evaluation.
    """

    model: nn.Module
    loss: Callable[[Any], Tensor]
    optimizer: Optimizer
    steps: int
    log: Log
    schedule: Callable[..., float] | None = None
    clip: float | None = None
    predict: Callable[..., Any] | None = None
    eval_every: int = 0
    probe_state: dict[str, Any] | None = None
    start: int = 0
    at_step: Callable[[int], None] | None = None
    stage: str = ""

    def run(self, batches: Iterable[Any], samples: Callable[[Any], int] = batch_size) -> int:
        """Train for `steps` updates or until every target is reached; returns the number of the last. Raises Diverged, Exhausted.

        At the end the optimizer's base rates are restored, so that a later stage's schedule starts from them.
        """
        if hasattr(self.optimizer, "train"):
            self.optimizer.train()
        self.model.train()
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if not self.start:  # the end of the earlier stage has been evaluated
            self._observe(0)
        step = self._train(batches, samples, rates)
        if not self.log.stop:
            self._observe(step)
        if self.schedule is not None:
            self._scale(rates, 1.0)
        return step

    def _train(self, batches: Iterable[Any], samples: Callable[[Any], int], rates: list[float]) -> int:
        step = self.start
        for own, batch in zip(range(1, self.steps + 1), batches, strict=False):
            if self.log.stop:
                break
            step = self.start + own
            self.log.count(steps=1, samples=samples(batch))
            if self.schedule is not None:
                self._scale(rates, self.schedule(step=own - 1, steps=self.steps))
            loss = self._step(batch)
            self.log.track(step, loss=loss)
            if not math.isfinite(loss):
                raise Diverged(f"the training loss is {loss} at step {step}")
            if self.at_step is not None:
                self.at_step(step)
            if self.eval_every and own % self.eval_every == 0 and own < self.steps:
                self._observe(step)
        return step

    def _scale(self, rates: list[float], factor: float) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor

    def _step(self, batch: Any) -> float:
        import torch

        graph = getattr(self.optimizer, "wants_graph", False)

        def closure(backward: bool = True) -> Tensor:
            self.optimizer.zero_grad()
            with torch.enable_grad():
                loss = self.loss(batch)
            if backward and loss.requires_grad:
                loss.backward(create_graph=graph)
                if self.clip is not None:
                    torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
            return loss

        if getattr(self.optimizer, "wants_closure", False):
            result = self.optimizer.step(closure)  # type: ignore[arg-type]
            return float(result if result is not None else closure(backward=False))
        loss = closure()
        self.optimizer.step()
        return float(loss.detach())

    def _observe(self, step: int) -> None:
        if self.predict is None or not self.eval_every:
            return
        with evaluation(self.model, self.optimizer):
            self.log.evaluate(step, self.predict, self.stage)
            self.log.incumbent = Solution(predict=self.predict)
        if self.probe_state is not None:
            self.log.probe(step, **self.probe_state)


@dataclass(frozen=True)
class Stage:
    """A part of a run with its own data, such as one of several tasks in a row. steps: at most. data: for the parts'
    `stage_end(model=, data=)`, called after it."""

    name: str
    steps: int
    batches: Iterable[Any]
    data: Any = None


def run_stages(loop: Loop, stages: Iterable[Stage], parts: Iterable[Any] = ()) -> int:
    """Train `loop`'s model on one stage after another, with one count of steps and one budget; returns the last step's number.

    Evaluations are also recorded under the stage's name, and after each stage the parts that have `stage_end` are called. The
    schedule runs once through each stage. The run ends once every target is reached.
    """
    last = loop.start
    for stage in stages:
        own = replace(loop, steps=stage.steps, start=last, stage=stage.name)
        last = own.run(stage.batches)
        if loop.log.stop:
            break
        for part in parts:
            if hasattr(part, "stage_end"):
                part.stage_end(model=loop.model, data=stage.data)
    return last


def served(model: nn.Module, optimizer: Optimizer | None, forward: Callable[..., Any]) -> Callable[..., Any]:
    """A Solution's `predict`: `forward` with model and optimizer in evaluation mode."""

    def predict(*inputs: Any) -> Any:
        with evaluation(model, optimizer):
            return forward(*inputs)

    return predict


def fit(
    model: nn.Module,
    optimizer: Optimizer,
    loss: Callable[[Any], Tensor],
    batches: Iterable[Any],
    steps: int,
    log: Log,
    forward: Callable[..., Any] | None = None,
    samples: Callable[[Any], int] = batch_size,
    **options: Any,
) -> Solution:
    """The Solution of a task that trains one model once: count its parameters, train it by `Loop`, serve its predictions.

    forward: the served function, by default the model. options: other fields of `Loop`, such as schedule, clip, eval_every.
    """
    log.count(parameters=parameter_count(model))
    predict = served(model, optimizer, forward or model)
    Loop(model, loss, optimizer, steps, log, predict=predict, **options).run(batches, samples)
    return Solution(predict)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable numbers; a complex one counts twice."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters() if p.requires_grad)
