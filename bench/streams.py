"""Random streams for a problem's data, counter-based: no stream tells of another, and its seed cannot be found by trying.

torch's CPU generator keeps 32 bits of its seed: a hidden set was found again from the public one by trying all of them.
Philox (Salmon et al. 2011) with a key of 128 bits leaves nothing to try.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor


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
