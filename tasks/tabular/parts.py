"""The slot of the family, as a typed stub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bench.contract import Slot

if TYPE_CHECKING:
    from torch import Generator, Tensor


def fitter(
    *, x: Tensor, y: Tensor, classes: int, units: int, generator: Generator, report: Callable[[Mapping[str, Any]], None]
) -> Mapping[str, Tensor]:
    """A network of at most `units` hidden units, fitted to x (n, inputs) and y (n,), float64; it draws from `generator` only.

    classes: 0 is regression with y of mean 0 and deviation 1; else y holds labels, int64. Two classes have one output, the logit
    of class 1; more have one a class. The result is a mapping as `tasks.tabular.network.checked` says. `report(network)` shows
    the network so far, which counts its units and keeps it for the case that the budget ends.
    """
    raise NotImplementedError


FITTER = Slot("fitter", fitter, {"_target_": "tasks.tabular.constant.constant"})
