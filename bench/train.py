"""The training loop the families share.

One step: count it, draw a batch, let the optimizer step, keep the loss. At intervals: switch the model (and the
optimizer, if it has the two modes) to evaluation, let the harness measure, probe, and stop if every target is reached.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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


@dataclass
class Loop:
    """How to train: a loss of a batch, and the rest as the task and the entry's parts say.

    schedule(step=, steps=) is a factor on each group's base rate. clip is a bound on the gradient's norm. predict is
    what `log.evaluate` serves, at every `eval_every` steps and at the end. probe_state goes to the task's probes.
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

    def run(self, batches: Iterable[Any], samples: Callable[[Any], int] = len) -> None:
        """Train for `steps` updates, or until every target is reached. Raises Diverged, Exhausted."""
        if hasattr(self.optimizer, "train"):
            self.optimizer.train()
        self.model.train()
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self._observe(0)
        step = 0
        for step, batch in zip(range(1, self.steps + 1), batches, strict=False):
            if self.log.stop:
                return
            self.log.count(steps=1, samples=samples(batch))
            if self.schedule is not None:
                factor = self.schedule(step=step - 1, steps=self.steps)
                for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * factor
            loss = self._step(batch)
            self.log.track(step, loss=loss)
            if not math.isfinite(loss):
                raise Diverged(f"the training loss is {loss} at step {step}")
            if self.eval_every and step % self.eval_every == 0 and step < self.steps:
                self._observe(step)
        if not self.log.stop:
            self._observe(step)

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
            self.log.evaluate(step, self.predict)
            self.log.incumbent = Solution(predict=self.predict)
        if self.probe_state is not None:
            self.log.probe(step, **self.probe_state)


def served(model: nn.Module, optimizer: Optimizer | None, forward: Callable[..., Any]) -> Callable[..., Any]:
    """`forward` for a Solution: runs with model and optimizer in evaluation mode, whenever it is called."""

    def predict(*inputs: Any) -> Any:
        with evaluation(model, optimizer):
            return forward(*inputs)

    return predict


def parameter_count(model: nn.Module) -> int:
    """Number of trainable numbers, a complex one counted as two."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters() if p.requires_grad)
