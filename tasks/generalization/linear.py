"""Draws, training and scoring of linear students."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bench.contract import BenchError, Diverged, Log, Problem, Solution
from bench.seeds import Seeds
from tasks.generalization import theory


def problem(p: Any, steps: int, seeds: Seeds) -> Problem:
    """x (draws, P, N), y (draws, P) for training; teachers (draws, N) and validation samples stay hidden. float64."""
    samples = round(p.ratio * p.dimension)
    if samples < 1:
        raise BenchError(f"task.ratio={p.ratio}: of {p.dimension} dimensions that is no sample; raise one of them")
    largest = theory.edges(p.ratio)[1]
    if p.rate * largest >= 2:
        raise BenchError(
            f"task.rate={p.rate}: gradient descent diverges at ratio {p.ratio} from rate {2 / largest:.3g} on; lower it"
        )
    deviation = p.snr**-0.5

    def draw(name: str, count: int) -> tuple[Tensor, Tensor]:
        stream = seeds.stream("data", name)
        x = stream.normal(p.draws, count, p.dimension, dtype=torch.float64) / p.dimension**0.5
        noise = stream.normal(p.draws, count, dtype=torch.float64)
        return x, outputs(x, teacher) + deviation * noise

    teacher = seeds.stream("data", "teacher").normal(p.draws, p.dimension, dtype=torch.float64)
    (x, y), val = draw("train", samples), draw("val", p.val)
    public = {"x": x, "y": y, "snr": p.snr, "rate": p.rate, "budget": steps}
    return Problem(public, {"teacher": teacher, "val": val, "train": (x, y)})


def outputs(x: Tensor, weights: Tensor) -> Tensor:
    """(draws, any, N) and (draws, N) -> (draws, any)."""
    return (x @ weights[..., None])[..., 0]


def gaussian(draws: int, dimension: int, deviation: float) -> Tensor:
    """Independent weights N(0, deviation^2), (draws, dimension)."""
    if deviation < 0:
        raise BenchError(f"start.deviation={deviation}: a standard deviation is at least 0")
    return deviation * torch.randn(draws, dimension, dtype=torch.float64)


def descend(
    x: Tensor, y: Tensor, start: Tensor, snr: float, rate: float, checkpoints: Sequence[int],
    gradient: Callable[[Tensor], Tensor],
) -> Iterator[tuple[int, Tensor]]:  # fmt: skip
    """Full-batch gradient descent w <- w - rate X'(Xw - y), which time = steps x rate and theory.gradient_descent describe."""
    weights, step = start, 0
    for place in checkpoints:
        while step < place:
            weights = weights - rate * gradient(weights)
            step += 1
        yield step, weights


def run(public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, checkpoints: Sequence[int]) -> Solution:
    """Evaluate the learner's candidates; keep the one that `stopping` chooses, and all of them for the scorer."""
    x, y = public["x"], public["y"]
    draws, samples, dimension = x.shape
    with log.phase("setup"):
        gram, moment, power = x.mT @ x, (x.mT @ y[..., None])[..., 0], y.square().sum()
        log.count(parameters=dimension)
    taken = 0

    def gradient(weights: Tensor) -> Tensor:
        nonlocal taken
        log.count(steps=1, samples=samples)
        derivative = (weights[:, None] @ gram)[:, 0] - moment  # a row is several times faster
        log.track(taken, loss=float(((derivative - moment) * weights).sum() + power) / y.numel())
        taken += 1
        return derivative

    candidates = parts["learner"](
        x=x, y=y, start=parts["start"](draws=draws, dimension=dimension), snr=public["snr"], rate=public["rate"],
        checkpoints=checkpoints, gradient=gradient,
    )  # fmt: skip
    path: list[Tensor] = []
    steps: list[int] = []
    errors: list[float] = []
    for step, weights in candidates:
        if not bool(weights.isfinite().all()):
            raise Diverged(f"the weights are not finite at step {step}")
        predict = _student(weights)
        errors.append(log.evaluate(step, predict)["val_error"])
        path.append(weights)
        steps.append(step)
        if parts["stopping"](errors=list(errors)):
            log.incumbent = Solution(predict, {"weights": weights})
    if log.incumbent is None:
        raise BenchError("no candidate was kept: the learner yielded none, or `stopping` was never True")
    tensors = {**log.incumbent.tensors, "path": torch.stack(path), "steps": torch.tensor(steps)}
    return Solution(log.incumbent.predict, tensors)


def _student(weights: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda x: outputs(x, weights)


def generalisation_error(weights: Tensor, teacher: Tensor, snr: float) -> Tensor:
    """Exact for x ~ N(0, I/N): |w - teacher|^2 / N + 1/snr, mean over draws; weights (..., draws, N) -> (...)."""
    return (weights - teacher).square().mean(dim=(-2, -1)) + 1 / snr


def ridge(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """argmin |y - Xw|^2 + penalty |w|^2 for each draw, (draws, N)."""
    identity = torch.eye(x.shape[-1], dtype=x.dtype)
    return torch.linalg.solve(x.mT @ x + penalty * identity, (x.mT @ y[..., None])[..., 0])


def spanned(weights: Tensor, x: Tensor) -> Tensor:
    """The part of weights (draws, N) in the span of the inputs x (draws, P, N), where gradient descent can move them."""
    if x.shape[-2] >= x.shape[-1]:
        return weights
    basis = torch.linalg.qr(x.mT).Q
    return outputs(basis, outputs(basis.mT, weights))


def score(p: Any, name: str, problem: Problem, solution: Solution, descended: bool) -> dict[str, float | None]:
    """All metrics from `weights`, and from the candidates `path` (any, draws, N) at `steps` where these are given."""
    teacher, (x, y) = problem.hidden["teacher"], problem.hidden["train"]
    weights, path, steps = (solution.tensors.get(key) for key in ("weights", "path", "steps"))
    if weights is None or weights.shape != teacher.shape:
        got = "none" if weights is None else f"shape {tuple(weights.shape)}"
        raise BenchError(
            f"{name} scores tensors['weights'] of shape {tuple(teacher.shape)} (draws, dimension); it got {got}"
        )
    weights = weights.double()
    error = float(generalisation_error(weights, teacher, p.snr))
    best = float(generalisation_error(ridge(x, y, 1 / p.snr), teacher, p.snr))
    val_x, val_y = problem.hidden["val"]
    scores: dict[str, float | None] = {
        "gen_error": error,
        "val_error": float((outputs(val_x, weights) - val_y).square().mean()),
        "train_error": float((outputs(x, weights) - y).square().mean()),
        "ridge_gap": error / best - 1,
        "overtraining": None,
        "theory_distance": None,
        "frozen_energy": float((weights - spanned(weights, x)).square().mean()),
    }
    if path is not None and steps is not None:
        errors = generalisation_error(path, teacher, p.snr)
        scores["overtraining"] = error / float(errors.min())
        if descended:
            spread = float(path[0].square().mean())
            curve = [theory.gradient_descent(p.ratio, p.snr, int(k) * p.rate, spread, p.rate) for k in steps]
            expected = torch.tensor(curve, dtype=torch.float64)
            scores["theory_distance"] = float(((errors - expected).abs() / expected).max())
    return scores
