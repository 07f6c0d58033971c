"""Trajectories of fields on a uniform grid: what generators make, files hold and tasks cut into splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Fields:
    """values: (samples, frames, x[, y[, z]], channels). axes: one array of cell centres per dimension of space.

    t: (frames,), the times of the frames. names: of the channels. attributes: the equation's parameters as a file calls
    them. constants: fields that do not change in time, such as a permeability, (samples, x[, y[, z]]) by name.
    """

    values: Array
    axes: tuple[Array, ...]
    t: Array
    names: tuple[str, ...]
    attributes: Mapping[str, float] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """ValueError if the shapes do not fit each other."""
        shape = (len(self.t), *(len(axis) for axis in self.axes), len(self.names))
        if self.values.ndim != len(shape) + 1 or self.values.shape[1:] != shape:
            raise ValueError(f"values of shape {self.values.shape}; (samples, {', '.join(map(str, shape))}) is wanted")

    def joined(self) -> Fields:
        """The same with the constants as the first channels, equal in all frames, which is how a surrogate sees them."""
        frames = (len(self.values), len(self.t), *self.values.shape[2:-1])
        shown = [np.broadcast_to(constant[:, None], frames) for constant in self.constants.values()]
        values = np.concatenate([*(channel[..., None] for channel in shown), self.values], axis=-1)
        return replace(self, values=values, names=(*self.constants, *self.names), constants={})
