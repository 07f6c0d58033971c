"""neuraloperator's Darcy sets, `darcy_train_16.pt` and its like: https://github.com/neuraloperator/neuraloperator.

A dictionary of tensors, `x` (N, X, Y), bool or numbers, and `y` (N, X, Y), each perhaps with a channel axis of one. The
problem is that of Li et al. 2020 (arXiv 2010.08895, section 5.2): -div(a grad y) = 1 on the unit square, y = 0 at the edge,
and a is 12 where x is true, or 1, and 3 where it is not; an x of other numbers is a itself. The files hold no coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tasks.pde.files import layout as shared
from tasks.pde.files.fields import Array
from tasks.pde.files.layout import AGAIN, Foreign, Layout

HIGH, LOW = 12.0, 3.0


class Reader(shared.Reader):
    """A Darcy set, as a whole in memory."""

    def __init__(self, path: Path) -> None:
        permeability, self.pressure = (_plane(path, name, tensor) for name, tensor in _tensors(path).items())
        if permeability.shape != self.pressure.shape:
            what = f"x has shape {permeability.shape}, y {self.pressure.shape}"
            raise Foreign(path, "y", what, "a Darcy set has one y for each x")
        binary = bool(np.isin(permeability, (0, 1)).all())
        self.permeability = np.where(permeability, HIGH, LOW) if binary else permeability.astype(np.float32)
        samples, *grid = permeability.shape
        axes = tuple((np.arange(n) + 0.5) / n for n in grid)
        self.layout = Layout(
            "neuraloperator", samples, 1, tuple(grid), ("u",), axes, np.zeros(1), {"beta": 1.0}, ("nu",), None, 1, (),
            path.stat().st_size, periodic=False,
        )  # fmt: skip

    def fill(self, sample: int, values: Array, constants: Mapping[str, Array], stride: int, stride_t: int) -> None:
        cut = (slice(None, None, stride),) * 2
        values[0, ..., 0] = self.pressure[sample][cut]
        constants["nu"][...] = self.permeability[sample][cut]


def _tensors(path: Path) -> dict[str, Any]:
    """`x` and `y`; nothing in the file is run."""
    import torch

    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # torch has no error for a damaged file: the archive, the pickle and the sizes have theirs
        reason = str(error).partition("\n")[0]
        raise Foreign(path, "file", f"cannot be read as a file of torch ({reason})", AGAIN) from error
    names = [name for name in ("x", "y") if isinstance(held, dict) and isinstance(held.get(name), torch.Tensor)]
    if len(names) < 2:
        has = ", ".join(map(str, held)) if isinstance(held, dict) else type(held).__name__
        raise Foreign(path, "file", f"holds {has or 'nothing'}", "a Darcy set with the tensors x and y is wanted")
    return {name: held[name] for name in names}


def _plane(path: Path, name: str, tensor: Any) -> Array:
    """(samples, x, y) without the channel axis: floats, and for `x` bools or whole numbers too."""
    tensor = tensor.squeeze(1) if tensor.ndim == 4 else tensor
    fits = tensor.is_floating_point() or name == "x" and not tensor.is_complex()
    if tensor.ndim != 3 or tensor.is_sparse or not fits:
        what = f"{name} is {tuple(tensor.shape)} of {tensor.dtype}"
        raise Foreign(path, name, what, "a Darcy set has (samples, x, y); the sets of other problems are not read")
    return np.asarray(tensor.double().numpy() if tensor.is_floating_point() else tensor.numpy())
