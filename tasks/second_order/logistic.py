"""`second_order/logistic`: logistic regression on a real data set, or softmax regression on digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Problem, Unavailable
from bench.seeds import Seeds
from tasks.second_order.base import Minimisation

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.second_order.functions import Function, Softmax

PACKAGE, FOLDER = "sklearn", Path("datasets", "data")
SETS = {  # name -> file, MD5, first lines that hold no sample, samples, inputs, classes
    "breast_cancer": ("breast_cancer.csv", "36ef90874abc87f4b4a8554dcc17cf6f", 1, 569, 30, 2),
    "digits": ("digits.csv.gz", "9b335364a7bfd63947c7480a5bd51f2d", 0, 1797, 64, 10),
}
STEPS = 100  # of Newton's method for the minimum, which takes about ten


@dataclass
class Params:
    """data: breast_cancer (two classes) or digits (ten). rows: samples, drawn by the seed. l2: factor of |x|^2 / 2. gradients:
    the budget."""

    data: str = "breast_cancer"
    rows: int = 400
    l2: float = 1e-3
    gradients: int = 1000


class Logistic(Minimisation):
    """f = mean cross entropy + l2/2 |x|^2 from x = 0; inputs have mean 0 and deviation 1, and a column of ones is added."""

    name = "second_order/logistic"
    Params = Params
    positive = (*Minimisation.positive, "rows", "l2")
    presets = {"smoke": {"rows": 100, "gradients": 40}, "small": {}, "paper": {"rows": 569, "gradients": 5000}}

    def _set(self) -> tuple[str, str, int, int, int, int]:
        if self.params.data not in SETS:
            raise BenchError(f"task.data={self.params.data}: there are {', '.join(SETS)}")
        return SETS[self.params.data]

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        name = self._set()[0]
        return {name: location(name) or cache / name}

    def prepare(self, cache: Path, pool: int) -> str:
        where = location(self._set()[0])
        if where is None:
            raise Unavailable("the data come with scikit-learn, which is not here: pip install scikit-learn")
        return str(where)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        from bench.data.download import md5

        p, (_, digest, first, samples, inputs, classes) = self.params, self._set()
        if p.rows > samples:
            raise BenchError(f"task.rows={p.rows}: {p.data} has {samples} samples")
        x, y = load(Path(data), first, samples, inputs, classes)
        chosen = seeds.stream("split", "rows").permutation(samples)[: p.rows]
        public: dict[str, Any] = {"inputs": x[chosen], "labels": y[chosen], "classes": classes}
        function = self.function(public)
        start = torch.zeros(function.dimension, dtype=x.dtype)
        minimiser, minimum = minimise(function, start)
        hidden = {"minimum": minimum, "minimiser": minimiser}
        origin = "official" if md5(Path(data)) == digest else "unverified"
        return Problem({**public, "start": start}, hidden, origin)

    def function(self, public: Mapping[str, Any]) -> Softmax:
        from tasks.second_order.functions import Softmax

        return Softmax(public["inputs"], public["labels"], public["classes"], self.params.l2)


def location(name: str) -> Path | None:
    """The file inside the installed package, which is not imported; None without it."""
    spec = find_spec(PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    files = [Path(folder) / FOLDER / name for folder in folders or ()]
    return next((file for file in files if file.is_file()), None)


def load(path: Path, first: int, samples: int, inputs: int, classes: int) -> tuple[Tensor, Tensor]:
    """Inputs (samples, inputs + 1), float64, each of mean 0 and deviation 1 or constant, the last 1; labels (samples,) int64.

    first: lines before the samples. BenchError for a file that holds anything else.
    """
    import numpy as np
    import torch

    try:
        table = np.loadtxt(path, delimiter=",", skiprows=first)
    except (ValueError, OSError, EOFError) as error:
        raise BenchError(f"{path} is no table of numbers ({error}); reinstall scikit-learn") from error
    if table.shape != (samples, inputs + 1) or set(table[:, -1]) != set(range(classes)):
        raise BenchError(
            f"{path} has not {samples} samples of {inputs} inputs and {classes} classes; reinstall scikit-learn"
        )
    raw = torch.from_numpy(table[:, :-1].copy())
    deviation = raw.std(dim=0, correction=0)
    x = (raw - raw.mean(dim=0)) / torch.where(deviation > 0, deviation, 1.0)
    return torch.cat([x, torch.ones(samples, 1, dtype=x.dtype)], dim=1), torch.from_numpy(table[:, -1].astype(np.int64))


def minimise(function: Function, start: Tensor) -> tuple[Tensor, float]:
    """(minimiser, minimum) of a strongly convex function by Newton's method with halved steps, to rounding.

    BenchError if its decrement, an estimate of f - f* that is exact to second order, stays above 1e-14.
    """
    x, (value, gradient) = start, function.value_and_gradient(start)
    for _ in range(STEPS):
        step = function.hessian(x).solve(0.0, gradient)
        if step is None:
            break
        if float(gradient @ step) / 2 < 1e-20:
            return x, value
        length = 1.0
        while length > 1e-10 and not function.value_and_gradient(x - length * step)[0] < value:
            length /= 2
        if length <= 1e-10:
            if float(gradient @ step) / 2 < 1e-14:  # rounding hides what is left
                return x, value
            break
        x = x - length * step
        value, gradient = function.value_and_gradient(x)
    raise BenchError("Newton's method found no minimum to measure gaps from; raise task.l2")
