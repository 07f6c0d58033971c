"""How a denoiser is learned in `diffusion/score`: the default parts and the run."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.contract import BenchError, Diverged, Log, Solution
from bench.seeds import EntrySeeds
from bench.train import Loop, evaluation, parameter_count
from tasks.diffusion.score import checkpoints

Denoiser = Callable[[Tensor, Tensor], Tensor]
Batch = tuple[Tensor, Tensor, Tensor]


class Mlp(nn.Module):
    """Two hidden layers of `width` SiLU units on (x, t, exp(-t))."""

    def __init__(self, dimension: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(dimension + 2, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, dimension)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        out: Tensor = self.layers(torch.cat([x, t[:, None], torch.exp(-t)[:, None]], dim=1))
        return out


def fixed(
    *, samples: Tensor, x: Tensor, t: Tensor, y: Tensor, batch: int, start: float, end: float,
    generator: torch.Generator, whole: bool = False,
) -> Iterator[Batch]:  # fmt: skip
    """Shuffled batches of the fixed noisy points, so that the noise in the labels can be learned by heart; a last partial one is
    dropped. whole: all points in every batch, without shuffling."""
    if whole or batch >= len(x):
        while True:
            yield x, t, y
    while True:
        order = torch.randperm(len(x), generator=generator)
        for first in range(0, len(x) - batch + 1, batch):
            picked = order[first : first + batch]
            yield x[picked], t[picked], y[picked]


def fresh(
    *, samples: Tensor, x: Tensor, t: Tensor, y: Tensor, batch: int, start: float, end: float,
    generator: torch.Generator,
) -> Iterator[Batch]:  # fmt: skip
    """New times and noise at every update, as diffusion models are trained; the samples stay the same few."""
    while True:
        label = samples[torch.randint(len(samples), (batch,), generator=generator)]
        time = start + (end - start) * torch.rand(batch, generator=generator)
        noise = torch.randn(label.shape, generator=generator)
        yield torch.exp(-time)[:, None] * label + torch.sqrt(-torch.expm1(-2 * time))[:, None] * noise, time, label


def last(errors: list[float]) -> bool:
    """No early stopping: the latest candidate is the answer."""
    return True


def least(errors: list[float]) -> bool:
    """Stopping by validation: the candidate of the least loss so far is the answer."""
    return errors[-1] <= min(errors)


def first(errors: list[float]) -> bool:
    """The first candidate, for an estimator that puts its own choice there; the others are looked at only."""
    return len(errors) == 1


def patient(errors: list[float], patience: int = 3) -> bool:
    """The least loss so far, until `patience` evaluations in a row have not lowered it: then the rule has stopped for good."""
    best = 0
    for place, error in enumerate(errors):
        if error < errors[best]:
            best = place
        elif place - best >= patience:
            return False
    return best == len(errors) - 1


def denoising_loss(model: Denoiser) -> Callable[[Batch], Tensor]:
    """Half the mean square of f(x_t, t) - x_0: the regression with noisy labels of 2401.15604."""
    return lambda batch: (model(batch[0], batch[1]) - batch[2]).square().sum(1).mean() / 2


def run(p: Any, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
    """Evaluate candidates on validation data; serve the one that `stopping` chose last, and each by its place."""
    data = {name: public[name] for name in ("samples", "x", "t", "y")}
    generator = torch.Generator().manual_seed(seeds("noise"))
    found: list[Denoiser] = []
    steps: list[int] = []
    errors: list[float] = []
    chosen = -1

    def look(step: int, denoiser: Denoiser) -> None:
        nonlocal chosen
        errors.append(log.evaluate(step, denoiser)["val_loss"])
        found.append(denoiser)
        steps.append(step)
        if parts["stopping"](errors=list(errors)):
            chosen = len(found) - 1

    if parts.get("estimator") is not None:
        for step, denoiser in parts["estimator"](**data, generator=generator):
            look(step, checked(denoiser))
    else:
        train(p, data, parts, log, generator, look)
    if chosen < 0:
        raise BenchError("no candidate was kept: the estimator yielded none, or `stopping` was never True")

    def predict(x: Tensor, t: Tensor, which: int = chosen) -> Tensor:
        with torch.no_grad():
            return found[which](x, t)

    return Solution(predict, {"steps": torch.tensor(steps), "chosen": torch.tensor(chosen)})


def train(
    p: Any, data: Mapping[str, Tensor], parts: Mapping[str, Any], log: Log, generator: torch.Generator,
    look: Callable[[int, Denoiser], None],
) -> None:  # fmt: skip
    """Train the network for the whole budget; `look` gets a copy of it at each checkpoint."""
    with log.phase("setup"):
        model = parts["network"](dimension=data["x"].shape[1])
        optimizer = parts["optimizer"](model=model, steps=p.steps)
        log.count(parameters=parameter_count(model))
    places = frozenset(checkpoints(p.steps, p.evaluations))

    def at_step(step: int) -> None:
        if step in places:
            with evaluation(model, optimizer):
                look(step, checked(copy.deepcopy(model).eval()))

    at_step(0)
    batches = parts["noising"](**data, batch=p.batch, start=p.start, end=p.end, generator=generator)
    Loop(model, denoising_loss(model), optimizer, p.steps, log, at_step=at_step).run(batches)


def checked(denoiser: Denoiser) -> Denoiser:
    """The denoiser, without gradients; Diverged where it returns a number that is not finite."""

    def predict(x: Tensor, t: Tensor) -> Tensor:
        with torch.no_grad():
            answer = denoiser(x, t)
        if not bool(answer.isfinite().all()):
            raise Diverged("the denoiser returns numbers that are not finite")
        return answer

    return predict
