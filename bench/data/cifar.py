"""CIFAR-10 from the official python archive, or from a local `cifar-10-batches-py` folder. The files are foreign pickles, read
by an unpickler that loads arrays and plain containers only."""

from __future__ import annotations

import os
import pickle
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from bench.contract import BenchError, Unavailable
from bench.data.download import download, md5

if TYPE_CHECKING:
    from torch import Tensor

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
FOLDER = "cifar-10-batches-py"
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
CLASSES, PIXELS = 10, 3 * 32 * 32
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the training pictures, by channel


def files(folder: Path) -> Mapping[str, Path]:
    """name -> batch file under a data folder, whether it exists or not."""
    return {name: folder / FOLDER / name for name in MD5}


def ensure(folder: Path) -> Path:
    """The folder with the batches, or Unavailable with the next step; downloads the archive only if SWEEPSTAKES_DOWNLOAD=1."""
    where = folder / FOLDER
    missing = [name for name, path in files(folder).items() if not path.is_file()]
    if not missing:
        return where
    if os.environ.get("SWEEPSTAKES_DOWNLOAD") != "1":
        raise Unavailable(
            f"CIFAR-10 is not here: {where} lacks {', '.join(missing)}. Set SWEEPSTAKES_DATA to a folder that holds "
            f"{FOLDER}/, or SWEEPSTAKES_DOWNLOAD=1 to fetch the official archive (163 MB)"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".cifar10.lock"):
        if any(not path.is_file() for path in files(folder).values()):
            archive = download(URL, folder / "cifar-10-python.tar.gz", ARCHIVE_MD5)
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
    return where


@cache
def origin(where: Path) -> str:
    """ "official" if every file has its published MD5, else "unverified"; the records of a cell state it."""
    return "official" if all(md5(where / name) == checksum for name, checksum in MD5.items()) else "unverified"


class _Plain(pickle.Unpickler):
    """An unpickler of arrays and containers only."""

    allowed = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.numeric", "_frombuffer"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"it loads {module}.{name}, which is refused")
        return super().find_class(module, name)


def _batch(path: Path) -> tuple[Any, list[int]]:
    """(pixels (n, 3072) uint8, n labels in 0..9) of one file, or BenchError."""
    import numpy as np

    try:
        with path.open("rb") as stream:
            content = _Plain(stream, encoding="bytes").load()
        pixels, labels = content[b"data"], [int(label) for label in content[b"labels"]]
    except Exception as error:  # a damaged pickle raises anything, SystemError and MemoryError included
        raise BenchError(f"{path} is no CIFAR-10 batch ({error}); fetch it again") from error
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape != (len(labels), PIXELS):
        raise BenchError(f"{path} is no CIFAR-10 batch (no {len(labels)} pictures of {PIXELS} bytes); fetch it again")
    if not set(labels) <= set(range(CLASSES)):
        raise BenchError(f"{path} is no CIFAR-10 batch (labels beyond 0..{CLASSES - 1}); fetch it again")
    return pixels, labels


def load(where: Path, train: bool, count: int) -> tuple[Tensor, Tensor]:
    """The first `count` pictures as (count, 3072) float32, normalised by channel, and labels (count,) int64. BenchError for a
    damaged file, one that holds other objects, or too few pictures."""
    import numpy as np
    import torch

    names = [name for name in MD5 if name.startswith("data" if train else "test")]
    arrays: list[Any] = []
    labels: list[int] = []
    for name in names:
        if len(labels) >= count:
            break
        pixels, batch_labels = _batch(where / name)
        arrays.append(pixels)
        labels += batch_labels
    pictures = np.concatenate(arrays)[:count]
    if len(pictures) < count:
        kind = "training" if train else "test"
        raise BenchError(f"{where} holds {len(pictures)} {kind} pictures, {count} are asked for")
    x = torch.from_numpy(np.ascontiguousarray(pictures)).float().reshape(-1, 3, 32 * 32) / 255
    x = (x - torch.tensor(MEAN)[:, None]) / torch.tensor(DEVIATION)[:, None]
    return x.reshape(len(x), -1), torch.tensor(labels[:count])
