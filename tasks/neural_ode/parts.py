"""The slots that the tasks of the family share, as typed stubs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contract import Slot

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.neural_ode.paths import Path


def flow_regularizer(*, path: Path, generator: Generator, progress: float) -> Tensor:
    """A scalar that is added to the loss of an update.

    path: the solution of the update's equation, with the steps that the solver accepted and what else
    `tasks.neural_ode.paths.Path` offers. generator: of all that is drawn. progress: share of the run that is over, in [0, 1).
    """
    raise NotImplementedError


def end_time(*, before: float, end: float, generator: Generator) -> float:
    """Where the last time interval from `before` to `end` ends in an update, above `before`. Predictions end at `end`."""
    raise NotImplementedError


REGULARIZER = Slot("flow_regularizer", flow_regularizer, {"_target_": "tasks.neural_ode.plain.no_penalty"})
END_TIME = Slot("end_time", end_time, {"_target_": "tasks.neural_ode.plain.fixed_end"})
