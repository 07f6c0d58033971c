"""Metrics of training runs, from curves (sequences of numbers) and parameters (tensors). Importing this module needs no
torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


def time_to_target(steps: Sequence[int], values: Sequence[float], target: float, budget: int) -> tuple[int, bool]:
    """(step of the first value >= target, True), or (budget, False) if there is none; NaN is below every target. ValueError if
    `steps` and `values` differ in length."""
    for step, value in zip(steps, values, strict=True):
        if value >= target and step <= budget:
            return step, True
    return budget, False


def delay(
    steps: Sequence[int], trained: Sequence[float], held_back: Sequence[float], target: float, budget: int
) -> tuple[float, bool]:
    """(steps to target on held-back data over steps to target on training data, True); 1 is no delay.

    Both times are capped at `budget`, and step 0 counts as step 1. (ratio, False) if a target was never reached: the ratio
    is a lower bound if the one on training data was, else it is 1 and means nothing. ValueError if the sequences
    differ in length. Power et al. 2022 (arXiv 2201.02177), figure 1.
    """
    train_time, trained_reached = time_to_target(steps, trained, target, budget)
    held_back_time, held_back_reached = time_to_target(steps, held_back, target, budget)
    return max(held_back_time, 1) / max(train_time, 1), trained_reached and held_back_reached


def lr_sensitivity(losses: Sequence[float], initial: float, attainable: float = math.inf) -> float:
    """Mean of min(loss, initial) minus the least loss, over a grid of rates, in the losses' unit.

    A loss that is not finite counts as `initial`, the loss before training. attainable: an upper bound on the least loss,
    without which the formula is smallest for a recipe that learns nothing at any rate. ValueError for no losses. Wortsman et
    al. 2023 (arXiv 2309.14322), section 2.2: there over a log-spaced grid, unweighted.
    """
    if not losses:
        raise ValueError("the sensitivity of no losses is undefined")
    capped = [min(loss, initial) if math.isfinite(loss) else initial for loss in losses]
    least = min(attainable, *capped)
    return sum(loss - least for loss in capped) / len(capped)


def divergence_boundary(rates: Sequence[float], losses: Sequence[float], initial: float) -> float:
    """The least rate of the grid whose run diverged, in the rates' unit; infinity if none did.

    A run diverged if its final loss is not finite or not below `initial`, the loss before training. The rates may come
    in any order. ValueError for no rates, a rate that is not positive, or lengths that differ.
    """
    if not rates:
        raise ValueError("the divergence boundary of no rates is undefined")
    if min(rates) <= 0:
        raise ValueError(f"a learning rate has to be positive, got {min(rates)}")
    return min((rate for rate, loss in zip(rates, losses, strict=True) if not loss < initial), default=math.inf)


class Line(NamedTuple):
    """A fitted line: intercept and slope in the data's units, r2 the share of the data's variance it explains."""

    intercept: float
    slope: float
    r2: float


class Power(NamedTuple):
    """A fitted power law factor * t^exponent; r2 is the share of the variance of d (not of log d) that it explains."""

    factor: float
    exponent: float
    r2: float


def _r2(values: Sequence[float], fitted: Sequence[float]) -> float:
    mean = fmean(values)
    total = sum((value - mean) ** 2 for value in values)
    left = sum((value - fit) ** 2 for value, fit in zip(values, fitted, strict=True))
    return 1 - left / total if total > 0 else 1.0


def _line(x: Sequence[float], y: Sequence[float]) -> Line:
    mean_x, mean_y = fmean(x), fmean(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    if spread == 0:
        raise ValueError("a fit needs at least two different times")
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    intercept = mean_y - slope * mean_x
    return Line(intercept, slope, _r2(y, [intercept + slope * a for a in x]))


def _checked(times: Sequence[float], values: Sequence[float]) -> None:
    if len(times) != len(values):
        raise ValueError(f"{len(times)} times and {len(values)} values: a fit pairs them")
    if len(times) < 3:
        raise ValueError(f"{len(times)} points: a fit of two parameters needs at least three")
    if not all(map(math.isfinite, [*times, *values])):
        raise ValueError("a fit needs finite times and values; leave out what a diverged run recorded")
    if min(times) <= 0:
        raise ValueError(f"a fit against log or root of time needs positive times, got {min(times)}; leave out step 0")


def fit_log(times: Sequence[float], values: Sequence[float]) -> Line:
    """Least squares of d = intercept + slope log t (natural logarithm); d constant has r2 = 1.

    The ultra-slow diffusion of weights of Hoffer et al. 2017 (arXiv 1705.08741, section 3): give only times before the rate
    first drops. ValueError for fewer than three points, times that are not positive, numbers that are not finite.
    """
    _checked(times, values)
    return _line([math.log(t) for t in times], values)


def fit_sqrt(times: Sequence[float], values: Sequence[float]) -> Line:
    """Least squares of d = intercept + slope sqrt t, ordinary diffusion. Errors as in `fit_log`."""
    _checked(times, values)
    return _line([math.sqrt(t) for t in times], values)


def fit_power(times: Sequence[float], values: Sequence[float]) -> Power:
    """Least squares of log d = log factor + exponent log t. Errors as in `fit_log`, and for values that are not positive."""
    _checked(times, values)
    if min(values) <= 0:
        raise ValueError(f"a power law needs positive values, got {min(values)}")
    line = _line([math.log(t) for t in times], [math.log(d) for d in values])
    fitted = [math.exp(line.intercept) * t**line.slope for t in times]
    return Power(math.exp(line.intercept), line.slope, _r2(values, fitted))


def _episodes(curve: Sequence[float], window: int, threshold: float) -> list[tuple[int, int]]:
    """(first point of a spike, first point after it, or the curve's length if the spike never ends)."""
    if window < 1:
        raise ValueError(f"window={window}: the level before a spike needs at least one point")
    if not threshold > 0:
        raise ValueError(f"threshold={threshold}: a spike has a positive height")
    quiet: list[float] = []
    episodes: list[tuple[int, int]] = []
    start = None
    for i, value in enumerate(curve):
        level = median(quiet[-window:]) if len(quiet) >= window else math.inf
        if value <= level + threshold:  # false for NaN
            quiet.append(value)
            if start is not None:
                episodes.append((start, i))
                start = None
        elif start is None:
            start = i
    return episodes if start is None else [*episodes, (start, len(curve))]


def spikes(curve: Sequence[float], window: int, threshold: float) -> int:
    """How often a loss curve jumps by more than `threshold` (its unit) above the median of the `window` points before.

    Neighbouring points of one jump are one spike, NaN and infinity among them. The first `window` points set the first level.
    ValueError for a window below 1 or a threshold that is not positive.
    """
    return len(_episodes(curve, window, threshold))


def recovery(curve: Sequence[float], window: int, threshold: float) -> list[int]:
    """For each of the `spikes`: points until the curve is again within `threshold` of the level before, or until its end.
    Errors as there."""
    return [end - start for start, end in _episodes(curve, window, threshold)]


def snapshot(params: Iterable[Tensor]) -> list[Tensor]:
    """Copies of the parameters without gradients, from which a distance is measured later."""
    return [p.detach().clone() for p in params]


def _norm(tensors: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float(t.detach().abs().double().square().sum()) for t in tensors))


def _per_number(norm: float, tensors: Sequence[Tensor]) -> float:
    count = sum(t.numel() for t in tensors)
    if count == 0:
        raise ValueError("the root mean square of no numbers is undefined")
    return norm / math.sqrt(count)


def weight_norm(parameters: Iterable[Tensor]) -> float:
    """Euclidean norm of all numbers of all tensors together; 0 for none."""
    return _norm(list(parameters))


def weight_distance(params: Iterable[Tensor], start: Iterable[Tensor]) -> float:
    """Euclidean distance |w - w_0| of all numbers of all tensors together from an earlier `snapshot`. ValueError if the two
    differ in number or shape. Hoffer et al. 2017 (arXiv 1705.08741), section 3."""
    now, then = list(params), list(start)
    if [p.shape for p in now] != [p.shape for p in then]:
        raise ValueError("the parameters and their start differ in number or shape; take a snapshot of the same ones")
    return _norm([a.detach() - b.detach() for a, b in zip(now, then, strict=True)])


def update_norm(params: Iterable[Tensor], before: Iterable[Tensor], rms: bool = False) -> float:
    """Norm of an update, the distance from a `snapshot` before it; rms divides by the root of the count of numbers.

    Divided by the learning rate the root mean square is the update that Wortsman et al. 2023 (arXiv 2309.14322, section
    3.4) watch. Errors as in `weight_distance`, and ValueError for the root mean square of nothing.
    """
    now = list(params)
    distance = weight_distance(now, before)
    return _per_number(distance, now) if rms else distance


def gradient_norm(params: Iterable[Tensor], rms: bool = False) -> float:
    """Euclidean norm of all gradients in `.grad`; rms divides by the root of the count of numbers, which Wortsman et al. 2023
    (arXiv 2309.14322, section 3.4) compare with Adam's epsilon. ValueError if no parameter has a gradient."""
    gradients = [p.grad for p in params if p.grad is not None]
    if not gradients:
        raise ValueError("no parameter has a gradient; call backward() first and zero_grad() after")
    return _per_number(_norm(gradients), gradients) if rms else _norm(gradients)
