"""`diffusion/initial_noise`: lift the reward of a diffusion model's samples from a budget of sampler steps.

Source: Chen et al. 2024, FIND: Fine-tuning Initial Noise Distribution with Policy Optimization for Diffusion Models
(arXiv 2407.19453).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Diverged, Exhibit, Log, Metric, Problem, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.diffusion.parts import POLICY

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.diffusion.rewards import Reward
    from tasks.diffusion.sampling import Denoiser

SHARES = (0.8, 0.15, 0.05)  # weights of the modes; the last one, which is rare, is wanted
HALF = 0.5  # reward that dates a search
SHOWN = 200  # samples of the exhibit


@dataclass
class Params:
    """deviation: of the modes, which lie on a circle of radius 2. width: of the reward. steps: of the sampler.
    evaluations: of the denoiser that the search may spend. backward: those that a backward pass counts as. eval_every: those
    between two looks at the reward. val, test: samples that judge.
    """

    deviation: float = 0.3
    width: float = 0.5
    steps: int = 30
    evaluations: int = 49600
    backward: int = 2
    eval_every: int = 2000
    val: int = 200
    test: int = 2000


class InitialNoise(Task):
    """Three modes in the plane, turned by seed; the exact denoiser; the reward is nearness to the mode of share 0.05."""

    name = "diffusion/initial_noise"
    Params: ClassVar[type] = Params
    positive: ClassVar[tuple[str, ...]] = ("deviation", "width", "steps", "evaluations", "eval_every", "val", "test")
    presets = {
        "smoke": {"steps": 10, "evaluations": 1760, "eval_every": 400, "val": 50, "test": 200},
        "small": {},
        "paper": {"steps": 50, "evaluations": 1000000, "eval_every": 20000, "test": 10000},
    }
    metrics = (
        Metric("reward", "1", "max", "mean reward of fresh samples after the search", diverged=0.0),
        Metric("val_reward", "1", "max", "the same on the samples that watch the run", diverged=0.0),
        Metric("mean_reward", "1", "max", "val_reward, mean over the run", diverged=0.0),
        Metric("half_evaluations", "1", "min", "evaluations of the denoiser until val_reward is 0.5; the budget if never",
               "log", step="eval_every"),
        Metric("half_reached", "1", "max", "whether val_reward was 0.5 at an evaluation", diverged=0.0, sample=1),
        Metric("diversity", "1", "max", "mean distance of two fresh samples"),
        Metric("distance_to_data", "1", "min",
               "mean distance of fresh samples to the nearest component, over its deviation and root of dimension", "log"),
    )  # fmt: skip
    rank = "reward"
    objective = "val_reward"
    slots = (POLICY,)
    floors = ("plain_sampling",)
    reference = "find_policy"
    margin = 0.3

    @property
    def budget(self) -> Budget:
        return Budget("evals", self.params.evaluations)

    def modes(self, data: Any, seeds: Seeds) -> Mapping[str, Any]:
        """The mixture (`centres`, `weights`) and what its reward is made of."""
        import math

        import torch

        angle = 2 * math.pi * (float(seeds.stream("data", "turn").uniform(1)) + torch.arange(3) / 3)
        centres = 2 * torch.stack([angle.cos(), angle.sin()], dim=1)
        return {"centres": centres, "weights": torch.tensor(SHARES), "wanted": centres[-1].clone()}

    def reward(self, public: Mapping[str, Any]) -> Reward:
        """The reward of samples (n, d)."""
        from tasks.diffusion.rewards import region

        return region(public["wanted"], self.params.width)

    def denoiser(self, public: Mapping[str, Any]) -> Denoiser:
        """The diffusion model: here the exact denoiser of the modes."""
        import torch

        from tasks.diffusion.process import Mixture

        centres = public["centres"]
        return Mixture(public["weights"], centres, torch.full_like(centres, self.params.deviation**2)).noise

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        p = self.params
        if p.backward < 0:
            raise BenchError(f"task.backward={p.backward}: a backward pass counts as 0 evaluations or more")
        public = self.modes(data, seeds)
        d, hidden = public["centres"].shape[1], dict[str, Any](public=public)
        for name, count in (("val", p.val), ("test", p.test)):
            hidden[name] = seeds.stream("data", f"{name} noise").normal(count, d)
            hidden[f"{name} steps"] = seeds.stream("data", f"{name} steps").normal(p.steps, count, d)
        return Problem(public, hidden)

    def samples(self, problem: Problem, predict: Callable[..., Any], name: str) -> Tensor:
        """Samples (n, d) of the entry's policy from the hidden noise `name`. BenchError for shapes, Diverged for numbers.

        predict(e, -1) is the initial noise, and predict(x, k) a correction at step k. A policy that corrects says so:
        predict(e, -2) is a vector of one number, 1.
        """
        import torch

        from tasks.diffusion.sampling import sample

        e, steps = problem.hidden[name], self.params.steps

        def asked(x: Tensor, k: int) -> Tensor:
            told = predict(x, k)
            if told.shape != x.shape:
                raise BenchError(f"the policy returned {tuple(told.shape)} for noise of shape {tuple(x.shape)}")
            if not bool(told.isfinite().all()):
                raise Diverged("the policy's noise is not finite")
            return told

        draws = correction = None
        if float(predict(e[:1], -2)):
            draws, correction = problem.hidden[f"{name} steps"], asked
        with torch.no_grad():
            return sample(self.denoiser(problem.hidden["public"]), asked(e, -1), steps, correction, draws).ends

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        return {
            "val_reward": float(self.reward(problem.hidden["public"])(self.samples(problem, predict, "val")).mean())
        }

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        from tasks.diffusion.search import run

        dimension = public["centres"].shape[1]
        return run(self.denoiser(public), dimension, self.reward(public), self.params, parts, log, seeds)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.diffusion.rewards import mean_distance, nearest_distance

        predict, reward = solution.require_predict(), self.reward(problem.hidden["public"])
        samples = self.samples(problem, predict, "test")
        at, values = log.curve("val_reward")
        reached = [when for when, value in zip(at, values, strict=True) if value >= HALF]
        return {
            "reward": float(reward(samples).mean()),
            "val_reward": float(reward(self.samples(problem, predict, "val")).mean()),
            "mean_reward": sum(values) / len(values) if values else None,
            "half_evaluations": float(max(1, reached[0])) if reached else float(self.params.evaluations),
            "half_reached": float(bool(reached)),
            "diversity": mean_distance(samples[:SHOWN]),
            "distance_to_data": nearest_distance(samples, problem.hidden["public"]["centres"], self.params.deviation),
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Initial noise after the search, and the samples it becomes."""
        predict = solution.require_predict()
        e = problem.hidden["test"]
        shown = {"noise": predict(e, -1)[:SHOWN], "samples": self.samples(problem, predict, "test")[:SHOWN]}
        docs = {"noise": "initial noise after the search", "samples": "samples after the search"}
        return {
            name: Exhibit("points", {name: values}, ("sample", "coordinate"), "1", docs[name])
            for name, values in shown.items()
        }
