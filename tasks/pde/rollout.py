"""How a surrogate is trained and rolled out. Fields are (batch, x[, y[, z]], frames, channels)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench import train
from bench.contract import BenchError, Log, Solution
from bench.seeds import EntrySeeds

if TYPE_CHECKING:
    from tasks.pde.base import Params

TINY = 1e-6  # keeps the loss's gradient finite where a prediction is exact or a target is at rest


@dataclass(frozen=True)
class Frame:
    """What lies around the model: coordinates (x[, y[, z]], dims), and the channels' means and scales (channels,).

    The model sees and predicts channels less their mean, over their scale: densities and pressures differ by orders of
    magnitude. form: (last context frame, output) -> the next frame, both in these units.
    """

    coordinates: Tensor
    mean: Tensor
    scale: Tensor
    form: Callable[[Tensor, Tensor], Tensor]
    constants: int = 0  # number of first channels that do not change

    @classmethod
    def of(
        cls, axes: Sequence[Tensor], values: Tensor, form: Callable[[Tensor, Tensor], Tensor], constants: int = 0
    ) -> Frame:
        """Means and deviations of the training `values`; a single channel stays as it is."""
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        channels = values.shape[-1]
        if channels == 1:
            return cls(grid, torch.zeros(1), torch.ones(1), form, constants)
        flat = values.reshape(-1, channels).double()
        scale = flat.std(dim=0).clamp(min=1e-12)
        return cls(grid, flat.mean(dim=0).float(), scale.float(), form, constants)

    def advance(self, model: nn.Module, window: Tensor) -> Tensor:
        """The next frame (batch, x.., 1, channels) after `window` (batch, x.., context, channels).

        The model sees the context's channels, oldest frame first, then the coordinates, as its last dimension; it predicts
        the channels that change.
        """
        scaled, fixed = (window - self.mean) / self.scale, self.constants
        inputs = scaled.flatten(-2)
        coordinates = self.coordinates.expand(len(window), *self.coordinates.shape)
        out: Tensor = model(torch.cat([inputs, coordinates], dim=-1))
        shape = (*window.shape[:-2], window.shape[-1] - fixed)
        if out.shape != shape:
            raise BenchError(
                f"the surrogate returned {tuple(out.shape)} for inputs {(*inputs.shape[:-1], 'channels_in')}; "
                f"return (batch, x.., channels_out) = {shape}"
            )
        new = (self.mean[fixed:] + self.scale[fixed:] * self.form(scaled[..., -1, fixed:], out)).unsqueeze(-2)
        return torch.cat([window[..., -1:, :fixed], new], dim=-1) if fixed else new


def rollout(model: nn.Module, context: Tensor, frame: Frame, frames: int) -> Tensor:
    """`frames` frames after `context`, each from the ones before: (batch, x.., frames, predicted channels)."""
    window, predictions = context, []
    for _ in range(frames):
        predictions.append(frame.advance(model, window))
        window = torch.cat([window[..., 1:, :], predictions[-1]], dim=-2)
    return torch.cat(predictions, dim=-2)[..., frame.constants :]


def frame(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The output is the next frame itself."""
    return lambda last, output: output


def correction(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The output is what the next frame adds to the last one. Training starts from persistence: the model's output layer, which
    is the last of its modules that holds weights, is set to zero."""
    *_, head = (module for module in model.modules() if any(True for _ in module.parameters(recurse=False)))
    for weight in head.parameters(recurse=False):
        nn.init.zeros_(weight)
    return torch.add


def relative_loss(pred: Tensor, target: Tensor, epsilon: Tensor | float = TINY) -> Tensor:
    """Mean over samples, frames and channels of the relative RMS error, so that strong and decayed fields weigh alike.

    epsilon: one number, or one a channel, below which a target's RMS counts as rest.
    """
    space = tuple(range(1, pred.ndim - 2))
    error = (pred - target).square().mean(dim=space)
    return ((error + TINY**2).sqrt() / (target.square().mean(dim=space).sqrt() + epsilon)).mean()


def squared_loss(pred: Tensor, target: Tensor, epsilon: Tensor | float = TINY) -> Tensor:
    """PDEBench's: the mean squared error of the fields as they are, summed over frames. It weighs strong fields most."""
    return (pred - target).square().mean(dim=(*range(pred.ndim - 2), -1)).sum()


def unrolled(unroll: int, frames: int) -> tuple[int, int]:
    """The loss sees `unroll` frames from the true context on: one step ahead, or autoregressive training from 2 on."""
    return 0, min(unroll, frames)


def windows(values: Tensor, context: int, unroll: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Endless batches (batch, x.., context + unroll, channels) of all windows of all samples, in a new order each epoch."""
    length = context + unroll
    starts = values.shape[-2] - length + 1
    total = len(values) * starts
    batch = min(batch, total)
    frames = torch.arange(length)
    by_frame = values.movedim(-2, 1)
    while True:
        order = torch.randperm(total, generator=generator)
        for i in range(0, total - batch + 1, batch):
            chosen = order[i : i + batch]
            sample, start = chosen // starts, chosen % starts
            yield by_frame[sample[:, None], start[:, None] + frames].movedim(1, -2)


def run(params: Params, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
    """Train the entry's surrogate, or take its solver as it is."""
    if parts["solver"] is not None:
        log.count(parameters=0)
        return Solution(solved(parts["solver"], params.initial_step, public, seeds("init")))
    axes, values, context = public["axes"], public["train"], params.initial_step
    fixed, channels = int(public["constants"]), values.shape[-1]
    frames = len(public["t"]) - context
    free, seen = parts["unrolling"](unroll=params.unroll, frames=frames)
    if free < 0 or seen < 1 or free + seen > frames:
        raise BenchError(
            f"the unrolling takes {free} + {seen} frames; a rollout has {frames}: choose fewer, at least 0 + 1"
        )
    torch.manual_seed(seeds("init"))
    model = parts["surrogate"](
        channels_in=context * channels + len(axes),
        channels_out=channels - fixed,
        grid=tuple(len(axis) for axis in axes),
        periodic=bool(public["periodic"]),
    )
    frame = Frame.of(axes, values, parts["output_form"](model=model), fixed)
    epsilon = public["rest"]

    def loss(batch: Tensor) -> Any:
        start = batch[..., :context, :]
        with torch.no_grad():
            for _ in range(free):
                start = torch.cat([start[..., 1:, :], frame.advance(model, start)], dim=-2)
        pred = rollout(model, start, frame, seen)
        return parts["loss"](pred=pred, target=batch[..., context + free :, fixed:], epsilon=epsilon)

    batches = windows(values, context, free + seen, params.batch, torch.Generator().manual_seed(seeds("order")))
    return fit(model, loss, lambda fields: rollout(model, fields, frame, frames), batches, params, parts, log)


def fit(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    forward: Callable[[Tensor], Tensor],
    batches: Iterator[Tensor],
    params: Params,
    parts: Mapping[str, Any],
    log: Log,
) -> Solution:
    """Train `model` on the `loss` of each batch, by the entry's optimizer and schedule; `forward` is then what it predicts."""
    optimizer, every = parts["optimizer"](model=model, steps=params.steps), params.steps // max(1, params.evaluations)
    return train.fit(
        model,
        optimizer,
        loss,
        batches,
        params.steps,
        log,
        forward,
        schedule=parts["schedule"],
        eval_every=max(1, every),
    )


def solved(
    solver: Callable[..., Tensor], context: int, public: Mapping[str, Any], seed: int
) -> Callable[[Tensor], Tensor]:
    """`predict` of a solver: it starts from the last context frame and knows the equation. What it draws depends on `seed`."""
    axes, t, equation = public["axes"], public["t"].double(), public["equation"]
    times = t[context:] - t[context - 1]

    def predict(fields: Tensor) -> Tensor:
        torch.manual_seed(seed)
        with torch.no_grad():
            return solver(initial=fields[..., -1, :], axes=axes, t=times, equation=dict(equation)).float()

    return predict
