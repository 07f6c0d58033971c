"""How a surrogate is trained and rolled out. Fields are (batch, points, frames), channels last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench import train
from bench.contract import BenchError, Log, Seeds, Solution

if TYPE_CHECKING:
    from tasks.pde.base import Params

TINY = 1e-6  # keeps the loss's gradient finite where a prediction is exact or a target is at rest


def advance(model: nn.Module, window: Tensor, x: Tensor) -> Tensor:
    """The next frame (batch, points, 1) after `window` (batch, points, context); x: (points,).

    The model sees the frames, oldest first, and the coordinate as the last channel.
    """
    coordinate = x.expand(len(window), -1).unsqueeze(-1)
    frame: Tensor = model(torch.cat([window, coordinate], dim=-1))
    if frame.shape != (*window.shape[:2], 1):
        raise BenchError(
            f"the surrogate returned {tuple(frame.shape)} for a window {tuple(window.shape)}; "
            f"return (batch, points, channels_out) = {(*window.shape[:2], 1)}"
        )
    return frame


def rollout(model: nn.Module, context: Tensor, x: Tensor, frames: int) -> Tensor:
    """`frames` frames after `context`, each from the ones before: (batch, points, frames)."""
    window, made = context, []
    for _ in range(frames):
        frame = advance(model, window, x)
        made.append(frame)
        window = torch.cat([window[..., 1:], frame], dim=-1)
    return torch.cat(made, dim=-1)


def relative_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Mean over samples and frames of the relative RMS error, so that strong and decayed fields weigh alike."""
    error = (pred - target).square().mean(dim=1)
    return ((error + TINY**2).sqrt() / (target.square().mean(dim=1).sqrt() + TINY)).mean()


def windows(values: Tensor, context: int, unroll: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches (batch, points, context + unroll) of all windows of all samples, in a new order each epoch."""
    length = context + unroll
    starts = values.shape[-1] - length + 1
    total = len(values) * starts
    batch = min(batch, total)
    frames = torch.arange(length)
    while True:
        order = torch.randperm(total, generator=generator)
        for i in range(0, total - batch + 1, batch):
            chosen = order[i : i + batch]
            sample, start = chosen // starts, chosen % starts
            # Adjacent dimensions are indexed as (sample, frame), which puts them first: (batch, length, points).
            yield values.transpose(1, 2)[sample[:, None], start[:, None] + frames].transpose(1, 2)


def run(params: Params, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: Seeds) -> Solution:
    """Train the entry's surrogate, or take its solver as it is."""
    if parts["solver"] is not None:
        log.count(parameters=0)
        return Solution(solved(parts["solver"], params.initial_step, public))
    x, context = public["x"], params.initial_step
    frames = len(public["t"]) - context
    unroll = min(params.unroll, frames)
    torch.manual_seed(seeds("init"))
    model = parts["surrogate"](channels_in=context + 1, channels_out=1, points=len(x))
    optimizer = parts["optimizer"](model=model, steps=params.steps)
    log.count(parameters=train.parameter_count(model))

    def loss(batch: Tensor) -> Tensor:
        return relative_loss(rollout(model, batch[..., :context], x, unroll), batch[..., context:])

    predict = train.served(model, optimizer, lambda fields: rollout(model, fields, x, frames))
    train.Loop(
        model=model,
        loss=loss,
        optimizer=optimizer,
        steps=params.steps,
        log=log,
        schedule=parts["schedule"],
        predict=predict,
        eval_every=max(1, params.steps // max(1, params.evaluations)),
    ).run(windows(public["train"], context, unroll, params.batch, torch.Generator().manual_seed(seeds("order"))))
    return Solution(predict)


def solved(solver: Callable[..., Tensor], context: int, public: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
    """`predict` of a classical solver: it starts from the last context frame and knows the equation."""
    x, t, equation = public["x"], public["t"], public["equation"]
    times = t[context:] - t[context - 1]

    def predict(fields: Tensor) -> Tensor:
        with torch.no_grad():
            return solver(initial=fields[..., -1], x=x, t=times, equation=dict(equation)).float()

    return predict
