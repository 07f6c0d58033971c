"""`stability/relu2`: a two-layer ReLU network that learns one of its own neurons from few samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import Problem
from bench.seeds import Seeds
from tasks.stability.minima import Minima, shared_metrics, shared_slots

if TYPE_CHECKING:
    from tasks.stability.models import Relu2


@dataclass
class Params:
    """samples: training samples. inputs, width: of the network. val, test: samples. steps: updates at most."""

    samples: int = 40
    inputs: int = 10
    width: int = 60
    val: int = 1000
    test: int = 4000
    steps: int = 20000
    evaluations: int = 20


class ReluTwoLayer(Minima):
    """x uniform on the sphere of radius sqrt(inputs), y = ReLU(x_1); both layers are trained, in float64."""

    name = "stability/relu2"
    version = 2
    Params = Params
    positive = (*Minima.positive, "width")
    presets = {
        "smoke": {"samples": 20, "inputs": 5, "width": 20, "val": 200, "test": 400, "steps": 1000, "evaluations": 2},
        "small": {},
        "paper": {"samples": 200, "inputs": 50, "width": 500, "val": 2000, "test": 10000, "steps": 500000},
    }
    metrics = shared_metrics(0.5, "path norm, the sum of |a_k| |w_k|")
    slots = shared_slots(0.05)
    margin = 1.0

    def model(self) -> Relu2:
        from tasks.stability.models import Relu2

        return Relu2(self.params.inputs, self.params.width)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        from tasks.stability.models import sphere

        p = self.params
        sets = {}
        for name, count in (("train", p.samples), ("val", p.val), ("test", p.test)):
            x = sphere(count, p.inputs, p.inputs**0.5, seeds.stream("data", name))
            sets[name] = (x, x[:, 0].clamp(min=0))
        x, y = sets["train"]
        return Problem({"x": x, "y": y}, sets)
