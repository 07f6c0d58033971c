"""PDEBench's HDF5 files as they lie on disk (`tasks.pde.files.writing` writes the first four of their five layouts).

`.hdf5`, one file per parameter, datasets float32, equation parameters as attributes:
"scalar": `tensor` (N, T, X), `x-coordinate` (X,), `t-coordinate` (T + 1,), attributes `beta`, `Nu` or `Nu` and `rho`.
"darcy": `tensor` (N, 1, X, Y), `nu` (N, X, Y), `x-coordinate`, `y-coordinate`, attribute `beta`.
"cfd": `density`, `pressure`, `Vx`[, `Vy`[, `Vz`]], each (N, T, X[, Y[, Z]]), coordinates as above, `eta`, `zeta`, `M`.
`.h5`, "seeds": one group per sample, `/0000/data` (T, X[, Y], C) float32 lzf, `/0000/grid/{x,y,t}`, and the group's
attribute `config` (YAML). `.h5`, "incompressible": `velocity` (N, T, X, Y, 2), `particles` (N, T, X, Y, 1), `force`
(N, X, Y, 2), `t` (N, T), no coordinates, and the file's attributes `config` (YAML) and `latestIndex`, the last frame that
was written. Takamoto et al. 2022, arXiv 2210.07182, and https://github.com/pdebench/PDEBench.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from tasks.pde.files import layout as shared
from tasks.pde.files.fields import Array
from tasks.pde.files.layout import AGAIN, AXES, FOREIGN, Family, Foreign, Layout, axis, dataset, numbers, own

PRIMITIVES = ("density", "pressure", "Vx", "Vy", "Vz")  # PDEBench's channel order; in D dimensions the first 2 + D
FORCE = ("force_x", "force_y")


class Reader(shared.Reader):
    """A file in any of PDEBench's layouts, recognised by its content, since an extension proves nothing."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path, self.file = path, file
        groups = sorted((name for name in file if name.isdigit()), key=lambda name: (int(name), name))
        if groups:
            self.layout = _seeds(path, file, tuple(groups))
        else:
            self.layout = (_incompressible if "velocity" in file else _datasets)(path, file)

    def fill(self, sample: int, values: Array, constants: Mapping[str, Array], stride: int, stride_t: int) -> None:
        layout, file, space = self.layout, self.file, len(self.layout.axes)
        cut = (slice(None, None, stride),) * space
        if layout.family == "seeds":
            source = dataset(self.path, own(self.path, file, layout.groups[sample]), "data")
            if source.shape != (layout.frames, *layout.shape, len(layout.names)):
                raise Foreign(
                    self.path, source.name, f"{source.name} has shape {source.shape}, unlike the first", AGAIN
                )
            shared.copy(values, source, (), stride, stride_t, space)
        elif layout.family == "incompressible":
            shared.copy(values[..., :2], file["velocity"], (sample,), stride, stride_t, space)
            shared.copy(values[..., 2:], file["particles"], (sample,), stride, stride_t, space)
            for component, name in enumerate(FORCE):
                constants[name][...] = file["force"][sample][cut][..., component]
        else:
            for channel, name in enumerate(layout.names):
                source = file[name if layout.family == "cfd" else "tensor"]
                shared.copy(values[..., channel], source, (sample,), stride, stride_t, space)
            for name, constant in constants.items():
                constant[...] = file[name][sample][cut]


def _datasets(path: Path, file: h5py.File) -> Layout:
    """The layout of a "scalar", "darcy" or "cfd" file."""
    constants: tuple[str, ...] = ()
    names: tuple[str, ...] = ("u",)
    if "density" in file:
        family: Family = "cfd"
        # two thermodynamic fields and a velocity per dimension; N and T are axes too
        names = PRIMITIVES[: dataset(path, file, "density").ndim]
        sets = [dataset(path, file, name) for name in names]
        ranks: tuple[int, ...] = (3, 4, 5)
    else:
        sets = [dataset(path, file, "tensor")]
        family = "darcy" if "nu" in file or sets[0].ndim == 4 else "scalar"
        ranks = (4,) if family == "darcy" else (3,)
    shape = sets[0].shape
    for variable in sets:
        if variable.ndim not in ranks or variable.shape != shape:
            where = variable.name.lstrip("/")
            raise Foreign(path, where, f"{where} has shape {variable.shape} in a {family} file", FOREIGN)
    samples, frames, *grid = shape
    if family == "darcy":
        constants = ("nu",)
        if dataset(path, file, "nu").shape != (samples, *grid):
            raise Foreign(path, "nu", f"nu {file['nu'].shape} does not fit tensor {shape}", FOREIGN)
        t = np.zeros(frames)  # a steady state has no time, and PDEBench stores none that means anything
    else:
        t = axis(path, file, "t-coordinate", (frames + 1, frames))
    axes = tuple(axis(path, file, f"{a}-coordinate", (n,)) for a, n in zip(AXES, grid, strict=False))
    return Layout(
        family, samples, frames, tuple(grid), names, axes, t[:frames], numbers(file.attrs), constants, sets[0].chunks, len(t), (),
        path.stat().st_size,
    )  # fmt: skip


def _seeds(path: Path, file: h5py.File, groups: tuple[str, ...]) -> Layout:
    first = own(path, file, groups[0])
    if not isinstance(own(path, first, "grid"), h5py.Group):
        raise Foreign(path, f"{first.name}/grid", f"{first.name} has no group grid", "a PDEBench file is wanted")
    data = dataset(path, first, "data")
    if data.ndim not in (3, 4, 5):
        raise Foreign(
            path, data.name, f"{data.name} has shape {data.shape}", "(frames, x[, y[, z]], channels) is wanted"
        )
    frames, *grid, channels = data.shape
    axes = tuple(axis(path, first["grid"], a, (n,)) for a, n in zip(AXES, grid, strict=False))
    t = axis(path, first["grid"], "t", (frames,))
    config = _config(path, first)
    sim = config.get("sim")
    sim = sim if isinstance(sim, dict) else {}
    labels = config.get("channels")  # PDEBench's own files tell no names
    names = (
        list(map(str, labels))
        if labels
        else [("u", "v", "w")[c] if channels <= 3 else f"c{c}" for c in range(channels)]
    )
    if not labels and channels == 1 and "dam_radius" in sim:
        names = ["h"]
    if len(names) != channels:
        raise Foreign(path, first.name, f"{len(names)} channels in the config, {channels} in the data", AGAIN)
    attributes = numbers({str(name): value for name, value in sim.items() if name != "seed"})
    return Layout(
        "seeds", len(groups), frames, tuple(grid), tuple(names), axes, t, attributes, (), data.chunks, len(t), groups,
        path.stat().st_size, named=bool(labels),
    )  # fmt: skip


def _incompressible(path: Path, file: h5py.File) -> Layout:
    velocity = dataset(path, file, "velocity")
    if velocity.ndim != 5 or velocity.shape[-1] != 2:
        raise Foreign(path, "velocity", f"velocity has shape {velocity.shape}", "(samples, frames, x, y, 2) is wanted")
    samples, frames, *grid, _ = velocity.shape
    shapes = {"particles": (samples, frames, *grid, 1), "force": (samples, *grid, 2), "t": (samples, frames)}
    for name, shape in shapes.items():
        if (actual := dataset(path, file, name).shape) != shape:
            raise Foreign(path, name, f"{name} has shape {actual}, {shape} fits velocity", FOREIGN)
    if samples < 1:
        raise Foreign(path, "velocity", "there are no samples", AGAIN)
    t, config, latest = np.asarray(file["t"][0], float), _config(path, file), numbers(file.attrs).get("latestIndex", -1)
    if latest >= 0:  # a run that was cut short leaves zeros behind its last frame
        frames = min(frames, int(latest) + 1)
    sizes = config.get("domain_size")
    sizes = sizes if isinstance(sizes, list) and len(sizes) == 2 else [1.0, 1.0]
    axes = tuple((np.arange(n) + 0.5) / n * float(size) for n, size in zip(grid, sizes, strict=True))
    attributes = numbers({str(name): value for name, value in config.items() if name != "seed"})
    return Layout(
        "incompressible", samples, frames, tuple(grid), ("Vx", "Vy", "particles"), axes, t[:frames], attributes, FORCE,
        velocity.chunks, len(t), (), path.stat().st_size, periodic=False,
    )  # fmt: skip


def _config(path: Path, holder: Any) -> dict[Any, Any]:
    """The YAML attribute `config` of a group or file; empty if there is none."""
    text = holder.attrs.get("config", "")
    try:
        config = yaml.safe_load(text if isinstance(text, str | bytes) else "")
    except yaml.YAMLError as error:
        raise Foreign(path, holder.name, f"the config of {holder.name} is no YAML ({error})", AGAIN) from error
    return config if isinstance(config, dict) else {}


def odd_groups(path: Path) -> list[int]:
    """Samples of a "seeds" file that lie on another grid than the first; reads no field. Raises like `reading.info`."""
    with shared.hdf5(path) as file:
        layout = Reader(path, file).layout
        names = (*AXES[: len(layout.axes)], "t")
        grids = [np.asarray(coordinates, np.float32) for coordinates in (*layout.axes, layout.t)]

        def fits(group: Any) -> bool:
            if own(path, group, "grid") is None:
                return False
            held = [dataset(path, group["grid"], name) for name in names]
            shapes = all(a.shape == b.shape for a, b in zip(held, grids, strict=True))
            return shapes and all(np.allclose(a[:], b, rtol=1e-5) for a, b in zip(held, grids, strict=True))

        return [number for number, name in enumerate(layout.groups) if not fits(own(path, file, name))]
