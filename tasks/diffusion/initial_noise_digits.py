"""`diffusion/initial_noise_digits`: the same search where the diffusion model samples handwritten digits, in 64 dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Exhibit, Problem, Solution
from bench.seeds import POOL, Seeds
from tasks import digit_sets
from tasks.diffusion.initial_noise import InitialNoise

if TYPE_CHECKING:
    from tasks.diffusion.rewards import Reward
    from tasks.diffusion.sampling import Denoiser

CLASSES, SIDE = 10, 8
REWARDS = ("class", "compressibility")
PICTURES = 24  # samples of the exhibit


@dataclass
class Params:
    """pretraining: updates of the diffusion model, a network trained once for a pool of seeds on all digits; 0 for the exact
    denoiser of this seed's digits. reward: "class", the probability of a class, or "compressibility". train: this seed's digits,
    to which samples are compared, and by which the reward of a class judges. deviation: of pixels around a digit, where all
    pixels have deviation 1. width: of the classifier's normal densities. The others are those of `diffusion/initial_noise`.
    """

    pretraining: int = 3000
    reward: str = "class"
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
    """A small trained diffusion model of digits with pixel noise; digits that judge, and the wanted class, are drawn by seed."""

    name = "diffusion/initial_noise_digits"
    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = (*InitialNoise.positive, "train")
    presets = {
        "smoke": {
            "pretraining": 60,
            "train": 60,
            "steps": 8,
            "evaluations": 1440,
            "eval_every": 400,
            "val": 40,
            "test": 80,
        },
        "small": {},
        "paper": {"pretraining": 20000, "train": 1797, "steps": 50, "evaluations": 2000000, "eval_every": 40000},
    }

    def data_files(self, cache: Path) -> Mapping[str, Path]:
        return digit_sets.files(cache)

    def prepare(self, cache: Path, pool: int) -> dict[str, str]:
        """Paths of the digits and of the trained model, which is made here if the cache has none."""
        p = self.params
        if p.pretraining < 0:
            raise BenchError(
                f"task.pretraining={p.pretraining}: 0 for the exact denoiser, or the updates of a trained one"
            )
        if p.reward not in REWARDS:
            raise BenchError(f"task.reward={p.reward}: there are {' and '.join(REWARDS)}")
        paths = {"digits": digit_sets.path()}
        if p.pretraining:
            from tasks.diffusion import trained
            from tasks.large_batch import digits

            x, _ = digits.load(Path(paths["digits"]))
            stream = Seeds(pool * POOL, self.name).stream("data", "pretraining")
            paths["denoiser"] = str(trained.cached(cache / "diffusion", x, p.deviation, p.pretraining, stream))
        return paths

    def modes(self, data: Any, seeds: Seeds) -> Mapping[str, Any]:
        import torch

        train = self.params.train
        sets, _ = digit_sets.drawn(self.name, data["digits"], seeds, train, 0, 0)
        x, y = sets["train"]
        wanted = int(seeds.stream("data", "wanted class").integers(CLASSES, 1))
        if not bool((y == wanted).any()):
            raise BenchError(f"task.train={train}: none of these digits is a {wanted}, the wanted class; raise it")
        public = {"centres": x, "labels": y, "weights": torch.full((train,), 1 / train), "wanted": wanted}
        if "denoiser" in data:
            import numpy as np

            public["denoiser"] = torch.from_numpy(np.load(data["denoiser"]))
        return public

    def denoiser(self, public: Mapping[str, Any]) -> Denoiser:
        if "denoiser" not in public:
            return super().denoiser(public)
        from tasks.diffusion.trained import network

        return network(public["denoiser"], public["centres"].shape[1])

    def reward(self, public: Mapping[str, Any]) -> Reward:
        from tasks.diffusion.rewards import class_probability, compressibility

        if self.params.reward == "compressibility":
            return compressibility(SIDE)
        return class_probability(public["centres"], public["labels"], public["wanted"], self.params.width)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from bench.data.download import md5
        from tasks.large_batch import digits

        made = super().problem(data, seeds)
        official = md5(Path(data["digits"])) == digits.MD5
        return Problem(made.public, made.hidden, "official" if official else "unverified")

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Samples after the search, as pictures."""
        samples = self.samples(problem, solution.require_predict(), "test")[:PICTURES].reshape(-1, SIDE, SIDE)
        doc = "samples after the search"
        return {"samples": Exhibit("images", {"pixel": samples}, ("sample", "row", "column"), "1", doc)}
