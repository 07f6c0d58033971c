"""Experience replay: stored samples of earlier tasks take a share of each batch (Robins 1995; Rolnick et al. 2019,
arXiv 1811.11682). A batch keeps its size, so that replay costs no further passes.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from bench.contract import BenchError

Batch = tuple[Tensor, Tensor]


class Replay:
    """Keeps `capacity` samples of each finished task, drawn without regard to their class, or all if it is None.

    share: of a batch that comes from the memory; None: that of the finished tasks among all begun, so that with everything kept
    each batch is a fair draw from all data seen so far, which is joint training from the second task on.
    """

    def __init__(self, *, generator: Generator, capacity: int | None = 50, share: float | None = 0.5) -> None:
        if capacity is not None and capacity < 1:
            raise BenchError(f"memory.capacity={capacity}: keep at least one sample a task, or null for all")
        if share is not None and not 0 <= share <= 1:
            raise BenchError(
                f"memory.share={share}: it lies between 0 and 1; null stands for equal shares of the tasks"
            )
        self.generator, self.capacity, self.share = generator, capacity, share
        self.kept: list[Batch] = []

    def __call__(self, batch: Batch) -> Batch:
        """The batch with its first samples replaced by stored ones; as it is during the first task."""
        if not self.kept:
            return batch
        x, y = (torch.cat(part) for part in zip(*self.kept, strict=True))
        tasks = len(self.kept)
        share = tasks / (tasks + 1) if self.share is None else self.share
        count = round(share * len(batch[0]))
        rows = torch.randint(len(x), (count,), generator=self.generator)
        return torch.cat([x[rows], batch[0][count:]]), torch.cat([y[rows], batch[1][count:]])

    def stage_end(self, model: nn.Module, data: Batch) -> None:
        """Keep samples of the finished task."""
        x, y = data
        rows = torch.randperm(len(x), generator=self.generator)[: self.capacity]
        self.kept.append((x[rows], y[rows]))
