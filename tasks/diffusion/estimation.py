"""The scorer's side of `diffusion/score`: data, the error of a score, the distance of its samples, and pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from bench.contract import BenchError, Diverged, Exhibit, Problem, Solution
from bench.seeds import Seeds, Stream
from tasks.diffusion import process, tangent
from tasks.diffusion.laws import Law, law

Predict = Callable[..., Any]
DIRECTIONS = 64  # of the sliced distance
WIDTH = 0.5  # standard deviation of the kernel of the discrepancy, about that of a component
KERNEL_POINTS = 1024  # noisy points up to which a denoiser is held against kernel regression
TIMES = 49  # of its flow, at equal ratios from 0.01 to 1e6
ARROWS, SHOWN_TIME, REACH = 15, 0.2, 3.0  # the field of the exhibit: a square grid from -REACH to REACH at that time


def noised(p: Any, source: Law, count: int, draws: int, stream: Stream) -> tuple[Tensor, ...]:
    """(samples (count, dimension), x, t, y, noise), the last four with `draws` rows a sample, float32; times are uniform."""
    samples = source.draw(count, stream)
    y = samples.repeat_interleave(draws, dim=0)
    t = p.start + (p.end - p.start) * stream.uniform(len(y), dtype=torch.float64)
    noise = stream.normal(len(y), p.dimension, dtype=torch.float64)
    return tuple(part.float() for part in (samples, process.diffuse(y, t, noise), t, y, noise))


def problem(p: Any, seeds: Seeds) -> Problem:
    """Public: the samples and their fixed noisy points. Hidden: the law's score at new noisy points, and draws of the law."""
    source = law(p.law, p.dimension)
    samples, x, t, y, noise = noised(p, source, p.samples, p.draws, seeds.stream("data", "train"))
    _, val_x, val_t, _, val_noise = noised(p, source, p.val, p.draws, seeds.stream("data", "val"))
    _, test_x, test_t, _, _ = noised(p, source, p.test, 1, seeds.stream("data", "test"))
    exact = source.score(test_x.double(), test_t.double())
    real = seeds.stream("data", "real")
    earliest = process.diffuse(
        source.draw(p.generated, real), p.start, real.normal(p.generated, p.dimension, dtype=torch.float64)
    )
    stream = seeds.stream("data", "sampler")
    hidden = {
        "train": (x, t, noise),
        "labels": y,
        "val": (val_x, val_t, val_noise),
        "test": (test_x, test_t, exact),
        "real": earliest,
        "prior": stream.normal(p.generated, p.dimension),
        "directions": stream.normal(DIRECTIONS, p.dimension, dtype=torch.float64),
    }
    return Problem({"samples": samples, "x": x, "t": t, "y": y}, hidden)


def denoised(predict: Predict, x: Tensor, t: Tensor, *which: int) -> Tensor:
    """The estimate of E[x_0|x_t], float64. BenchError, naming the shapes, for any other form; Diverged if it is not finite."""
    answer = predict(x, t, *which)
    if not isinstance(answer, Tensor) or answer.shape != x.shape:
        got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise BenchError(f"a denoiser returns one row a point, {tuple(x.shape)}; this one returned {got}")
    if not bool(answer.isfinite().all()):
        raise Diverged("the denoiser returns numbers that are not finite")
    return answer.double()


def scores(predict: Predict, x: Tensor, t: Tensor, *which: int) -> Tensor:
    """The score that belongs to a denoiser, float64."""
    return process.score_of_denoised(denoised(predict, x, t, *which), x.double(), t.double())


def matching_loss(predict: Predict, x: Tensor, t: Tensor, noise: Tensor) -> float:
    """Mean of |predicted noise - noise|^2 = s_t^2 |score + noise / s_t|^2: denoising score matching, weighted as the error is."""
    predicted = process.noise_of(scores(predict, x, t), t.double())
    return float((predicted - noise).square().sum(1).mean())


def score_error(predict: Predict, x: Tensor, t: Tensor, exact: Tensor, *which: int) -> float:
    """Mean of s_t^2 |score - exact|^2 over points: the weight makes all times count alike, where 1/s_t would rule without it."""
    off = (scores(predict, x, t, *which) - exact).square().sum(1)
    return float((process.deviation(t.double()) ** 2 * off).mean())


def generate(p: Any, predict: Predict, prior: Tensor) -> Tensor:
    """Samples of the learned score at the earliest time, by the deterministic sampler from N(0, I) at the latest; float64."""
    times = process.schedule(p.start, p.end, p.sampler_steps)

    def noise(x: Tensor, k: int) -> Tensor:
        t = torch.full((len(x),), float(times[-1 - k]))
        return process.noise_of(scores(predict, x.float(), t), t.double())

    return process.walk(noise, prior.double(), times).ends


def sliced_wasserstein(one: Tensor, other: Tensor, directions: Tensor) -> float:
    """Root of the mean squared Wasserstein-2 distance, over directions, of two sets of equal size (count, dimension)."""
    units = directions / directions.norm(dim=1, keepdim=True)
    apart = (one @ units.T).sort(dim=0).values - (other @ units.T).sort(dim=0).values
    return float(apart.square().mean().sqrt())


def discrepancy(one: Tensor, other: Tensor) -> float:
    """Maximum mean discrepancy with a Gaussian kernel, the root of the biased square, which is never negative (Gretton 2012)."""

    def mean(a: Tensor, b: Tensor) -> float:
        return float(torch.exp(-torch.cdist(a, b).square() / (2 * WIDTH**2)).mean())

    return math.sqrt(max(0.0, mean(one, one) + mean(other, other) - 2 * mean(one, other)))


def kernel_distance(found: Tensor, data: tuple[Tensor, Tensor, Tensor], x: Tensor, t: Tensor) -> float:
    """How far denoised points `found` (test, dimension) are from kernel regression on `data` at the nearest time of its flow."""
    regression = tangent.Regression(*data)
    across = tangent.kernel(tangent.inputs(x.double(), t), regression.u)
    flow = torch.stack([across @ regression.flow(10 ** (-2 + 8 * i / (TIMES - 1))) for i in range(TIMES)])
    away = (flow - found).square().sum(-1).mean(1) / flow.square().sum(-1).mean(1)
    return math.sqrt(float(away.min()))


def score(p: Any, problem: Problem, solution: Solution) -> dict[str, float | None]:
    """All metrics; those of the way from the candidates that `predict(x, t, place)` serves, where tensors["steps"] names them."""
    predict, steps = solution.require_predict(), solution.tensors.get("steps")
    x, t, exact = problem.hidden["test"]
    error = score_error(predict, x, t, exact)
    generated = generate(p, predict, problem.hidden["prior"])
    real = problem.hidden["real"]
    found: dict[str, float | None] = {
        "score_error": error,
        "val_loss": matching_loss(predict, *problem.hidden["val"]),
        "train_loss": matching_loss(predict, *problem.hidden["train"]),
        "sliced_wasserstein": sliced_wasserstein(generated, real, problem.hidden["directions"]),
        "mmd": discrepancy(generated, real),
    }
    way = ("last_error", "best_error", "overtraining", "regret", "stopped_at", "kernel_distance")
    found |= dict.fromkeys(way)
    if steps is None:
        return found
    errors = [score_error(predict, x, t, exact, place) for place in range(len(steps))]
    found |= {"last_error": errors[-1], "best_error": min(errors), "overtraining": errors[-1] / min(errors)}
    found |= {"regret": error / min(errors), "stopped_at": float(steps[int(solution.tensors["chosen"])])}
    points, times, _ = problem.hidden["train"]
    if len(points) <= KERNEL_POINTS:
        last = denoised(predict, x, t, len(steps) - 1)
        found["kernel_distance"] = kernel_distance(last, (points, times, problem.hidden["labels"]), x, t)
    return found


def exhibit(p: Any, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
    """In two dimensions: generated samples beside the law's, and the learned score beside the exact one on a grid."""
    if p.dimension != 2:
        return {}
    predict = solution.require_predict()
    places = torch.linspace(-REACH, REACH, ARROWS)
    grid = torch.cartesian_prod(places, places)
    learned = scores(predict, grid, torch.full((len(grid),), SHOWN_TIME))
    exact = law(p.law, p.dimension).score(grid.double(), SHOWN_TIME)
    drawn = generate(p, predict, problem.hidden["prior"])[:500]
    samples = {"generated": drawn, "law": problem.hidden["real"][:500]}
    fields = {"learned": learned, "exact": exact}
    fields = {name: field.T.reshape(2, ARROWS, ARROWS) for name, field in fields.items()}
    docs = {
        "samples": "generated samples and draws of the law, both at the earliest time",
        "score": f"the score at t = {SHOWN_TIME}, learned and exact, by component",
    }
    return {
        "samples": Exhibit("points", samples, ("sample", "coordinate"), "1", docs["samples"]),
        "score": Exhibit("field", {"x": places, "y": places, **fields}, ("component", "x", "y"), "1", docs["score"]),
    }
