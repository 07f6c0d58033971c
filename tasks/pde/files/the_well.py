"""The HDF5 files of The Well: Ohana et al. 2024, arXiv 2412.00568, https://github.com/PolymathicAI/the_well.

Root attributes `n_spatial_dims`, `n_trajectories`, `simulation_parameters` (names of further attributes); `dimensions` with
`time` (T,) and a data set for each name in its attribute `spatial_dims`; `boundary_conditions`, groups with the attribute
`bc_type`. `t0_fields`, `t1_fields` and `t2_fields` hold scalars, vectors and tensors, (N, T, X[, Y[, Z]], components..);
an axis along which a field does not vary is left out, as its attributes `sample_varying`, `time_varying` and `dim_varying`
tell. Every component is a channel here; fields that do not vary in time are constants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tasks.pde.files import layout as shared
from tasks.pde.files.fields import Array
from tasks.pde.files.layout import BLOCK, FOREIGN, LONGEST, Foreign, Layout, axis, dataset, numbers, own

ORDERS = ("t0_fields", "t1_fields", "t2_fields")


@dataclass(frozen=True)
class Field:
    """A data set. names: of its components. samples, times, dims: whether it varies along each of the axes."""

    data: h5py.Dataset
    names: tuple[str, ...]
    samples: bool
    times: bool
    dims: tuple[bool, ...]


class Reader(shared.Reader):
    """A file of The Well on a grid of one to three dimensions."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        dimensions = own(path, file, "dimensions")
        spatial = _texts(dimensions.attrs.get("spatial_dims", ()))
        if not 1 <= len(spatial) <= 3:
            raise Foreign(path, "dimensions", f"{len(spatial)} spatial_dims", "one to three are wanted")
        t, axes = _time(path, dimensions), tuple(_axis(path, dimensions, name) for name in spatial)
        shape, samples = tuple(len(axis) for axis in axes), int(numbers(file.attrs).get("n_trajectories", 0))
        groups = [own(path, file, order) or {} for order in ORDERS]
        self.held = [
            _field(path, group, name, rank, spatial, (samples, len(t), *shape))
            for rank, group in enumerate(groups)
            for name in group
        ]
        names, constants = (tuple(n for f in self.held if f.times is moves for n in f.names) for moves in (True, False))
        known = set(_texts(file.attrs.get("simulation_parameters", ())))
        self.layout = Layout(
            "the_well", samples, len(t), shape, names, axes, t,
            {name: value for name, value in numbers(file.attrs).items() if name in known},
            constants, self.held[0].data.chunks if self.held else None, len(t), (), path.stat().st_size,
            periodic=_periodic(path, file),
        )  # fmt: skip

    def fill(self, sample: int, values: Array, constants: Mapping[str, Array], stride: int, stride_t: int) -> None:
        channel = 0
        for field in self.held:
            if not field.times:
                block = self._at(field, sample, None, stride)
                for component, name in enumerate(field.names):
                    constants[name][...] = block[..., component]
                continue
            last = channel + len(field.names)
            source = field.data
            size = math.prod(source.shape[field.samples :]) * source.dtype.itemsize
            held = (source[sample] if field.samples else source[()]) if size <= BLOCK else None
            for row in range(len(values)):
                values[row, ..., channel:last] = self._at(field, sample, row * stride_t, stride, held)
            channel = last

    def _at(self, field: Field, sample: int, frame: int | None, stride: int, held: Array | None = None) -> Array:
        """(x or 1, .., components) of one frame, from the sample in memory if it is `held`."""
        lead = (sample,) if field.samples else ()
        if held is not None:
            block = held[frame]
        else:
            block = field.data[lead if frame is None else (*lead, frame)]
        grid = [n if varies else 1 for n, varies in zip(self.layout.shape, field.dims, strict=True)]
        return np.asarray(block).reshape(*grid, len(field.names))[(slice(None, None, stride),) * len(grid)]


def _texts(held: Any) -> list[str]:
    """The strings of an attribute, which h5py gives as text or as bytes, one or several."""
    return [
        text.decode() if isinstance(text, bytes) else str(text) for text in np.atleast_1d(np.asarray(held)).tolist()
    ]


def _axis(path: Path, dimensions: h5py.Group, name: str) -> Array:
    length = dataset(path, dimensions, name).shape
    return axis(path, dimensions, name, length if len(length) == 1 else (0,))


def _time(path: Path, dimensions: h5py.Group) -> Array:
    """The frames' times (T,): those of the first trajectory where each has its own, (N, T)."""
    held = dataset(path, dimensions, "time")
    if held.ndim not in (1, 2) or 0 in held.shape or held.size > LONGEST:
        raise Foreign(path, "dimensions/time", f"time has shape {held.shape}", "(frames,) is wanted")
    times = np.atleast_2d(held[:].astype(float))
    since = times - times[:, :1]
    if not np.allclose(since, since[0], rtol=1e-4, atol=1e-6 * np.abs(since[0]).max(), equal_nan=True):
        step = "split the file by the times of its frames"
        raise Foreign(path, "dimensions/time", "its trajectories have frames at different times", step)
    return np.asarray(times[0])


def _field(path: Path, group: Any, name: str, rank: int, spatial: list[str], sizes: tuple[int, ...]) -> Field:
    """sizes: of trajectories, frames and the grid."""
    data = dataset(path, group, name)
    dims = np.atleast_1d(data.attrs.get("dim_varying", [True] * len(spatial))).astype(bool)
    varies = [bool(data.attrs.get("sample_varying", True)), bool(data.attrs.get("time_varying", True)), *dims.tolist()]
    components: list[str] = [""]
    for _ in range(rank):
        components = [f"{component}{name}" for component in components for name in spatial]
    shape = tuple(size for size, varying in zip(sizes, varies, strict=False) if varying)
    if len(varies) != len(sizes) or data.shape[: len(shape)] != shape:
        fits = f"{shape} and {len(components)} components fit"
        raise Foreign(path, data.name, f"{data.name} has shape {data.shape}, {fits}", FOREIGN)
    if math.prod(data.shape[len(shape) :]) != len(components):
        raise Foreign(path, data.name, f"{data.name} has shape {data.shape}, not {len(components)} components", FOREIGN)
    names = tuple(f"{name}_{component}" if component else name for component in components)
    return Field(data, names, varies[0], varies[1], tuple(varies[2:]))


def _periodic(path: Path, file: h5py.File) -> bool | None:
    """Whether every boundary is periodic; None if the file names none."""
    held = own(path, file, "boundary_conditions")
    kinds = [_texts(own(path, held, name).attrs.get("bc_type", ""))[:1] for name in held or ()]
    return all([text.lower() for text in kind] == ["periodic"] for kind in kinds) if kinds else None
