"""The training loop the families share.

One step: count it, draw a batch, let the optimizer step, keep the loss. At intervals: switch the model (and the
optimizer, if it has the two modes) to evaluation, let the harness measure, probe, and stop if every target is reached.
"""

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
    """Model, and an optimizer with train/eval modes (schedule-free ones), in evaluation mode; without gradients."""
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
    """How many samples a batch holds: of a tuple, such as (inputs, labels), the length of its first part."""
    return len(batch[0]) if isinstance(batch, tuple) else len(batch)


@dataclass
class Loop:
    """How to train: a loss of a batch, and the rest as the task and the entry's parts say.

    schedule(step=, steps=) is a factor on each group's base rate. clip is a bound on the gradient's norm. predict is
    what `log.evaluate` serves, at every `eval_every` steps and at the end. probe_state goes to the task's probes.
    start: updates that the run has made before; steps are numbered on from there, in curves and for the harness, while
    the schedule sees the loop's own steps, 0 to `steps`. at_step(step) is called after each update, before an evaluation.
    stage: the name under which evaluations are also kept.

    Steps and samples are counted here. A task whose budget is in another unit counts that in `loss`, which is called once
    for each evaluation that the optimizer asks for.
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
        """Train for `steps` updates, or until every target is reached; the number of the last. Raises Diverged, Exhausted.

        The optimizer's rates are then as they were, so that a later stage's schedule starts from the same base.
        """
        if hasattr(self.optimizer, "train"):
            self.optimizer.train()
        self.model.train()
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if not self.start:  # the end of an earlier stage has been evaluated already
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
    """A part of a run with data of its own: one task of several in a row, a round of boosting, a step of a curriculum.

    steps: updates at most. data: what parts that offer `stage_end(model=, data=)` are given once it is over.
    """

    name: str
    steps: int
    batches: Iterable[Any]
    data: Any = None


def run_stages(loop: Loop, stages: Iterable[Stage], parts: Iterable[Any] = ()) -> int:
    """`loop`'s model through one stage after another, on one count of steps and one budget; the number of the last step.

    Each stage is evaluated under its own name as well, and its end is announced to those of `parts` that want to know. The
    schedule runs once through each stage. Ends before the next stage once every target is reached.
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
    """`forward` for a Solution: runs with model and optimizer in evaluation mode, whenever it is called."""

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
    """Count `model`'s parameters, train it by the loop, and serve it: the Solution of a task that trains one model once.

    forward: what is served, the model itself by default. options: the loop's others, such as schedule, clip, eval_every.
    """
    log.count(parameters=parameter_count(model))
    predict = served(model, optimizer, forward or model)
    Loop(model, loss, optimizer, steps, log, predict=predict, **options).run(batches, samples)
    return Solution(predict)


def parameter_count(model: nn.Module) -> int:
    """Number of trainable numbers, a complex one counted as two."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters() if p.requires_grad)
