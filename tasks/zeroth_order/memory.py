"""The memory that a computation takes beyond what was there before it, in bytes of tensors."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):
    """A context that follows the tensors which operations return inside it; `peak` is the most that lived at one time, in bytes.

    A view takes none, tensors that autograd keeps count, and what an operation needs inside itself does not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0
        self._now = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        for tensor in inputs:  # met here first, so it was there before
            self._follow(tensor.untyped_storage(), 0)
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                storage = leaf.untyped_storage()
                self._follow(storage, storage.nbytes())
        self.peak = max(self.peak, self._now)
        return result

    def _follow(self, storage: Any, size: int) -> None:
        key = storage._cdata
        if key in self._alive:
            return

        def gone(_: Any) -> None:
            self._now -= size
            del self._alive[key]

        self._alive[key] = weakref.ref(storage, gone)
        self._now += size
