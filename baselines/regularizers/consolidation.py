"""Penalties on leaving the weights of earlier tasks: strength / 2 sum_i importance_i (w_i - anchor_i)^2.

They differ in the importance. After each task importances are added up and the anchor moves to the present weights, as in
online EWC without decay (Schwarz et al. 2018, arXiv 1805.06370); with two tasks that is the original of each method.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from bench.contract import BenchError
from bench.train import evaluation

CHUNK = 64  # samples whose gradients are held at once


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that are trained, in order."""
    return [p for p in model.parameters() if p.requires_grad]


def per_sample_gradients(model: nn.Module, x: Tensor, labels: Tensor) -> Iterator[list[Tensor]]:
    """Gradients of each sample's cross-entropy, in chunks: a list over parameters of (chunk, *shape). One pass a sample."""
    parameters = trainable(model)
    for inputs, targets in zip(x.split(CHUNK), labels.split(CHUNK), strict=True):
        losses = nn.functional.cross_entropy(model(inputs), targets, reduction="none")
        units = torch.eye(len(losses), dtype=losses.dtype)
        yield list(torch.autograd.grad(losses, parameters, units, is_grads_batched=True, materialize_grads=True))


def sampled_labels(model: nn.Module, x: Tensor, generator: Generator) -> Tensor:
    """Labels (samples,) drawn from the model's own predictions."""
    with evaluation(model):
        shares = model(x).softmax(-1)
    return torch.multinomial(shares, 1, generator=generator)[:, 0]


def fisher(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    generator: Generator,
    labels: Literal["model", "data"] = "model",
    group: int = 1,
) -> list[Tensor]:
    """Diagonal of the Fisher information, a tensor a parameter: mean over samples of the squared gradient.

    labels: drawn from the model, which makes it the Fisher information, or those of the data (the empirical one). group: the
    squares are of the mean gradients of groups of so many samples, which is no Fisher information for more than 1; such a
    group's square is divided by its size once more, as where a sum over batches is divided by the number of samples.
    """
    targets = sampled_labels(model, x, generator) if labels == "model" else y
    total = [torch.zeros_like(p) for p in trainable(model)]
    was_training = model.training
    model.eval()
    if group == 1:
        for gradients in per_sample_gradients(model, x, targets):
            for part, gradient in zip(total, gradients, strict=True):
                part += gradient.square().sum(0)
    else:
        for inputs, wanted in zip(x.split(group), targets.split(group), strict=True):
            loss = nn.functional.cross_entropy(model(inputs), wanted)
            for part, gradient in zip(total, torch.autograd.grad(loss, trainable(model)), strict=True):
                part += gradient.square()
    model.train(was_training)
    return [part / len(x) for part in total]


class L2Anchor:
    """All weights are equally important. Kirkpatrick et al. 2017 compare EWC with it."""

    def __init__(self, *, model: nn.Module, generator: Generator, strength: float = 0.1) -> None:
        if not strength >= 0 or not math.isfinite(strength):
            raise BenchError(f"penalty.strength={strength}: it has to be finite and at least 0")
        self.strength, self.generator = strength, generator
        self.anchor: list[Tensor] = []
        self.importance: list[Tensor] | None = None

    def __call__(self, model: nn.Module) -> Tensor:
        """The penalty; 0 during the first task."""
        total = torch.zeros(())
        for i, (p, anchor) in enumerate(zip(trainable(model), self.anchor, strict=bool(self.anchor))):
            square = (p - anchor).square()
            total = total + (square if self.importance is None else self.importance[i] * square).sum()
        return self.strength / 2 * total

    def stage_end(self, model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
        """Move the anchor to the present weights."""
        self.anchor = [p.detach().clone() for p in trainable(model)]

    def add(self, importance: list[Tensor]) -> None:
        """Add a task's importances to those of the tasks before."""
        old = self.importance or [torch.zeros_like(part) for part in importance]
        self.importance = [a + b for a, b in zip(old, importance, strict=True)]


class Ewc(L2Anchor):
    """Elastic weight consolidation: importance is the diagonal Fisher information at the end of each task.

    Kirkpatrick et al. 2017 (arXiv 1612.00796), equation 3. labels, group: of `fisher`.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        generator: Generator,
        strength: float = 100.0,
        labels: Literal["model", "data"] = "model",
        group: int = 1,
    ) -> None:
        super().__init__(model=model, generator=generator, strength=strength)
        if labels not in ("model", "data") or group < 1:
            raise BenchError(f"EWC: labels={labels!r} is `model` or `data`, and group={group} at least 1")
        self.labels: Literal["model", "data"] = labels
        self.group = group

    def stage_end(self, model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
        """Measure the Fisher information on the finished task's samples."""
        self.add(fisher(model, *data, self.generator, self.labels, self.group))
        super().stage_end(model, data)


class SynapticIntelligence(L2Anchor):
    """Importance is the fall of the loss that a weight's path brought, over the square of the path's length plus `damping`.

    Zenke, Poole and Ganguli 2017 (arXiv 1703.04200), equations 3 to 5, with strength = 2 c. Gradients are of the batch's loss
    without the penalty.
    """

    def __init__(self, *, model: nn.Module, generator: Generator, strength: float = 1.0, damping: float = 1e-3) -> None:
        super().__init__(model=model, generator=generator, strength=strength)
        if not damping > 0 or not math.isfinite(damping):
            raise BenchError(f"penalty.damping={damping}: it has to be finite and above 0")
        self.damping = damping
        self.start = [p.detach().clone() for p in trainable(model)]
        self.before = [p.clone() for p in self.start]
        self.gain = [torch.zeros_like(p) for p in self.start]

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Add the step's -gradient times movement, weight by weight."""
        for i, p in enumerate(trainable(model)):
            before, gradient = self.before[i], p.grad if p.grad is not None else torch.zeros_like(p)
            if self.anchor and self.importance is not None:
                gradient = gradient - self.strength * self.importance[i] * (before - self.anchor[i])
            self.gain[i] -= gradient * (p - before)
            self.before[i] = p.clone()

    def stage_end(self, model: nn.Module, data: tuple[Tensor, Tensor]) -> None:
        """Turn the task's gains into importances, and start anew."""
        now = [p.detach() for p in trainable(model)]
        moved = [a - b for a, b in zip(now, self.start, strict=True)]
        self.add([
            gain.clamp(min=0) / (step.square() + self.damping) for gain, step in zip(self.gain, moved, strict=True)
        ])  # fmt: skip
        super().stage_end(model, data)
        self.start = self.anchor
        self.gain = [torch.zeros_like(gain) for gain in self.gain]
