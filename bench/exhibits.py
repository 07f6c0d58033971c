"""Storing a task's exhibits in an outcome: small arrays of single or half precision, each with its description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench import contract
from bench.contract import EXHIBIT_BYTES, BenchError
from bench.outcome import EXHIBIT, Exhibit, Outcome

if TYPE_CHECKING:
    import numpy as np


def keep(outcome: Outcome, task_exhibits: Mapping[str, contract.Exhibit]) -> None:
    """Add exhibits to an outcome. One that is too large or malformed is left out, and the outcome's reason says so."""
    room = EXHIBIT_BYTES
    for name, exhibit in task_exhibits.items():
        try:
            arrays = {part: small(array) for part, array in exhibit.arrays.items()}
            size = sum(array.nbytes for array in arrays.values())
            if size > room:
                raise BenchError(f"it holds {size} bytes, {room} of {EXHIBIT_BYTES} are left")
        except Exception as error:  # the result stands without a picture
            left_out(outcome, name, error)
            continue
        room -= size
        shapes = {part: list(array.shape) for part, array in arrays.items()}
        kind, axes, unit, doc = exhibit.kind, list(exhibit.axes), exhibit.unit, exhibit.doc
        outcome.exhibits[name] = Exhibit(kind=kind, arrays=shapes, axes=axes, unit=unit, doc=doc)
        outcome.arrays |= {f"{EXHIBIT}{name}/{part}": array for part, array in arrays.items()}


def left_out(outcome: Outcome, name: str, error: Exception) -> None:
    """Note in the outcome's reason that the exhibit `name` is missing, or all of them if `name` is empty."""
    note = f"exhibit {name} is left out: {type(error).__name__}: {error}" if name else f"no exhibits: {error}"
    outcome.reason = f"{outcome.reason}; {note}" if outcome.reason else note


def small(array: Any) -> np.ndarray[Any, Any]:
    """An array or tensor of real numbers as numpy: half precision stays, all else becomes single. BenchError for others."""
    import numpy as np
    import torch

    if isinstance(array, torch.Tensor):
        array = (array.float() if array.dtype == torch.bfloat16 else array).detach().cpu().numpy()
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise BenchError(f"an exhibit holds real numbers, not {array.dtype}")
    return array if array.dtype == np.float16 else array.astype(np.float32)
