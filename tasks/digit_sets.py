"""The handwritten digits of scikit-learn as a task's data: where they lie, and three sets drawn by seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract import BenchError, Unavailable
from bench.seeds import Seeds
from tasks.large_batch import digits

if TYPE_CHECKING:
    from torch import Tensor

Set = tuple["Tensor", "Tensor"]  # x (samples, 64) float32, labels (samples,) int64


def files(cache: Path) -> Mapping[str, Path]:
    """The file inside the installed package; without the package a path in the cache, where nothing lies."""
    return {digits.FILE.name: digits.location() or cache / digits.FILE.name}


def path() -> str:
    """The file's path; Unavailable without the package."""
    where = digits.location()
    if where is None:
        raise Unavailable("the digits come with scikit-learn, which is not here: pip install scikit-learn")
    return str(where)


def drawn(task: str, data: str, seeds: Seeds, train: int, val: int, test: int) -> tuple[dict[str, Set], str]:
    """(train, val and test set of these sizes, the file's origin). BenchError, naming the task, for more than there are."""
    from bench.data.download import md5

    if (asked := train + val + test) > digits.DIGITS:
        raise BenchError(f"{task}: train, val and test add up to {asked}; there are {digits.DIGITS} digits")
    x, y = digits.load(Path(data))
    parts = seeds.stream("split", "samples").permutation(digits.DIGITS)[:asked].split([train, val, test])
    sets = {name: (x[part], y[part]) for name, part in zip(("train", "val", "test"), parts, strict=True)}
    return sets, "official" if md5(Path(data)) == digits.MD5 else "unverified"
