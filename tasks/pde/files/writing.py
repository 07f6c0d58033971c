"""Writing PDEBench's HDF5 files, shard by shard; `tasks.pde.files.pdebench` tells the layouts and reads them."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import h5py
import numpy as np
import yaml

from bench.contract import BenchError
from tasks.pde.files.fields import Array, Fields
from tasks.pde.files.layout import AXES, Family, Layout
from tasks.pde.files.pdebench import PRIMITIVES

CHUNK = 1 << 16  # bytes of one HDF5 chunk of small samples: what a tiny file may waste


def _unfit(like: Fields | Layout, family: Family) -> str:
    """Why `family` cannot hold such fields; empty if it can."""
    dims, channels, constants = len(like.axes), set(like.names), set(like.constants)
    if family not in get_args(Family):
        return f"there is no family {family!r} but {', '.join(get_args(Family))}"
    if constants != ({"nu"} if family == "darcy" else set()):
        return f"constants {sorted(constants)} in a {family} file"
    if family == "cfd":
        return "" if channels == set(PRIMITIVES[: 2 + dims]) else f"channels {sorted(channels)} in {dims} dimensions"
    if family == "seeds":
        return "" if dims <= 3 else f"{dims} dimensions"
    expected = (2, 1, 1) if family == "darcy" else (1, len(like.t), 1)
    fits = (dims, len(like.t), len(channels)) == expected
    return "" if fits else f"{dims} dimensions, {len(like.t)} frames and {len(channels)} channels in a {family} file"


class _Writer:
    """Appends samples to an open file."""

    def __init__(self, file: h5py.File, like: Fields | Layout, family: Family, checksums: bool) -> None:
        self.file, self.like, self.family, self.checksums, self.samples = file, like, family, checksums, 0
        if family == "seeds":
            return
        grid = tuple(len(axis) for axis in like.axes)
        for name in like.names if family == "cfd" else ("tensor",):
            self._create(name, (len(like.t), *grid))
        for name in like.constants:
            self._create(name, grid)
        for name, axis in zip(AXES, like.axes, strict=False):
            file[f"{name}-coordinate"] = np.asarray(axis, np.float32)
        if family != "darcy":
            step = like.t[-1] - like.t[-2] if len(like.t) > 1 else 1.0
            file["t-coordinate"] = np.append(like.t, like.t[-1] + step).astype(np.float32)
        file.attrs.update(dict(like.attributes))

    def _create(self, name: str, shape: tuple[int, ...]) -> None:
        row = 4 * math.prod(shape[1:])
        chunk = (max(1, CHUNK // (row * shape[0])), min(shape[0], max(1, 16 * CHUNK // row)), *shape[1:])
        self.file.create_dataset(name, (0, *shape), np.float32, maxshape=(None, *shape), chunks=chunk,
                                 fletcher32=self.checksums)  # fmt: skip

    def append(self, shard: Fields) -> None:
        stop = self.samples + len(shard.values)
        for channel, name in enumerate(shard.names if self.family != "seeds" else ()):
            self._extend(name if self.family == "cfd" else "tensor", shard.values[..., channel], stop)
        for name, constant in shard.constants.items():
            self._extend(name, constant, stop)
        for row in range(len(shard.values) if self.family == "seeds" else 0):
            self._group(self.samples + row, shard.values[row])
        self.samples = stop
        self.file.flush()

    def _extend(self, name: str, values: Array, stop: int) -> None:
        self.file[name].resize(stop, axis=0)
        self.file[name][self.samples : stop] = values

    def _group(self, number: int, values: Array) -> None:
        group = self.file.create_group(f"{number:04d}")
        packed: dict[str, Any] = {"dtype": np.float32, "compression": "lzf", "fletcher32": self.checksums}
        group.create_dataset("data", data=values, **packed)
        for name, axis in (*zip(AXES, self.like.axes, strict=False), ("t", self.like.t)):
            group.create_dataset(f"grid/{name}", data=axis, **packed)
        sim = {**{name: float(value) for name, value in self.like.attributes.items()}, "seed": number}
        group.attrs["config"] = yaml.safe_dump({"sim": sim, "channels": list(self.like.names)})


class _Disk(io.FileIO):
    """A new file that keeps its first failure for `sync`: HDF5 crashes the whole process when a write fails under it."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while len(left) and not self.failure:
                left = left[super().write(left) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        got = super().readinto(view) or 0
        view[got:] = bytes(len(view) - got)  # bytes that were never written read as zeros
        return len(view)

    def sync(self) -> None:
        """Everything on the disk; raises the first failure, if there was one."""
        if self.failure:
            raise self.failure
        os.fsync(self.fileno())


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise BenchError(f"{path}: cannot be written ({reason}); free space or choose another folder") from error


def write(path: Path, like: Fields | Layout, shards: Iterable[Fields], family: Family, checksums: bool = False) -> None:
    """Append `shards` to a new file of `family`, under a temporary name that becomes `path` once all are on the disk.

    like: whose axes, times, channels and attributes all shards share; its values are not written. checksums: HDF5's,
    of every block. Values become float32. Raises BenchError, and leaves nothing under either name, if the family cannot
    hold such fields, a shard is unlike the others, or the file cannot be written, such as on a full disk. PDEBench's
    own loader takes the grid of "seeds" from group "0023", so it wants 24 samples.
    """
    if reason := _unfit(like, family):
        raise BenchError(f"{path}: {reason}; choose the family that fits the fields")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        disk = _Disk(temporary, "w+")
    try:
        with disk:
            with h5py.File(disk, "w") as file:
                writer = _Writer(file, like, family, checksums)
                for number, shard in enumerate(shards):
                    if not _alike(shard, like):
                        raise BenchError(
                            f"{path}: shard {number} differs in grid, channels or attributes; make it anew"
                        )
                    writer.append(shard)
                    with _writing(path):
                        disk.sync()
            with _writing(path):
                disk.sync()
        with _writing(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _alike(a: Fields | Layout, b: Fields | Layout) -> bool:
    grids = zip((*a.axes, a.t), (*b.axes, b.t), strict=False)
    return (
        (a.names, set(a.constants), dict(a.attributes)) == (b.names, set(b.constants), dict(b.attributes))
        and len(a.axes) == len(b.axes)
        and all(len(axis) == len(other) and np.allclose(axis, other, rtol=1e-5) for axis, other in grids)
    )
