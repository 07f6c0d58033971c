"""`tabular/classification`: classes of a small table from a budget of hidden units."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.contract import BenchError
from tasks.tabular.base import Tabular, shared_metrics

if TYPE_CHECKING:
    from torch import Tensor


class Classification(Tabular):
    """Breast cancer, wine or digits, as `data` says, or a file of the reader; accuracy ranks."""

    name = "tabular/classification"
    metrics = shared_metrics("accuracy", "max", "share of right classes", "linear", 0.0)
    rank = "accuracy"
    objective = "val_accuracy"
    reference = "boosted_network"

    def targets(self, y: Tensor) -> tuple[Tensor, int]:
        labels = y.long()
        classes = int(labels.max()) + 1
        if bool((labels != y).any()) or labels.unique().tolist() != list(range(classes)) or classes < 2:
            raise BenchError(
                f"task.data={self.params.data}: the last column has to hold classes 0, 1, …, at least two; "
                "for other numbers there is tabular/regression"
            )
        return labels, classes

    def loss(self, outputs: Tensor, y: Tensor) -> float:
        from torch.nn import functional

        if outputs.shape[1] == 1:
            return float(functional.binary_cross_entropy_with_logits(outputs[:, 0], y.to(outputs)))
        return float(functional.cross_entropy(outputs, y))

    def quality(self, outputs: Tensor, y: Tensor) -> float:
        chosen = (outputs[:, 0] > 0).long() if outputs.shape[1] == 1 else outputs.argmax(dim=1)
        return float((chosen == y).double().mean())
