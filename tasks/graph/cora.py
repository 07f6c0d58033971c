"""Cora, a citation network of 2708 papers, 5278 links and 7 classes, in the eight files of Planetoid (Yang et al. 2016).

The files are pickles of Python 2. A pickle may name any function to be called, so they are read by an unpickler that knows four
names, of arrays, tables and lists, and refuses every other.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Unavailable

if TYPE_CHECKING:
    from torch import Tensor

NODES, INPUTS, CLASSES = 2708, 1433, 7
MD5 = {
    "allx": "c9083193a57057dd1238321e140194d7",
    "ally": "125d70817fe1fdbfdcad991995e81579",
    "graph": "b37c419cec179f45834467630c278e4c",
    "test.index": "9b822cae1d01f41e8bf8782e20367c0e",
    "tx": "b29c36916768e1d2f55391c1aa9317ac",
    "ty": "48bf43f54fa5b86089a4bd0299795f10",
}


class Table:
    """A sparse matrix by rows as a pickle describes it: its attributes, and no behaviour."""

    data: Any
    indices: Any
    indptr: Any
    _shape: tuple[int, int]


class Unpickler(pickle.Unpickler):
    """Admits arrays of numbers, sparse tables, lists and dictionaries. UnpicklingError for every other name."""

    def find_class(self, module: str, name: str) -> Any:
        import numpy as np

        known = {
            ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("scipy.sparse.csr", "csr_matrix"): Table,
            ("collections", "defaultdict"): defaultdict,
            ("__builtin__", "list"): list,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is no array, table or list")
        return known[module, name]


def path(folder: Path, part: str) -> Path:
    """Where a part of the data set lies."""
    return folder / f"ind.cora.{part}"


def files(cache: Path) -> Mapping[str, Path]:
    """name -> file; `x` and `y`, which repeat rows of `allx` and `ally`, are not needed."""
    return {f"ind.cora.{part}": path(cache / "cora", part) for part in MD5}


def here(cache: Path) -> Path:
    """The folder of the files; Unavailable, with what to do, if one is absent."""
    for place in files(cache).values():
        if not place.is_file():
            raise Unavailable(
                f"Cora is not here: {place} is absent. Set SWEEPSTAKES_DATA to a folder that holds cora/ with Planetoid's files "
                f"ind.cora.{{{','.join(MD5)}}} (github.com/kimiyoung/planetoid, folder data)"
            )
    return cache / "cora"


def origin(folder: Path) -> str:
    """ "official" for Planetoid's own files, else "unverified"."""
    from bench.data.download import md5

    return "official" if all(md5(path(folder, part)) == digest for part, digest in MD5.items()) else "unverified"


def read(folder: Path) -> dict[str, Tensor]:
    """`x` (2708, 1433) with rows that sum to 1, `labels` (2708,), `edges` (2, 5278).

    BenchError for a file that is cut or not Cora's.
    """
    import torch

    from tasks.graph.graphs import clean

    loaded = {part: _load(path(folder, part)) for part in MD5 if part != "test.index"}
    try:
        order = torch.tensor([int(line) for line in path(folder, "test.index").read_text().split()])
        x = torch.cat([_dense(loaded["allx"]), _dense(loaded["tx"])])
        labels = torch.cat([torch.from_numpy(loaded[part]).argmax(1) for part in ("ally", "ty")])
        pairs = [(a, b) for a, neighbours in loaded["graph"].items() for b in neighbours]
        # Rows of test papers stand in the order of `test.index`, and their numbers are the last ones.
        x[order], labels[order] = x[order.sort().values], labels[order.sort().values]
        edges = clean(torch.tensor(pairs).T, len(x))
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise BenchError(f"{folder} holds no Cora: {error}; replace its files") from error
    if tuple(x.shape) != (NODES, INPUTS) or len(labels) != NODES or int(labels.max()) >= CLASSES:
        raise BenchError(f"{folder}: {tuple(x.shape)} features of {len(labels)} papers; Cora has {NODES} by {INPUTS}")
    return {"x": x / x.sum(1, keepdim=True).clamp(min=1), "labels": labels, "edges": edges}


def _load(place: Path) -> Any:
    try:
        with place.open("rb") as stream:
            return Unpickler(stream, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, OSError, ValueError, UnicodeDecodeError, IndexError) as error:
        raise BenchError(f"{place} cannot be read: {error}; replace the file") from error


def _dense(table: Any) -> Tensor:
    import torch

    made = torch.zeros(table._shape)
    counts = torch.from_numpy(table.indptr).long().diff()
    rows = torch.repeat_interleave(torch.arange(len(counts)), counts)
    made[rows, torch.from_numpy(table.indices).long()] = torch.from_numpy(table.data).float()
    return made
