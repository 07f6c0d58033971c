"""`large_batch/digits`: the regimes on handwritten digits that come with a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Problem, Unavailable
from bench.seeds import Seeds
from tasks.large_batch import base
from tasks.large_batch.base import shared_slots
from tasks.large_batch.fitting import Fitting

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE, FILE = "sklearn", Path("datasets", "data", "digits.csv.gz")
MD5 = "9b335364a7bfd63947c7480a5bd51f2d"
DIGITS, PIXELS = 1797, 64
MEAN, DEVIATION = 4.884, 6.017  # of all pixels, which lie in 0..16


@dataclass
class Params(base.Params):
    """As the family's; train, val and test share the 1797 digits."""

    train: int = 1024
    val: int = 273
    test: int = 500


class Digits(Fitting):
    """1797 digits of 8 x 8 pixels in ten classes, split by seed; two hidden layers with batch norm."""

    name = "large_batch/digits"
    version = 2
    Params = Params
    presets = {
        "smoke": {"train": 512, "val": 100, "test": 200, "epochs": 3, "evaluations": 2},
        "small": {},
        "paper": {"epochs": 200},
    }
    slots = shared_slots("tasks.large_batch.networks.Perceptron")
    margin = 0.7

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return {FILE.name: location() or cache / FILE.name}

    def prepare(self, cache: Path, pool: int) -> str:
        where = location()
        if where is None:
            raise Unavailable("the digits come with scikit-learn, which is not here: pip install scikit-learn")
        return str(where)

    def problem(self, data: Any, seeds: Seeds) -> Problem:

        from bench.data.download import md5

        p = self.params
        if (asked := p.train + p.val + p.test) > DIGITS:
            raise BenchError(f"{self.name}: train, val and test add up to {asked}; there are {DIGITS} digits")
        x, y = load(Path(data))
        order = seeds.stream("split", "samples").permutation(DIGITS)
        picked = order[:asked].split([p.train, p.val, p.test])
        hidden = {name: (x[part], y[part]) for name, part in zip(("train", "val", "test"), picked, strict=True)}
        x, y = hidden["train"]
        public = {"x": x, "y": y, "classes": self.classes, "budget": self.budget.limit}
        return Problem(public, hidden, "official" if md5(Path(data)) == MD5 else "unverified")


def location() -> Path | None:
    """The file inside the installed package, which is not imported; None without the package."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    files = [Path(folder) / FILE for folder in folders or () if (Path(folder) / FILE).is_file()]
    return files[0] if files else None


def load(path: Path) -> tuple[Tensor, Tensor]:
    """All digits, (1797, 64) float32 of mean 0 and deviation 1 over all pixels, and labels (1797,) int64.

    Raises BenchError for a file that holds anything else.
    """
    import numpy as np
    import torch

    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.float32)
    except (ValueError, OSError, EOFError) as error:
        raise BenchError(f"{path} is no table of digits ({error}); reinstall scikit-learn") from error
    if table.shape != (DIGITS, PIXELS + 1) or not ((table >= 0) & (table <= 16)).all() or table[:, -1].max() > 9:
        raise BenchError(f"{path} is no table of {DIGITS} digits of {PIXELS} pixels; reinstall scikit-learn")
    x = (torch.from_numpy(table[:, :PIXELS].copy()) - MEAN) / DEVIATION
    return x, torch.from_numpy(table[:, PIXELS].astype(np.int64))
