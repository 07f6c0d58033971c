"""`bilevel/cleaning`: handwritten digits of which half have a wrong label; a weight a sample is learned on clean ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Curves, Exhibit, Metric, Problem, Solution
from bench.seeds import Seeds
from tasks.bilevel import tables
from tasks.bilevel.base import METRICS, Bilevel

if TYPE_CHECKING:
    from tasks.bilevel.softmax import Softmax

DIGITS, PIXELS, CLASSES = 1797, 64, 10
SHOWN = 16  # digits of the exhibit


@dataclass
class Params:
    """train: samples with weights, of which about the share `wrong` have another label. val: clean samples of the upper level.
    test: clean ones. batch: samples of one stochastic gradient, of each level. gradients, evaluations: as in the family.
    """

    train: int = 400
    val: int = 200
    test: int = 1000
    wrong: float = 0.5
    batch: int = 64
    gradients: int = 12000
    evaluations: int = 4


class Cleaning(Bilevel):
    """x: one number a training sample, whose sigmoid is its weight; in [-10, 10]. y: softmax regression with a bias."""

    name = "bilevel/cleaning"
    Params = Params
    presets = {
        "smoke": {"train": 40, "val": 40, "test": 100, "batch": 16, "gradients": 300, "evaluations": 2},
        "small": {},
        "paper": {"train": 1000, "val": 300, "test": 497, "gradients": 200000, "evaluations": 20},
    }
    metrics = (
        *METRICS,
        Metric("test_error", "share", "min", "test digits that the exact lower solution at x gets wrong", scale="logit",
               diverged=1.0, sample="test"),
        Metric("detection", "share", "max", "pairs of a clean and a wrong training label in which the clean one has the larger "
               "weight; ties count half"),
    )  # fmt: skip
    rank = "test_error"
    objective = "upper_loss"
    positive = (*Bilevel.positive, "train", "val", "test", "batch")
    reference = "soba"
    margin = 0.3

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.train + params.val + params.test > DIGITS:
            raise BenchError(f"task.train, task.val and task.test add up to more than the {DIGITS} digits")
        if params.batch > min(params.train, params.val):
            raise BenchError(f"task.batch={params.batch}: it is at most the samples of either level")
        if not 0 < params.wrong < 1:
            raise BenchError(f"task.wrong={params.wrong}: the share of wrong labels is between 0 and 1")

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return tables.files(tables.DIGITS, cache)

    def prepare(self, cache: Path, pool: int) -> Any:
        return tables.here(tables.DIGITS)

    def model(self, public: Mapping[str, Any]) -> Softmax:
        from tasks.bilevel.softmax import Softmax

        return Softmax(public, CLASSES)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p = self.params
        table = tables.read(data[tables.DIGITS[0]], ",", DIGITS, PIXELS + 1)
        order = seeds.stream("split", "samples").permutation(DIGITS)
        train, val, test = order[: p.train + p.val + p.test].split([p.train, p.val, p.test])
        images, labels = table[:, :PIXELS], table[:, PIXELS].long()
        u = torch.cat([images / 16, torch.ones(DIGITS, 1, dtype=table.dtype)], dim=1)
        stream = seeds.stream("data", "labels")
        wrong = stream.uniform(p.train, dtype=torch.float64) < p.wrong
        given = torch.where(wrong, (labels[train] + 1 + stream.integers(CLASSES - 1, p.train)) % CLASSES, labels[train])
        public = {
            "u": u[train], "labels": given, "u_val": u[val], "labels_val": labels[val], "batch": p.batch,
            "x": torch.zeros(p.train, dtype=torch.float64), "y": torch.zeros(CLASSES * (PIXELS + 1), dtype=torch.float64),
        }  # fmt: skip
        made = self.opened(public, {"u": u[test], "labels": labels[test], "wrong": wrong, "images": images[train]})
        return Problem(made.public, made.hidden, tables.origin(data))

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        scores = super().score(problem, solution, log)
        x, hidden, model = solution.tensors["x"], problem.hidden, self.model(problem.public)
        answers = (hidden["u"] @ model.matrix(model.solution(x.to(hidden["u"].dtype))).T).argmax(dim=1)
        clean, wrong = x[~hidden["wrong"]], x[hidden["wrong"]]
        wins = (clean[:, None] > wrong).double() + 0.5 * (clean[:, None] == wrong).double()
        error = float((answers != hidden["labels"]).double().mean())
        return {**scores, "test_error": error, "detection": float(wins.mean()) if wins.numel() else None}

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """The training digits of least weight, and the weights of all, those of wrong labels apart."""
        x, hidden = solution.tensors["x"], problem.hidden
        least = x.argsort()[:SHOWN]
        pictures = {"image": hidden["images"][least].reshape(-1, 8, 8)}
        weights = {"weight": x.sigmoid(), "wrong": hidden["wrong"].double()}
        return {
            "least": Exhibit("images", pictures, ("sample", "row", "column"), "1", "training digits of least weight"),
            "weights": Exhibit(
                "series", weights, ("sample",), "1", "weights of the training samples; wrong is 1 at a wrong label"
            ),
        }
