"""A small task that tests use where no real one has what they ask for: another budget, probes that fail, odd numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from bench.contract import Budget, Exhibit, Metric, Problem, Solution, Target, Task


@dataclass
class Params:
    """limit: matvecs. trained: of them in training. rounds: predictions that are scored, each of which takes one.
    evaluations: scores asked for. dtype: of what is predicted. probe_until: step at which the probe raises. shown: exhibits.
    """

    limit: int = 10
    trained: int = 4
    rounds: int = 3
    evaluations: int = 4
    dtype: str = "float32"
    probe_until: int = 100
    shown: str = ""


def gauge(at: int, until: int) -> dict[str, float]:
    """Draws from every generator, and raises from step `until` on."""
    import numpy as np
    import torch

    value = random.random() + np.random.rand() + float(torch.rand(()))
    if at >= until:
        raise ZeroDivisionError("the gauge broke")
    return {"gauge": value}


class Solves(Task):
    """Predict twice the input; every product is counted."""

    name = "toy/solves"
    Params = Params
    presets = {"smoke": {}, "small": {}, "paper": {}}
    metrics = (
        Metric("error", "1", "min", "largest error", diverged=9.0),
        Metric("drawn", "1", "min", "what the run drew from the three generators", diverged=9.0),
        Metric("spent", "1", "min", "matvecs when all was scored", diverged=9.0),
        Metric("matvecs_to_good", "1", "min", "matvecs until good", target=Target("good", 2.0)),
    )
    rank = objective = "error"
    slots = ()
    probes = {"gauge": "tests.odd_tasks.gauge"}
    floors = ("zero",)
    reference = "zero"
    margin = 0.5

    @property
    def budget(self) -> Budget:
        return Budget("matvecs", self.params.limit)

    def problem(self, data: Any, seeds: Any) -> Problem:
        import torch

        return Problem({"half": torch.ones(2, dtype=torch.bfloat16)}, {"x": torch.arange(3.0)})

    def monitor(self, problem: Problem, predict: Any) -> dict[str, float]:
        predict(problem.hidden["x"])
        self.seen = getattr(self, "seen", 0) + 1
        return {"good": float(self.seen)}

    def run(self, public: Any, parts: Any, log: Any, seeds: Any) -> Solution:
        import numpy as np
        import torch

        assert public["half"].dtype == torch.float32, "half precision arrives as single"

        def predict(x: Any) -> Any:
            log.count(matvecs=1)
            return (2 * x).to(getattr(torch, self.params.dtype))

        for step in range(self.params.evaluations):
            if step < self.params.trained:
                log.count(matvecs=1)
            log.evaluate(step + 1, predict)
            log.probe(step + 1, at=step + 1, until=self.params.probe_until)
            log.track(step + 1, loss=1.0)
        self.drawn = random.random() + np.random.rand() + float(torch.rand(()))
        return Solution(predict, {"drawn": torch.tensor(self.drawn, dtype=torch.float64)})

    def score(self, problem: Problem, solution: Solution, log: Any) -> dict[str, float | None]:
        import torch

        x = problem.hidden["x"]
        for _ in range(self.params.rounds):
            found = solution.predict(x)
        assert found.dtype == {"bfloat16": torch.float32}.get(self.params.dtype, getattr(torch, self.params.dtype))
        return {
            "error": float((found - 2 * x).abs().max()),
            "drawn": float(solution.tensors["drawn"]),
            "spent": float(log.counts["matvecs"]),
        }

    def exhibit(self, problem: Problem, solution: Solution) -> dict[str, Exhibit]:
        import torch

        if self.params.shown == "raises":
            raise ZeroDivisionError("no picture")
        if not self.params.shown:
            return {}
        found = solution.require_predict()(problem.hidden["x"])
        big = torch.zeros(2**15, dtype=torch.float64)  # 128 KB as single precision
        arrays = {"fits": {"y": found, "x": problem.hidden["x"].half()}, "big": {"y": big}, "words": {"y": "text"}}
        return {name: Exhibit("series", arrays[name], ("x",), "1", "what was predicted") for name in arrays}


def compiles(model: Any, log: Any, backend: str) -> None:
    """Fills toy/line's slot `extra`: compile a function and call it."""
    import torch

    step = torch.compile(lambda x: torch.tanh(x * model.weight) + x.sum(), backend=backend)
    x = torch.ones(4)
    assert torch.allclose(step(x), torch.tanh(x * model.weight) + 4)


class Arithmetic(Solves):
    """The numerics fingerprints that the entry's process (`drawn`) and the scorer (`spent`) find, as whole numbers."""

    name = "toy/arithmetic"

    def run(self, public: Any, parts: Any, log: Any, seeds: Any) -> Solution:
        import torch

        from bench.running import numerics

        found = torch.tensor(int(numerics.fingerprint(), 16), dtype=torch.float64)
        log.evaluate(1, lambda x: x)
        return Solution(lambda x: x, {"drawn": found})

    def score(self, problem: Problem, solution: Solution, log: Any) -> dict[str, float | None]:
        from bench.running import numerics

        return {
            "error": 0.0,
            "drawn": float(solution.tensors["drawn"]),
            "spent": float(int(numerics.fingerprint(), 16)),
        }
