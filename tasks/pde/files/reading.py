"""Any file of fields that is known here, described and read in pieces; a format is told by the content."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contract import Unavailable
from tasks.pde.files import neuraloperator, pdebench, the_well
from tasks.pde.files.fields import Fields
from tasks.pde.files.layout import AGAIN, Foreign, Layout, Reader, hdf5


@contextmanager
def _opened(path: Path) -> Iterator[Reader]:
    if path.suffix == ".pt" or path.is_file() and zipfile.is_zipfile(path):
        if not path.is_file():
            raise Unavailable(f"{path}: no such file; download it from neuraloperator")
        yield _sound(path, neuraloperator.Reader(path))
        return
    with hdf5(path) as file:
        yield _sound(path, (the_well if "dimensions" in file else pdebench).Reader(path, file))


def _sound(path: Path, reader: Reader) -> Reader:
    layout = reader.layout
    if not (layout.frames and layout.names and all(layout.shape)):
        what = f"holds no values: {layout.frames} frames of {len(layout.names)} channels on a grid of {layout.shape}"
        raise Foreign(path, "file", what, AGAIN)
    return reader


def info(path: Path) -> Layout:
    """The layout of `path`. HDF5's fields are not read.

    Raises Unavailable if there is no such file and Foreign if it is truncated, of no known layout, or lacks a part.
    """
    with _opened(path) as reader:
        return reader.layout


def read(path: Path, samples: slice = slice(None), stride: int = 1, stride_t: int = 1) -> Fields:
    """The chosen samples, float32, every `stride`-th point and `stride_t`-th frame (plain striding, as in PDEBench).

    Holds the result and a BLOCK, or one frame if that is larger. A slice may reach past the end. Raises like `info`.
    """
    with _opened(path) as reader:
        return reader.fields(range(reader.layout.samples)[samples], stride, stride_t)


def batches(path: Path, size: int, stride: int = 1, stride_t: int = 1) -> Iterator[Fields]:
    """All samples in order, `size` at a time (the last may be smaller); the file stays open. Raises like `info`."""
    with _opened(path) as reader:
        samples = reader.layout.samples
        for start in range(0, samples, size):
            yield reader.fields(range(start, min(start + size, samples)), stride, stride_t)
