"""Every number that a cell draws follows from its seed: numbers for the entry's draws, streams for the problem's data.

Streams are counter-based: none tells of another, and its seed cannot be found by trying. torch's CPU generator keeps 32 bits of
its seed, and a hidden set was found again from the public one by trying all of them; Philox (Salmon et al. 2011) has a key of 128
bits. Nothing here imports torch or numpy before something is drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor

ENTRY_AXES = ("init", "order", "noise")
POOL = 100  # consecutive seeds that share a pool


class Stream:
    """An endless sequence of draws, as torch tensors, that `key` (128 bits) fixes on every machine."""

    def __init__(self, key: int) -> None:
        self.key = key

    @cached_property
    def numpy(self) -> np.random.Generator:
        """numpy's generator of the same sequence."""
        import numpy as np

        return np.random.Generator(np.random.Philox(key=self.key))

    def _tensor(self, values: Any, dtype: torch.dtype | None) -> Tensor:
        import torch

        return torch.as_tensor(values).to(dtype or torch.float32)

    def normal(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Standard normal values, float32 unless `dtype` is given."""
        return self._tensor(self.numpy.standard_normal(shape), dtype)

    def uniform(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Uniform values in [0, 1), float32 unless `dtype` is given."""
        return self._tensor(self.numpy.random(shape), dtype)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Uniform whole numbers from 0 to high - 1, int64."""
        import torch

        return torch.as_tensor(self.numpy.integers(high, size=shape))

    def permutation(self, count: int) -> Tensor:
        """0 .. count - 1 in random order, int64."""
        import torch

        return torch.as_tensor(self.numpy.permutation(count))


@dataclass(frozen=True)
class EntrySeeds:
    """The seeds of the entry's axes, without the cell's seed, from which the data could be made again."""

    numbers: Mapping[str, int]

    def __call__(self, axis: str) -> int:
        """The 63-bit seed of `axis`; KeyError if an entry has no such axis."""
        if axis not in self.numbers:
            raise KeyError(f"no seed axis {axis!r} here; there are {', '.join(self.numbers)}")
        return self.numbers[axis]


@dataclass(frozen=True)
class Seeds:
    """Random numbers derived from (seed, axis, task), so that all entries get the same data and draws.

    The axes "data" and "split" give streams, which only the scorer's side has: an entry's process gets the numbers of the other
    axes, and the seed itself never reaches it.
    """

    seed: int
    task: str

    @property
    def pool(self) -> int:
        """The number of the data pool, for tasks whose data are dear: reported, tuning and fresh seeds never share one."""
        return self.seed // POOL

    def __call__(self, axis: str) -> int:
        """The 63-bit seed of an axis of the entry; KeyError for another one."""
        if axis not in ENTRY_AXES:
            raise KeyError(f"no seed axis {axis!r} here; the axes are {', '.join(ENTRY_AXES)}")
        return self._hash(axis, 8) >> 1

    def of_entry(self) -> EntrySeeds:
        """The numbers that an entry's process receives."""
        return EntrySeeds({axis: self(axis) for axis in ENTRY_AXES})

    def stream(self, axis: Literal["data", "split"], name: str) -> Stream:
        """The stream `name` of the problem's draws. Sets that an entry must not foresee have a stream each."""
        return Stream(self._hash(f"{axis}/{name}", 16))

    def _hash(self, axis: str, size: int) -> int:
        text = f"{self.seed}/{axis}/{self.task}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=size).digest(), "big")
