"""The slots and the metrics that the recurrent and the linear tasks share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import BenchError, Curves, Metric, Slot

if TYPE_CHECKING:
    import torch
    from torch import Tensor

KERNEL = "alignment of the tangent kernel with the one before training; 1 is lazy"
CHANGES = (
    Metric("weight_change", "1", "min", "Frobenius norm of the change of the weights under test", source="probe"),
    Metric("weight_norm_before", "1", "min", "Frobenius norm of these weights before training", source="probe"),
    Metric(
        "representation_alignment", "1", "max", "alignment of H H' with that before training; 1 is lazy", source="probe"
    ),
    Metric("kernel_alignment", "1", "max", KERNEL, source="probe"),
    Metric("effective_rank_before", "1", "max", "(sum s)^2 / sum s^2 of these weights before training", source="probe"),
    Metric("effective_rank_after", "1", "max", "(sum s)^2 / sum s^2 of these weights after training", source="probe"),
)


def rank_init(*, rows: int, columns: int, gain: float, generator: torch.Generator) -> Tensor:
    """Initial weights (rows, columns). The task's gain g0 stands for entries of deviation g0 / sqrt(columns)."""
    raise NotImplementedError


def shared_slots(lr: float, momentum: float, *more: Slot) -> tuple[Slot, ...]:
    """The family's slots: initial weights, SGD at the task's own rate, the slots `more`, and a whole procedure."""
    sgd = {"_target_": "bench.optim.named", "name": "SGD", "lr": lr, "momentum": momentum}
    parts = (
        Slot("rank_init", rank_init, {"_target_": "tasks.rich_lazy.draws.gaussian"}),
        Slot("optimizer", slots.optimizer, sgd),
        *more,
    )
    return (*parts, Slot("procedure", slots.procedure, excludes=tuple(part.name for part in parts)))


def initial(part: Any, rows: int, columns: int, gain: float, generator: torch.Generator) -> Tensor:
    """What the part in slot `rank_init` draws. BenchError unless it is a finite matrix (rows, columns)."""
    weights = part(rows=rows, columns=columns, gain=gain, generator=generator)
    shape = tuple(getattr(weights, "shape", ()))
    if shape != (rows, columns) or not bool(weights.isfinite().all()):
        raise BenchError(f"slot rank_init gave {shape}; a finite tensor of shape {(rows, columns)} is wanted")
    return weights


def defined(**values: Callable[[], float]) -> dict[str, float]:
    """The values that exist. A network that has fallen silent has no alignment, yet a probe must not end its run."""
    numbers = {}
    for name, value in values.items():
        try:
            numbers[name] = value()
        except ValueError:
            continue
    return numbers


def changes(log: Curves) -> dict[str, float | None]:
    """The probe's curves as metrics: what was before training, and what is after; None where there is no such value."""
    end = log.curve("weight_change")[0][-1:]
    metrics: dict[str, float | None] = {}
    for metric in CHANGES:
        name, _, when = metric.name.rpartition("_")
        steps, values = log.curve(name if when in ("before", "after") else metric.name)
        known = dict(zip(steps, values, strict=True))
        value = known.get(0 if when == "before" else end[0]) if end else None
        metrics[metric.name] = value if value is not None and math.isfinite(value) else None
    return metrics
