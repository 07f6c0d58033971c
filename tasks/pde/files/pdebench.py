"""PDEBench's HDF5 files as they lie on disk: described and read in pieces (`tasks.pde.files.writing` writes them).

Four layouts in two families. `.hdf5`, one file per parameter, datasets float32, equation parameters as attributes:
"scalar": `tensor` (N, T, X), `x-coordinate` (X,), `t-coordinate` (T + 1,), attributes `beta`, `Nu` or `Nu` and `rho`.
"darcy": `tensor` (N, 1, X, Y), `nu` (N, X, Y), `x-coordinate`, `y-coordinate`, attribute `beta`.
"cfd": `density`, `pressure`, `Vx`[, `Vy`[, `Vz`]], each (N, T, X[, Y[, Z]]), coordinates as above, `eta`, `zeta`, `M`.
`.h5`, "seeds": one group per sample, `/0000/data` (T, X[, Y], C) float32 lzf, `/0000/grid/{x,y,t}`, and the group's
attribute `config` (YAML). Takamoto et al. 2022, arXiv 2210.07182, and https://github.com/pdebench/PDEBench.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
import yaml

from bench.contract import BenchError, Unavailable
from tasks.pde.files.fields import Array, Fields

Family = Literal["scalar", "darcy", "cfd", "seeds"]
AXES = ("x", "y", "z")
PRIMITIVES = ("density", "pressure", "Vx", "Vy", "Vz")  # PDEBench's channel order; in D dimensions the first 2 + D
BLOCK = 8 << 20  # bytes that one read may hold beside the result
AGAIN = "download it again, or delete it and generate it anew"


class Foreign(BenchError):
    """A file that is damaged or of no known layout: `where` in it, the `reason`, the next `step`."""

    def __init__(self, path: Path, where: str, reason: str, step: str) -> None:
        super().__init__(f"{path}: {reason}; {step}")
        self.where, self.reason, self.step = where, reason, step


@dataclass(frozen=True)
class Layout:
    """What a file holds. shape: the grid's. axes: cell centres per dimension. t: (frames,). names: of the channels.

    attributes: numbers of the equation, for "seeds" those of the first group's config. constants: names of the fields
    that do not change in time. chunks: HDF5's, None if contiguous. times: length of the stored time axis, in PDEBench's
    own "scalar" and "cfd" files frames + 1. groups: of "seeds", in order. bytes: the file's size.
    """

    family: Family
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

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample's values in memory."""
        return 4 * self.frames * math.prod(self.shape) * len(self.names)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise Unavailable(f"{path}: no such file; download it from PDEBench, or generate it")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:  # h5py: no HDF5 at all, truncated, a damaged block
        raise Foreign(path, "file", f"cannot be read as HDF5 ({error})", AGAIN) from error


def _own(path: Path, parent: h5py.Group, name: str) -> Any:
    """The object `name` of `parent`, or None. Foreign if it is a link to another file, or holds one.

    The digest of a data set covers one file. HDF5 follows links and references to others by itself, and serves zeros where
    one of them is gone.
    """
    link = parent.get(name, getlink=True)
    if link is None:
        return None
    found = parent.get(name) if isinstance(link, h5py.HardLink) else None
    elsewhere = isinstance(found, h5py.Dataset) and (found.is_virtual or found.external)
    if found is None or elsewhere:
        where = f"{parent.name.rstrip('/')}/{name}"
        kind = "a link" if found is None else "virtual" if found.is_virtual else "stored outside"
        step = "copy the data into one file, for instance with h5repack or h5py"
        raise Foreign(path, where, f"{where} is {kind}, so that its data may lie in another file", step)
    return found


def _dataset(path: Path, parent: h5py.Group, name: str) -> h5py.Dataset:
    found = _own(path, parent, name)
    if not isinstance(found, h5py.Dataset) or found.dtype.kind != "f":
        what = f"{found.dtype}, not of floats" if isinstance(found, h5py.Dataset) else "missing"
        held = ", ".join(list(parent)[:8]) or "nothing"
        where = f"{parent.name.rstrip('/')}/{name}"
        raise Foreign(path, where, f"dataset {where} is {what} (there is: {held})", "a PDEBench file is wanted")
    return found


def _axis(path: Path, parent: h5py.Group, name: str, lengths: tuple[int, ...]) -> Array:
    found = _dataset(path, parent, name)
    if found.shape not in [(length,) for length in lengths]:
        wanted = " or ".join(map(str, lengths))
        raise Foreign(
            path, name, f"{name} has shape {found.shape}, {wanted} entries fit the data", "the file is foreign"
        )
    return np.asarray(found[:], float)


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    single = {name: np.asarray(value) for name, value in found.items()}
    return {name: float(v.item()) for name, v in single.items() if v.size == 1 and v.dtype.kind in "fiu"}


def info(path: Path) -> Layout:
    """The layout of `path`, recognised by its content, since an extension proves nothing. The fields are not read.

    Raises Unavailable if there is no such file and Foreign if it is truncated, of no known layout, or lacks a part.
    """
    with _opened(path) as file:
        return _layout(path, file)


def _layout(path: Path, file: h5py.File) -> Layout:
    groups = tuple(sorted((name for name in file if name.isdigit()), key=lambda name: (int(name), name)))
    if groups:
        return _seeds(path, file, groups)
    constants: tuple[str, ...] = ()
    names: tuple[str, ...] = ("u",)
    if "density" in file:
        family: Family = "cfd"
        sets = [_dataset(path, file, "density")]
        names = PRIMITIVES[
            : sets[0].ndim
        ]  # two thermodynamic fields and a velocity per dimension; N and T are axes too
        sets = [_dataset(path, file, name) for name in names]
        ranks: tuple[int, ...] = (3, 4, 5)
    else:
        sets = [_dataset(path, file, "tensor")]
        family = "darcy" if "nu" in file or sets[0].ndim == 4 else "scalar"
        ranks = (4,) if family == "darcy" else (3,)
    shape = sets[0].shape
    for one in sets:
        if one.ndim not in ranks or one.shape != shape:
            where = one.name.lstrip("/")
            raise Foreign(path, where, f"{where} has shape {one.shape} in a {family} file", "the file is foreign")
    samples, frames, *grid = shape
    if family == "darcy":
        constants = ("nu",)
        if _dataset(path, file, "nu").shape != (samples, *grid):
            raise Foreign(path, "nu", f"nu {file['nu'].shape} does not fit tensor {shape}", "the file is foreign")
        t = np.zeros(frames)  # a steady state has no time, and PDEBench stores none that means anything
    else:
        t = _axis(path, file, "t-coordinate", (frames + 1, frames))
    axes = tuple(_axis(path, file, f"{a}-coordinate", (n,)) for a, n in zip(AXES, grid, strict=False))
    numbers, size = _numbers(file.attrs), path.stat().st_size
    return Layout(
        family,
        samples,
        frames,
        tuple(grid),
        names,
        axes,
        t[:frames],
        numbers,
        constants,
        sets[0].chunks,
        len(t),
        (),
        size,
    )


def _seeds(path: Path, file: h5py.File, groups: tuple[str, ...]) -> Layout:
    first = _own(path, file, groups[0])
    if not isinstance(first, h5py.Group) or not isinstance(_own(path, first, "grid"), h5py.Group):
        raise Foreign(path, f"{first.name}/grid", f"{first.name} has no group grid", "a PDEBench file is wanted")
    data = _dataset(path, first, "data")
    if data.ndim not in (3, 4, 5):
        raise Foreign(
            path, data.name, f"{data.name} has shape {data.shape}", "(frames, x[, y[, z]], channels) is wanted"
        )
    frames, *grid, channels = data.shape
    axes = tuple(_axis(path, first["grid"], a, (n,)) for a, n in zip(AXES, grid, strict=False))
    t = _axis(path, first["grid"], "t", (frames,))
    try:
        config = yaml.safe_load(first.attrs.get("config", ""))
    except yaml.YAMLError as error:
        raise Foreign(path, first.name, f"the config of {first.name} is no YAML ({error})", AGAIN) from error
    config = config if isinstance(config, dict) else {}
    names = config.get("channels") or [("u", "v", "w")[c] if channels <= 3 else f"c{c}" for c in range(channels)]
    if len(names) != channels:
        raise Foreign(path, first.name, f"{len(names)} channels in the config, {channels} in the data", AGAIN)
    numbers = _numbers({name: v for name, v in (config.get("sim") or {}).items() if name != "seed"})
    return Layout(
        "seeds", len(groups), frames, tuple(grid), tuple(names), axes, t, numbers, (), data.chunks, len(t), groups,
        path.stat().st_size,
    )  # fmt: skip


def _copy(target: Array, source: h5py.Dataset, lead: tuple[int, ...], stride: int, stride_t: int, space: int) -> None:
    """target (frames, x.., ...) = source[lead], strided; frame by frame if the whole would be more than a BLOCK.

    Strides are applied in memory: HDF5 takes several times as long to read with them as without.
    """
    cut = (slice(None, None, stride),) * space
    frames, *rest = source.shape[len(lead) :]
    if frames * math.prod(rest) * source.dtype.itemsize <= BLOCK:
        target[...] = source[lead][(slice(None, None, stride_t), *cut)]
        return
    for row, frame in enumerate(range(0, frames, stride_t)):
        target[row] = source[(*lead, frame)][cut]


def _fields(path: Path, file: h5py.File, layout: Layout, chosen: range, stride: int, stride_t: int) -> Fields:
    axes, t = tuple(axis[::stride] for axis in layout.axes), layout.t[::stride_t]
    grid = tuple(len(axis) for axis in axes)
    values = np.empty((len(chosen), len(t), *grid, len(layout.names)), np.float32)
    constants = {name: np.empty((len(chosen), *grid), np.float32) for name in layout.constants}
    for row, sample in enumerate(chosen):
        if layout.family == "seeds":
            source = _dataset(path, _own(path, file, layout.groups[sample]), "data")
            if source.shape != (layout.frames, *layout.shape, len(layout.names)):
                raise Foreign(path, source.name, f"{source.name} has shape {source.shape}, unlike the first", AGAIN)
            _copy(values[row], source, (), stride, stride_t, len(grid))
            continue
        for channel, name in enumerate(layout.names):
            source = file[name if layout.family == "cfd" else "tensor"]
            _copy(values[row, ..., channel], source, (sample,), stride, stride_t, len(grid))
        for name, constant in constants.items():
            constant[row] = file[name][sample][(slice(None, None, stride),) * len(grid)]
    return Fields(values, axes, t, layout.names, layout.attributes, constants)


def read(path: Path, samples: slice = slice(None), stride: int = 1, stride_t: int = 1) -> Fields:
    """The chosen samples, float32, every `stride`-th point and `stride_t`-th frame (plain striding, as in PDEBench).

    Holds the result and a BLOCK, or one frame if that is larger. A slice may reach past the end. Raises like `info`.
    """
    with _opened(path) as file:
        layout = _layout(path, file)
        return _fields(path, file, layout, range(layout.samples)[samples], stride, stride_t)


def batches(path: Path, size: int, stride: int = 1, stride_t: int = 1) -> Iterator[Fields]:
    """All samples in order, `size` at a time (the last may be smaller); the file stays open. Raises like `info`."""
    with _opened(path) as file:
        layout = _layout(path, file)
        for start in range(0, layout.samples, size):
            yield _fields(path, file, layout, range(start, min(start + size, layout.samples)), stride, stride_t)


def odd_groups(path: Path) -> list[int]:
    """Samples of a "seeds" file that lie on another grid than the first; reads no field. Raises like `info`."""
    with _opened(path) as file:
        layout = _layout(path, file)
        names = (*AXES[: len(layout.axes)], "t")
        wanted = [np.asarray(axis, np.float32) for axis in (*layout.axes, layout.t)]

        def fits(group: h5py.Group) -> bool:
            held = [_dataset(path, _own(path, group, "grid"), name)[:] for name in names]
            return all(a.shape == b.shape and np.allclose(a, b, rtol=1e-5) for a, b in zip(held, wanted, strict=True))

        groups = [_own(path, file, name) for name in layout.groups]
        return [number for number, group in enumerate(groups) if "grid" not in group or not fits(group)]


def quirks(path: Path) -> list[str]:
    """What old PDEBench downloads got wrong, if `path` shows it: Burgers on (-1, 1) and advection at twice its `beta`.

    Both were repaired in 2023 (issues 51 and 46 of PDEBench). Speed is told by shifting the first frames of up to eight
    samples by beta dt and by 2 beta dt, exactly, in Fourier space.
    """
    layout = info(path)
    if layout.family != "scalar":
        return []
    held = {name.lower(): value for name, value in layout.attributes.items()}
    if "nu" in held and "rho" not in held and layout.axes[0][0] < 0:
        return ["x lies in (-1, 1) and shocks have half their speed: Burgers as downloaded before 2023-10 (issue 51)"]
    if "beta" not in held or layout.frames < 2 or held["beta"] == 0:
        return []
    start, after = np.moveaxis(read(path, slice(8)).values[:, :2, :, 0].astype(float), 1, 0)
    x, step = layout.axes[0], layout.t[1] - layout.t[0]
    wave = 2 * np.pi * np.fft.rfftfreq(len(x), x[1] - x[0])

    def miss(speed: float) -> float:
        moved = np.fft.irfft(np.fft.rfft(start) * np.exp(-1j * wave * speed * step), len(x))
        return float(np.linalg.norm(moved - after))

    if miss(2 * held["beta"]) < 0.5 * miss(held["beta"]):
        return ["the field moves at 2 beta: advection as downloaded before 2023-09 (issue 46)"]
    return []
