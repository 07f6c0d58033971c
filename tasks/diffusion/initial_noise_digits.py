"""`diffusion/initial_noise_digits`: the same search where the diffusion model samples handwritten digits, in 64 dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Exhibit, Problem, Solution
from bench.seeds import Seeds
from tasks import digit_sets
from tasks.diffusion.initial_noise import InitialNoise

if TYPE_CHECKING:
    from tasks.diffusion.rewards import Reward

CLASSES = 10
PICTURES = 24  # samples of the exhibit


@dataclass
class Params:
    """train: digits of which the model samples neighbours. deviation: of pixels around a digit, where pixels have deviation 1.
    width: of the classifier's normal densities. The others are those of `diffusion/initial_noise`.
    """

    train: int = 500
    deviation: float = 0.3
    width: float = 1.0
    steps: int = 20
    evaluations: int = 100800
    backward: int = 2
    eval_every: int = 4000
    val: int = 200
    test: int = 500


class InitialNoiseDigits(InitialNoise):
    """One normal component around each of `train` digits; the reward is the probability of a class; both are drawn by seed."""

    name = "diffusion/initial_noise_digits"
    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = (*InitialNoise.positive, "train")
    presets = {
        "smoke": {"train": 60, "steps": 8, "evaluations": 1440, "eval_every": 400, "val": 40, "test": 80},
        "small": {},
        "paper": {"train": 1797, "steps": 50, "evaluations": 2000000, "eval_every": 40000},
    }

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return digit_sets.files(cache)

    def prepare(self, cache: Path, pool: int) -> str:
        return digit_sets.path()

    def modes(self, data: Any, seeds: Seeds) -> Mapping[str, Any]:
        import torch

        train = self.params.train
        sets, _ = digit_sets.drawn(self.name, data, seeds, train, 0, 0)
        x, y = sets["train"]
        wanted = int(seeds.stream("data", "wanted class").integers(CLASSES, 1))
        if not bool((y == wanted).any()):
            raise BenchError(f"task.train={train}: none of these digits is a {wanted}, the wanted class; raise it")
        return {"centres": x, "labels": y, "weights": torch.full((train,), 1 / train), "wanted": wanted}

    def reward(self, public: Mapping[str, Any]) -> Reward:
        from tasks.diffusion.rewards import class_probability

        return class_probability(public["centres"], public["labels"], public["wanted"], self.params.width)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from bench.data.download import md5
        from tasks.large_batch import digits

        made = super().problem(data, seeds)
        official = md5(Path(data)) == digits.MD5
        return Problem(made.public, made.hidden, "official" if official else "unverified")

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Samples after the search, as pictures."""
        samples = self.samples(problem, solution.require_predict(), "test")[:PICTURES].reshape(-1, 8, 8)
        doc = "samples after the search"
        return {"samples": Exhibit("images", {"pixel": samples}, ("sample", "row", "column"), "1", doc)}
