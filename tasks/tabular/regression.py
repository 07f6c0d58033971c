"""`tabular/regression`: a number of each row of a small table from a budget of hidden units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.contract import BenchError
from tasks.tabular import base
from tasks.tabular.base import Tabular, shared_metrics

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Params(base.Params):
    """As the family's."""

    data: str = "diabetes"


class Regression(Tabular):
    """Diabetes or Friedman's function, as `data` says, or a file of the reader; the root mean square error ranks."""

    name = "tabular/regression"
    Params: ClassVar[type] = Params
    metrics = shared_metrics(
        "error", "min", "root mean square error over the deviation of training targets", "log", 10.0
    )
    rank = "error"
    objective = "val_error"
    reference = "boosted_network_four"
    margin = 0.05

    def targets(self, y: Tensor) -> tuple[Tensor, int]:
        if len(y.unique()) < 3:
            raise BenchError(f"task.data={self.params.data}: fewer than three values; see tabular/classification")
        return y, 0

    def loss(self, outputs: Tensor, y: Tensor) -> float:
        return float((outputs[:, 0] - y).square().mean() / 2)

    def quality(self, outputs: Tensor, y: Tensor) -> float:
        return float((outputs[:, 0] - y).square().mean().sqrt())
