"""The 1797 digits that come with scikit-learn as a source of tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Problem, Unavailable
from tasks.continual.base import Continual
from tasks.large_batch.digits import FILE, MD5, load, location

if TYPE_CHECKING:
    from torch import Tensor

    from bench.seeds import Seeds


class FromDigits(Continual):
    """A continual task whose data, or a part of them, are the digits."""

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return {FILE.name: location() or cache / FILE.name}

    def prepare(self, cache: Path, pool: int) -> str:
        where = location()
        if where is None:
            raise Unavailable("the digits come with scikit-learn, which is not here: pip install scikit-learn")
        return str(where)

    def assembled(self, path: str, sets: Mapping[str, list[tuple[Tensor, Tensor]]]) -> Problem:
        """The problem of the tasks' sets `train`, `val` and `test`."""
        import torch

        from bench.data.download import md5

        x, y = (torch.stack(part) for part in zip(*sets["train"], strict=True))
        public = {"x": x, "y": y, "classes": self.classes, "budget": self.budget.limit}
        return Problem(public, dict(sets), "official" if md5(Path(path)) == MD5 else "unverified")

    def divided(self, rows: Tensor, where: str, seeds: Seeds, name: str) -> list[Tensor]:
        """`rows` shuffled and dealt to train, val and test. BenchError, naming `where`, if they do not suffice."""
        p = self.params
        if (asked := p.train + p.val + p.test) > len(rows):
            raise BenchError(f"{self.name}: train, val and test add up to {asked}; {where} has {len(rows)} digits")
        order = seeds.stream("split", name).permutation(len(rows))
        return list(rows[order[:asked]].split([p.train, p.val, p.test]))


def drawn(data: Any) -> tuple[Tensor, Tensor]:
    """All digits (1797, 64), of mean 0 and deviation 1, and their labels (1797,)."""
    return load(Path(data))
