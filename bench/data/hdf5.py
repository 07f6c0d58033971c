"""PDEBench's HDF5 layout for one scalar field in one dimension (its "NLE" files): written, read and checked.

A file holds `tensor` (samples, frames, points) float32, `x-coordinate` (points,), `t-coordinate` (frames + 1,), one
longer than the tensor, and the equation's parameter as an attribute (`beta`, `Nu`). See Takamoto et al. 2022, arXiv
2210.07182, and https://github.com/pdebench/PDEBench.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from bench.contract import BenchError, Unavailable

CHUNK = 64  # samples read at a time


@dataclass(frozen=True)
class Series:
    """Trajectories: values (samples, frames, points), x (points,), t (frames,), and the file's attributes."""

    values: NDArray[np.float32]
    x: NDArray[np.float64]
    t: NDArray[np.float64]
    attributes: Mapping[str, float]


def write_series(path: Path, series: Series) -> None:
    """Write `series` to `path` under a temporary name, then rename: no reader ever meets half a file."""
    spacing = series.t[-1] - series.t[-2]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(temporary, "w") as file:
            file.create_dataset("tensor", data=series.values.astype(np.float32))
            file.create_dataset("x-coordinate", data=series.x.astype(np.float32))
            file.create_dataset("t-coordinate", data=np.append(series.t, series.t[-1] + spacing).astype(np.float32))
            file.attrs.update(dict(series.attributes))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def made_once(path: Path, make: Callable[[], Series]) -> Path:
    """`path`, written by the first of any number of processes that ask for it; the others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.is_file():
            write_series(path, make())
    return path


def _fault(path: Path, reason: str, step: str) -> BenchError:
    return BenchError(f"{path}: {reason}; {step}")


def read_series(path: Path, parameter: str, samples: int, stride: int = 1, stride_t: int = 1) -> Series:
    """The first `samples` trajectories of `path` (0: only what describes them), strided over points and frames.

    parameter: the attribute the file must have. Striding is plain, without a filter, as in PDEBench. Raises Unavailable
    if there is no such file, and BenchError, with the file, the reason and the next step, if it is truncated, is no
    file of this layout, has fewer samples, or holds values that are not finite.
    """
    if not path.is_file():
        raise Unavailable(
            f"{path}: no such file; download it from PDEBench, or leave `task.file` empty to generate data"
        )
    again = "download it again, or delete it if it was generated"
    try:
        with h5py.File(path, "r") as file:
            missing = [name for name in ("tensor", "x-coordinate", "t-coordinate") if name not in file]
            if missing:
                raise _fault(path, f"lacks {', '.join(missing)}", "a 1-D PDEBench file of one scalar field is wanted")
            if parameter not in file.attrs:
                held = ", ".join(file.attrs) or "none"
                raise _fault(path, f"has no attribute {parameter!r} (it has: {held})", "it belongs to another equation")
            attributes = {parameter: float(file.attrs[parameter])}
            return _read(path, file, attributes, (samples, stride, stride_t))
    except (OSError, RuntimeError) as error:  # h5py: no HDF5 at all, truncated, a damaged block
        raise _fault(path, f"cannot be read as HDF5 ({error})", again) from error


def _read(path: Path, file: h5py.File, attributes: Mapping[str, float], cut: tuple[int, int, int]) -> Series:
    samples, stride, stride_t = cut
    tensor, x, t = file["tensor"], file["x-coordinate"][:].astype(float), file["t-coordinate"][:].astype(float)
    if tensor.ndim != 3 or tensor.dtype.kind != "f":
        raise _fault(path, f"tensor is {tensor.dtype} of shape {tensor.shape}", "(samples, frames, points) is wanted")
    held, frames, points = tensor.shape
    if x.shape != (points,) or t.shape not in ((frames,), (frames + 1,)):
        raise _fault(
            path,
            f"coordinates of {x.size} points and {t.size} times for a tensor {tensor.shape}",
            "the file is foreign",
        )
    for name, axis in (("x", x), ("t", t)):
        steps = np.diff(axis)
        if not (steps.size and np.isfinite(axis).all() and steps[0] > 0 and np.ptp(steps) < 1e-2 * steps[0]):
            raise _fault(path, f"{name}-coordinate is not an increasing uniform grid", "the file is foreign")
    if held < samples:
        raise _fault(
            path, f"holds {held} samples, {samples} are wanted", "lower task.train, task.valid and task.test to fit"
        )
    values = np.empty((samples, len(t[:frames:stride_t]), len(x[::stride])), np.float32)
    for start in range(0, samples, CHUNK):
        chunk = slice(start, min(start + CHUNK, samples))
        values[chunk] = tensor[chunk, ::stride_t, ::stride]
    finite = np.isfinite(values).all(axis=(1, 2))
    if not finite.all():
        raise _fault(
            path, f"sample {int(np.argmin(finite))} holds values that are not finite", "generate or download it anew"
        )
    return Series(values, x[::stride], t[:frames:stride_t], attributes)
