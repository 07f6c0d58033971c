"""`neural_ode/spiral`: the right side of a damped, cubic oscillator from its trajectories."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Exhibit, Problem, Solution
from bench.seeds import Seeds
from tasks.neural_ode import base
from tasks.neural_ode.base import STEPS, Flow, metrics

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.neural_ode.network import Network
    from tasks.neural_ode.paths import Path

EXACT = 1e-10  # tolerance of the reference solution
NEAR, FAR = 1.5, 2.0  # radii between which trajectories start
SHOWN = 120  # times of the exhibit


@dataclass
class Params(base.Params):
    """train, val, test: trajectories. horizon: their length in time. points: times at which they are known, the start not
    counted. segment: of these, how many intervals an update solves. The others are the family's.
    """

    width: int = 50
    depth: int = 1
    tolerance: float = 1e-5
    steps: int = 500
    batch: int = 64
    required: float = 0.2
    train: int = 8
    val: int = 8
    test: int = 8
    horizon: float = 3.0
    points: int = 100
    segment: int = 10


class Spiral(Flow):
    """y' = A y^3 with A = [[-damping, turn], [-turn, -damping]]; a network of y^3, fitted to short pieces of trajectories."""

    name = "neural_ode/spiral"
    Params = Params
    quality = "error"
    worst = 1.0
    positive = (*Flow.positive, "train", "val", "test", "horizon", "points", "segment")
    presets = {
        "smoke": {"width": 8, "steps": 4, "batch": 8, "tolerance": 1e-3, "evaluations": 2, "train": 2, "val": 2, "test": 2,
                  "horizon": 1.0, "points": 10, "segment": 2, "required": 10.0},
        "small": {},
        "paper": {"steps": 2000, "horizon": 25.0, "points": 1000, "tolerance": 1e-7},
    }  # fmt: skip
    metrics = metrics(
        "error", "root mean square of the error of whole test trajectories over that of their states", 1.0
    )

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.segment > params.points:
            raise BenchError(f"task.segment={params.segment}: a trajectory has task.points={params.points} intervals")
        if params.batch > (pieces := params.train * (params.points + 1 - params.segment)):
            raise BenchError(
                f"task.batch={params.batch}: there are {pieces} pieces of trajectories; take a smaller batch"
            )

    def network(self) -> Network:
        from tasks.neural_ode.network import Field, Network

        return Network(Field(2, self.params.width, self.params.depth, power=3, timed=False), 2)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p = self.params
        damping, turn = (
            seeds.stream("data", "system").uniform(2, dtype=torch.float64) * torch.tensor([0.04, 0.4])
        ).tolist()
        times, hidden = self.clock(), {}
        for name in ("train", "val", "test"):
            share, angle = seeds.stream("data", name).uniform(2, getattr(p, name), dtype=torch.float64)
            radius, angle = NEAR + (FAR - NEAR) * share, 2 * torch.pi * angle
            start = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
            hidden[name] = {"y": trajectories(start, times, 0.08 + damping, 1.8 + turn)}
        return Problem({**hidden.pop("train"), "times": times}, hidden)

    def clock(self) -> Tensor:
        """All times at which trajectories are known, float64."""
        import torch

        return torch.linspace(0.0, self.params.horizon, self.params.points + 1, dtype=torch.float64)

    def times(self) -> Tensor:
        return self.clock()[: self.params.segment + 1]

    def batches(self, public: Mapping[str, Any], generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        from tasks.neural_ode.network import batches

        pieces = public["y"].unfold(0, self.params.segment + 1, 1).permute(3, 0, 1, 2).flatten(1, 2)
        for rows in batches(pieces.shape[1], self.params.batch, generator):
            yield pieces[0, rows], pieces[:, rows]

    def question(self, part: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        return part["y"][0], self.clock()

    def prediction(self, network: Network, state: Tensor, times: Tensor, count: Callable[..., Any] | None) -> Path:
        import torch

        from tasks.neural_ode import ordinary

        with torch.no_grad():
            return ordinary.solve(
                network.field, state, times, self.params.tolerance, ordinary.limit_of(STEPS), count=count
            )

    def loss(self, answer: Tensor, target: Tensor) -> Tensor:
        return (answer - target).square().mean()

    def judge(self, answer: Tensor, part: Mapping[str, Any]) -> float:
        y = part["y"]
        return float(((answer - y).square().mean() / y.square().mean()).sqrt())

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """A test trajectory beside the network's, and where the solver steps."""
        network, part = self.network(), problem.hidden["test"]
        network.load(solution.tensors["weights"])
        answer = self.prediction(network, *self.question(part), None).outputs
        stride = max(1, len(answer) // SHOWN)
        arrays = {"time": self.clock()[::stride]}
        for name, y in (("exact", part["y"]), ("network", answer)):
            arrays |= {f"{name}_y1": y[::stride, 0, 0], f"{name}_y2": y[::stride, 0, 1]}
        drawn = Exhibit("series", arrays, ("time",), "1", "the first test trajectory, exact and by the network")
        return {"trajectory": drawn, **super().exhibit(problem, solution)}


def trajectories(start: Tensor, times: Tensor, damping: float, turn: float) -> Tensor:
    """Solutions (times, rows, 2) of y' = A y^3 from `start` (rows, 2), by an explicit method of order 8 at tolerance 1e-10."""
    import numpy as np
    import torch
    from scipy.integrate import solve_ivp

    turned = np.array([[-damping, turn], [-turn, -damping]])

    def slope(t: float, y: Any) -> Any:
        return (y.reshape(2, -1) ** 3).T.dot(turned.T).T.ravel()

    path = solve_ivp(
        slope, (0.0, float(times[-1])), start.T.numpy().ravel(), "DOP853", times.numpy(), rtol=EXACT, atol=EXACT
    )
    return torch.from_numpy(path.y.T.reshape(len(times), 2, -1).transpose(0, 2, 1).copy())
