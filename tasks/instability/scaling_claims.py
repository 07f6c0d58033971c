"""Measures of claims about instability and the size of a model. Pure functions of one seed's records: entry -> its records.

Cells of one entry differ in `width` and `lr`, as the claim's plan sweeps them. Sensitivities here are the paper's (Wortsman et
al. 2023, arXiv 2309.14322, section 2.2), without the bound that ranks on the board, over the rates of the plan. A cell that
diverged counts as the loss at initialisation; any other failure is a BenchError that names the cell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, linear_regression

from bench.contract import BenchError
from bench.metrics import trajectories
from bench.records.record import Record, number

Records = Mapping[str, Sequence[Record]]

UNSTABLE = 1e3  # attention logits from which the loss suffers (section 3.3, figure 10)
WORSE = 0.5  # nats above the best rate of the same width: a run that went wrong


def sensitivity_growth(records: Records, *, entry: str) -> float:
    """Learning-rate sensitivity of `entry` at its largest width minus that at its smallest, in nats."""
    widths = _widths(records[entry], least=2)
    return _sensitivity(records[entry], widths[-1]) - _sensitivity(records[entry], widths[0])


def sensitivity_change(records: Records, *, of: str, under: str) -> float:
    """Learning-rate sensitivity of entry `of` minus that of entry `under`, in nats, at the largest width of both."""
    sensitivities = []
    for entry in (of, under):
        sensitivities.append(_sensitivity(records[entry], _widths(records[entry], least=1)[-1]))
    return sensitivities[0] - sensitivities[1]


def regret_drop(records: Records, *, of: str, under: str) -> float:
    """How much less it costs entry `of` than entry `under` to carry the best rate over from the smallest width, in nats.

    The cost is the loss of the largest width at the rate that is best for the smallest, above its loss at its own best rate.
    """
    return _regret(records[under]) - _regret(records[of])


def loss_drop(records: Records, *, of: str, under: str) -> float:
    """Mean test loss of entry `under` minus that of entry `of`, in nats: positive if `of` ends lower."""
    return fmean(map(_loss, records[under])) - fmean(map(_loss, records[of]))


def logit_growth(records: Records, *, of: str, under: str) -> float:
    """Exponent with which the largest attention logit grows with the rate, of entry `under` minus of entry `of`."""
    slopes = []
    for entry in (under, of):
        points = [(math.log(row.params["lr"]), _log(row, "max_attention_logit")) for row in records[entry]]
        slopes.append(_slope(points, f"{entry}'s rates"))
    return slopes[0] - slopes[1]


def gradient_growth(records: Records, *, entry: str) -> float:
    """The larger of two exponents of `entry`'s gradient RMS: with the width at a rate, with the rate at a width, both averaged.

    Negative if gradients shrink with both.
    """
    rows = records[entry]
    exponents = []
    for along, within in (("width", "lr"), ("lr", "width")):
        slopes = []
        for value in sorted({row.params[within] for row in rows}):
            group = [row for row in rows if row.params[within] == value]
            points = [(math.log(row.params[along]), _log(row, "gradient_rms")) for row in group]
            slopes.append(_slope(points, f"the {along}s of {within} = {value}"))
        exponents.append(fmean(slopes))
    return max(exponents)


def extrapolation_error(records: Records, *, entry: str, metric: str) -> float:
    """Mean over rates of |log10(predicted / measured)| of `metric` at the largest width, predicted from the smaller ones."""
    pairs = predictions(records[entry], metric)
    return fmean(abs(predicted - _log(row, metric)) / math.log(10) for predicted, row in pairs)


def instability_foretold(records: Records, *, entry: str) -> float:
    """Share of rates at which smaller widths predict rightly whether the largest goes wrong, by a logit above `UNSTABLE`."""
    pairs = predictions(records[entry], "max_attention_logit")
    least = min(_loss(row) for _, row in pairs)
    right = [(predicted > math.log(UNSTABLE)) == (_loss(row) > least + WORSE) for predicted, row in pairs]
    return fmean(right)


def predictions(rows: Sequence[Record], metric: str) -> list[tuple[float, Record]]:
    """For each rate, in order: (natural logarithm of `metric` predicted for the largest width, that width's record).

    A straight line of log metric on log width, fitted to the smaller widths at that rate. The paper fits a quadratic in the
    size; two smaller widths allow no more than a line. BenchError with fewer than two of them, or a metric that is not positive.
    """
    *smaller, largest = _widths(rows, least=3)
    extrapolations = []
    for rate in sorted({row.params["lr"] for row in rows}):
        at = {row.params["width"]: row for row in rows if row.params["lr"] == rate}
        line = linear_regression([math.log(w) for w in smaller], [_log(at[w], metric) for w in smaller])
        extrapolations.append((line.intercept + line.slope * math.log(largest), at[largest]))
    return extrapolations


def _widths(rows: Sequence[Record], least: int) -> list[int]:
    widths = sorted({row.params["width"] for row in rows})
    if len(widths) < least:
        raise BenchError(
            f"the plan has widths {widths}; this measure needs {least} or more, as in task.width=32,64,128"
        )
    return widths


def _loss(row: Record) -> float:
    return number(row, "final_loss", diverged=row.metrics.get("initial_val_loss"))


def _log(row: Record, metric: str) -> float:
    value = number(row, metric)
    if value <= 0:
        raise BenchError(f"{row.label}: {metric} is {value}; a power law needs it positive")
    return math.log(value)


def _slope(points: Sequence[tuple[float, float]], what: str) -> float:
    if len({x for x, _ in points}) < 2:
        raise BenchError(f"{what}: one value allows no exponent; sweep two or more")
    return linear_regression(*zip(*points, strict=True)).slope


def _sensitivity(rows: Sequence[Record], width: int) -> float:
    chosen = [row for row in rows if row.params["width"] == width]
    initial = max(row.metrics["initial_val_loss"] for row in chosen)
    return trajectories.lr_sensitivity([_loss(row) for row in chosen], initial)


def _regret(rows: Sequence[Record]) -> float:
    smallest, *_, largest = _widths(rows, least=2)
    loss = {(row.params["width"], row.params["lr"]): _loss(row) for row in rows}
    rates = sorted({rate for _, rate in loss})
    best = min(rates, key=lambda rate: loss[smallest, rate])
    return loss[largest, best] - min(loss[largest, rate] for rate in rates)
