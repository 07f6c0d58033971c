"""The two small tables that come with scikit-learn, read from its files; the package is not imported."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract import BenchError, Unavailable

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE, FOLDER = "sklearn", Path("datasets", "data")
DIGITS = ("digits.csv.gz",)
DIABETES = ("diabetes_data_raw.csv.gz", "diabetes_target.csv.gz")
MD5 = {
    "digits.csv.gz": "9b335364a7bfd63947c7480a5bd51f2d",
    "diabetes_data_raw.csv.gz": "a8e967d45d7162dc51982bde4b33d507",
    "diabetes_target.csv.gz": "1a035fe70b2f8622146613365e30700c",
}


def files(names: tuple[str, ...], cache: Path) -> Mapping[str, Path]:
    """name -> its place in the installed package; a place in `cache`, where nothing is, without the package."""
    return {name: place(name) or cache / name for name in names}


def here(names: tuple[str, ...]) -> dict[str, str]:
    """name -> path of the file. Unavailable if one is absent."""
    places = {name: place(name) for name in names}
    if not all(places.values()):
        raise Unavailable(f"{' and '.join(names)} come with scikit-learn, which is not here: pip install scikit-learn")
    return {name: str(path) for name, path in places.items()}


def place(name: str) -> Path | None:
    """The file of this name inside the installed package, if it is there."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    return next(
        (Path(folder) / FOLDER / name for folder in folders or () if (Path(folder) / FOLDER / name).is_file()), None
    )


def origin(paths: Mapping[str, str]) -> str:
    """ "official" if every file is the one that scikit-learn ships, else "unverified"."""
    from bench.data.download import md5

    return "official" if all(md5(Path(path)) == MD5[name] for name, path in paths.items()) else "unverified"


def read(path: str, delimiter: str | None, rows: int, columns: int) -> Tensor:
    """A table (rows, columns) in float64. BenchError for a file that holds anything else."""
    import numpy as np
    import torch

    try:
        table = np.loadtxt(path, delimiter=delimiter, ndmin=2)
    except (ValueError, OSError, EOFError) as error:
        raise BenchError(f"{path} is no table of numbers ({error}); reinstall scikit-learn") from error
    if table.shape != (rows, columns) or not np.isfinite(table).all():
        raise BenchError(f"{path} is no table of {rows} rows of {columns} numbers; reinstall scikit-learn")
    return torch.from_numpy(table)
