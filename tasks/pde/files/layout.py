"""What a file of fields holds, and what reading any format needs: `pdebench`, `the_well` and `neuraloperator` are the formats."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from bench.contract import BenchError, Unavailable
from tasks.pde.files.fields import Array, Fields

Family = Literal["scalar", "darcy", "cfd", "seeds"]  # the layouts of PDEBench that are written here too
Format = Literal["scalar", "darcy", "cfd", "seeds", "incompressible", "the_well", "neuraloperator"]
AXES = ("x", "y", "z")
BLOCK = 8 << 20  # bytes that one read may hold beside the result
LONGEST = 1 << 24  # entries of an axis; a damaged length would fill the memory
AGAIN = "download it again, or delete it and generate it anew"
FOREIGN = "the file is foreign"


class Foreign(BenchError):
    """A file that is damaged or of no known layout: `where` in it, the `reason`, the next `step`."""

    def __init__(self, path: Path, where: str, reason: str, step: str) -> None:
        super().__init__(f"{path}: {reason}; {step}")
        self.where, self.reason, self.step = where, reason, step


@dataclass(frozen=True)
class Layout:
    """What a file holds. shape: the grid's. axes: coordinates per dimension. t: (frames,). names: of the channels.

    attributes: numbers of the equation, for "seeds" those of the first group's config. constants: names of the fields
    that do not change in time. chunks: HDF5's, None if contiguous. times: length of the stored time axis, in PDEBench's
    own "scalar" and "cfd" files frames + 1. groups: of "seeds", in order. bytes: the file's size. named: whether the file
    itself names its channels. periodic: in every direction; None where the file does not say.
    """

    family: Format
    samples: int
    frames: int
    shape: tuple[int, ...]
    names: tuple[str, ...]
    axes: tuple[Array, ...]
    t: Array
    attributes: Mapping[str, float]
    constants: tuple[str, ...]
    chunks: tuple[int, ...] | None
    times: int
    groups: tuple[str, ...]
    bytes: int
    named: bool = True
    periodic: bool | None = None

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample's values in memory."""
        return 4 * self.frames * math.prod(self.shape) * len(self.names)


class Reader(ABC):
    """An open file of one format."""

    layout: Layout

    @abstractmethod
    def fill(self, sample: int, values: Array, constants: Mapping[str, Array], stride: int, stride_t: int) -> None:
        """Put a sample into values (frames, x[, y[, z]], channels) and constants (x[, y[, z]]), strided as they are."""

    def fields(self, chosen: range, stride: int, stride_t: int) -> Fields:
        """The chosen samples, float32, every `stride`-th point and `stride_t`-th frame."""
        layout = self.layout
        axes, t = tuple(axis[::stride] for axis in layout.axes), layout.t[::stride_t]
        grid = tuple(len(axis) for axis in axes)
        values = np.empty((len(chosen), len(t), *grid, len(layout.names)), np.float32)
        constants = {name: np.empty((len(chosen), *grid), np.float32) for name in layout.constants}
        for row, sample in enumerate(chosen):
            self.fill(
                sample, values[row], {name: constant[row] for name, constant in constants.items()}, stride, stride_t
            )
        return Fields(values, axes, t, layout.names, layout.attributes, constants)


@contextmanager
def hdf5(path: Path) -> Iterator[h5py.File]:
    """`path`, open. Unavailable if it does not exist, Foreign for whatever h5py raises when a file is damaged."""
    if not path.is_file():
        raise Unavailable(f"{path}: no such file; download it, or generate it with `bench data make`")
    try:
        with h5py.File(path, "r") as file:
            yield file
    # By the place of the damage: no HDF5 or a lost block, a lost object, a type or a text that cannot be decoded.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise Foreign(path, "file", f"cannot be read as HDF5 ({error})", AGAIN) from error


def own(path: Path, parent: Any, name: str) -> Any:
    """The object `name` of the group `parent`, or None. Foreign if it is a link to another file, or holds one.

    The digest of a data set covers one file. HDF5 follows links and references to others by itself, and serves zeros where
    one of them is gone.
    """
    if not isinstance(parent, h5py.Group):
        where = f"the group that holds {name}" if parent is None else parent.name
        raise Foreign(path, where, f"{where} is {'missing' if parent is None else 'no group'}", AGAIN)
    link = parent.get(name, getlink=True)
    if link is None:
        return None
    where = f"{parent.name.rstrip('/')}/{name}"
    node = parent.get(name) if isinstance(link, h5py.HardLink) else None
    if node is None and isinstance(link, h5py.HardLink):
        raise Foreign(path, where, f"{where} cannot be opened", AGAIN)
    if node is None or isinstance(node, h5py.Dataset) and (node.is_virtual or node.external):
        kind = "a link" if node is None else "virtual" if node.is_virtual else "stored outside"
        step = "copy the data into one file, for instance with h5repack or h5py"
        raise Foreign(path, where, f"{where} is {kind}, so that its data may lie in another file", step)
    return node


def dataset(path: Path, parent: Any, name: str) -> h5py.Dataset:
    """The data set of floats `name` of the group `parent`; Foreign if it is another thing."""
    node = own(path, parent, name)
    if not isinstance(node, h5py.Dataset) or node.dtype.kind != "f":
        what = f"{node.dtype}, not of floats" if isinstance(node, h5py.Dataset) else "missing"
        held = ", ".join(map(str, list(parent)[:8])) or "nothing"
        where = f"{parent.name.rstrip('/')}/{name}"
        raise Foreign(path, where, f"dataset {where} is {what} (there is: {held})", "a PDEBench file is wanted")
    return node


def axis(path: Path, parent: Any, name: str, lengths: tuple[int, ...]) -> Array:
    """The coordinates `name`, which may have any of the lengths."""
    coordinates = dataset(path, parent, name)
    if coordinates.shape not in [(length,) for length in lengths if length <= LONGEST]:
        counts = " or ".join(map(str, lengths))
        raise Foreign(path, name, f"{name} has shape {coordinates.shape}, {counts} entries fit the data", FOREIGN)
    return np.asarray(coordinates[:], float)


def numbers(held: Mapping[str, Any]) -> dict[str, float]:
    """The single numbers among attributes."""
    single = {name: np.asarray(value) for name, value in held.items()}
    return {name: float(v.item()) for name, v in single.items() if v.size == 1 and v.dtype.kind in "fiu"}


def copy(target: Array, source: h5py.Dataset, lead: tuple[int, ...], stride: int, stride_t: int, space: int) -> None:
    """target (frames, x.., ...) = source[lead], strided; frame by frame if the whole would be more than a BLOCK.

    Strides are applied in memory: HDF5 takes several times as long to read with them as without.
    """
    cut = (slice(None, None, stride),) * space
    frames, *rest = source.shape[len(lead) :]
    if frames * math.prod(rest) * source.dtype.itemsize <= BLOCK:
        target[...] = source[lead][(slice(None, None, stride_t), *cut)][: len(target)]
        return
    for row in range(len(target)):
        target[row] = source[(*lead, row * stride_t)][cut]
