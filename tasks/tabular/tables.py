"""Tables: four that come with scikit-learn, Friedman's function, and files of the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.contract import BenchError, Unavailable
from bench.seeds import Seeds
from tasks.bilevel import tables

if TYPE_CHECKING:
    from torch import Tensor

FRIEDMAN_INPUTS, FRIEDMAN_NOISE = 10, 1.0


@dataclass(frozen=True)
class Shipped:
    """A table inside scikit-learn: its files, rows, columns with the target, classes (0: regression), and how it is written."""

    files: tuple[str, ...]
    rows: int
    columns: int
    classes: int
    delimiter: str | None = ","
    header: int = 0


SHIPPED = {
    "breast_cancer": Shipped(("breast_cancer.csv",), 569, 31, 2, header=1),
    "wine": Shipped(("wine_data.csv",), 178, 14, 3, header=1),
    "digits": Shipped(tables.DIGITS, 1797, 65, 10),
    "diabetes": Shipped(tables.DIABETES, 442, 11, 0, delimiter=None),
}
MD5 = tables.MD5 | {
    "breast_cancer.csv": "36ef90874abc87f4b4a8554dcc17cf6f",
    "wine_data.csv": "4a4db56405701ab0f3ed0e194e993c0f",
}


def files(data: str, cache: Path) -> Mapping[str, Path]:
    """name -> file of the table `data`; none for one that is drawn. BenchError for a name that is a path."""
    if data == "friedman":
        return {}
    if data in SHIPPED:
        return tables.files(SHIPPED[data].files, cache)
    if not data.replace("_", "").replace("-", "").isalnum():
        raise BenchError(f"task.data={data}: a name of letters, digits, - and _, without a folder or an ending")
    return {f"{data}.csv": cache / "tabular" / f"{data}.csv"}


def here(data: str, cache: Path) -> dict[str, str]:
    """name -> path of the table's files. Unavailable, with what to do, if one is absent."""
    found = files(data, cache)
    if data in SHIPPED:
        return tables.here(SHIPPED[data].files)
    for path in found.values():
        if not path.is_file():
            raise Unavailable(
                f"the table {data} is not here: {path} is absent. Shipped are {', '.join(SHIPPED)} and friedman. For another one "
                f"(OpenML offers CSV files) set SWEEPSTAKES_DATA to a folder that holds tabular/{data}.csv: numbers "
                "with commas between, one line of names or none, the target in the last column"
            )
    return {name: str(path) for name, path in found.items()}


def origin(data: str, paths: Mapping[str, str]) -> str:
    """ "generated"; "official" for a file that scikit-learn ships; else "unverified"."""
    from bench.data.download import md5

    if not paths:
        return "generated"
    known = data in SHIPPED and all(md5(Path(path)) == MD5[name] for name, path in paths.items())
    return "official" if known else "unverified"


def read(data: str, paths: Mapping[str, str]) -> Tensor:
    """The table (rows, inputs + 1), float64, the target last. BenchError for a file that holds anything else."""
    import numpy as np
    import torch

    found, shape = SHIPPED.get(data), None
    blocks = []
    for path in paths.values():
        try:
            header = found.header if found else int(_named(Path(path)))
            blocks.append(np.loadtxt(path, delimiter=found.delimiter if found else ",", skiprows=header, ndmin=2))
        except (ValueError, OSError, EOFError) as error:
            raise BenchError(f"{path} is no table of numbers: {error}") from error
    if len({len(block) for block in blocks}) == 1:
        table = np.hstack(blocks)
        shape = table.shape
        expected = (found.rows, found.columns) if found else shape
        if shape == expected and shape[0] > 1 and shape[1] > 1 and np.isfinite(table).all():
            return torch.from_numpy(table)
    raise BenchError(f"the table {data} has shape {shape}, or numbers that are not finite; replace its files")


def _named(path: Path) -> bool:
    """Whether the first line holds names."""
    with path.open() as lines:
        first = lines.readline()
    try:
        [float(cell) for cell in first.split(",")]
    except ValueError:
        return True
    return False


def friedman(seeds: Seeds, rows: int) -> Tensor:
    """y = 10 sin(pi x1 x2) + 20 (x3 - 1/2)^2 + 10 x4 + 5 x5 + noise of deviation 1, inputs uniform; (rows, 11), the target last.

    Source: Friedman 1991, Multivariate adaptive regression splines, Annals of Statistics 19. Five of ten inputs say nothing.
    """
    import torch

    stream = seeds.stream("data", "friedman")
    x = stream.uniform(rows, FRIEDMAN_INPUTS, dtype=torch.float64)
    y = 10 * (torch.pi * x[:, 0] * x[:, 1]).sin() + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    noise = seeds.stream("data", "friedman noise").normal(rows, dtype=torch.float64)
    return torch.cat([x, (y + FRIEDMAN_NOISE * noise)[:, None]], dim=1)


def split(strata: Tensor, seeds: Seeds, val: float, test: float) -> dict[str, Tensor]:
    """Rows of `train`, `val` and `test`, with nearly the same share of each stratum (rows,) in all three."""
    import torch

    order = seeds.stream("split", "rows").permutation(len(strata))
    place = torch.empty(len(strata), dtype=torch.float64)
    for stratum in strata.unique():
        rows = order[strata[order] == stratum]
        place[rows] = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
    at = place[order]
    return {"test": order[at < test], "val": order[(at >= test) & (at < test + val)], "train": order[at >= test + val]}
