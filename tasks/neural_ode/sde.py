"""`neural_ode/sde`: drift and noise of an Ornstein-Uhlenbeck process in the plane, from moments of its particles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.contract import BenchError, Exhibit, Log, Problem, Solution
from bench.seeds import Seeds, Stream
from tasks.neural_ode import base
from tasks.neural_ode.base import STEPS, Flow, metrics

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.neural_ode.network import Network
    from tasks.neural_ode.paths import Path

OBSERVED = 4  # times, equally spaced in (0, 1]
MOTION = 20260101  # seed of the increments of every prediction: equal weights give equal numbers


@dataclass
class Params(base.Params):
    """train, val, test: particles. rotation: angular speed of the mean. noise: sigma. The others are the family's."""

    tolerance: float = 3e-3
    steps: int = 300
    depth: int = 1
    required: float = 0.1
    train: int = 512
    val: int = 1024
    test: int = 1024
    rotation: float = 3.0
    noise: float = 0.5


class Sde(Flow):
    """dx = -B (x - m) dt + sigma dW, B = decay + rotation; particles start from a normal law. The loss sees moments alone."""

    name = "neural_ode/sde"
    Params = Params
    quality = "error"
    worst = 10.0
    positive = (*Flow.positive, "train", "val", "test", "noise")
    presets = {
        "smoke": {"width": 8, "steps": 4, "batch": 16, "tolerance": 1e-1, "evaluations": 2, "train": 32, "val": 32, "test": 32,
                  "required": 10.0},
        "small": {},
        "paper": {"width": 64, "steps": 4000, "train": 8192, "val": 8192, "test": 8192, "tolerance": 1e-3},
    }  # fmt: skip
    metrics = metrics(
        "error",
        "root mean square error of the moments of (x(0), x(t)) at four times, in closed form",
        10.0,
    )

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if params.batch > params.train:
            raise BenchError(
                f"task.batch={params.batch}: there are task.train={params.train} particles; take a smaller batch"
            )

    def network(self) -> Network:
        from tasks.neural_ode.network import Field, Network

        return Network(Field(2, self.params.width, self.params.depth, timed=False), 2, noisy=True)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        p, law = self.params, seeds.stream("data", "law")
        decay, mean = 0.8 + 0.4 * law.uniform(1, dtype=torch.float64), law.normal(2, dtype=torch.float64)
        times = self.times()
        system = {"decay": decay, "mean": mean, "rotation": p.rotation, "noise": p.noise}
        hidden: dict[str, dict[str, Any]] = {"law": system}
        for name in ("train", "val", "test"):
            start = start_law(getattr(p, name), seeds.stream("data", name))
            hidden[name] = {"start": start, "moments": exact(start, times, **system)}
        observed = hidden.pop("train")
        particles = simulated(observed["start"], times, seeds.stream("data", "motion"), **system)
        return Problem({"x": particles, "times": times}, hidden)

    def times(self) -> Tensor:
        import torch

        return torch.linspace(0.0, 1.0, OBSERVED + 1, dtype=torch.float64)

    def batches(self, public: Mapping[str, Any], generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        from tasks.neural_ode.network import batches

        x = public["x"]
        for rows in batches(x.shape[1], self.params.batch, generator):
            yield x[0, rows], x[:, rows]

    def question(self, part: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        return part["start"], self.times()

    def solve(self, network: Network, state: Tensor, times: Tensor, generator: Generator, log: Log) -> Path:
        from tasks.neural_ode import ordinary, stochastic

        limit = ordinary.limit_of(STEPS)
        return stochastic.solve(
            network.field, network.noise, state, times, self.params.tolerance, limit, generator, log.count
        )

    def prediction(self, network: Network, state: Tensor, times: Tensor, count: Callable[..., Any] | None) -> Path:
        import torch

        from tasks.neural_ode import ordinary, stochastic

        generator, limit = torch.Generator().manual_seed(MOTION), ordinary.limit_of(STEPS)
        with torch.no_grad():
            return stochastic.solve(
                network.field, network.noise, state, times, self.params.tolerance, limit, generator, count
            )

    def loss(self, answer: Tensor, target: Tensor) -> Tensor:
        return (moments(answer) - moments(target)).square().sum(-1).mean()

    def judge(self, answer: Tensor, part: Mapping[str, Any]) -> float:
        return float((moments(answer) - part["moments"]).square().mean().sqrt())

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Mean and variance of the first coordinate over time, exact and by the network; and where the solver steps."""
        network, part = self.network(), problem.hidden["test"]
        network.load(solution.tensors["weights"])
        state, times = self.question(part)
        answer, law = moments(self.prediction(network, state, times, None).outputs), part["moments"]
        arrays = {"time": times[1:]}
        for name, row in (("exact", law), ("network", answer)):
            arrays |= {f"{name}_mean": row[:, 0], f"{name}_variance": row[:, 2]}
        drawn = Exhibit(
            "series", arrays, ("time",), "1", "mean and variance of the first coordinate, exact and by the network"
        )
        return {"moments": drawn, **super().exhibit(problem, solution)}


def start_law(count: int, stream: Stream) -> Tensor:
    """Starts (count, 2): normal with mean (1, 0) and deviation 0.5."""
    import torch

    return stream.normal(count, 2, dtype=torch.float64) / 2 + torch.tensor([1.0, 0.0], dtype=torch.float64)


def moments(paths: Tensor) -> Tensor:
    """Of paths (times, rows, 2), (times - 1, 10): for each later time mean (2), covariance (4), covariance with the start (4)."""
    import torch

    first, later = paths[0] - paths[0].mean(0), paths[1:] - paths[1:].mean(1, keepdim=True)
    own = torch.einsum("tri,trj->tij", later, later) / len(first)
    lagged = torch.einsum("tri,rj->tij", later, first) / len(first)
    return torch.cat([paths[1:].mean(1), own.flatten(1), lagged.flatten(1)], dim=1)


def propagator(times: Tensor, decay: Tensor, rotation: float) -> Tensor:
    """exp(-B t) (times, 2, 2): a decay times a rotation."""
    import torch

    turn = rotation * times
    rows = torch.stack([turn.cos(), turn.sin(), -turn.sin(), turn.cos()], dim=-1).view(-1, 2, 2)
    return torch.exp(-decay * times)[:, None, None] * rows


def exact(start: Tensor, times: Tensor, decay: Tensor, mean: Tensor, rotation: float, noise: float) -> Tensor:
    """`moments` of the process given these starts, in closed form: the noise's covariance is sigma² (1 - exp(-2 b t)) / (2 b)."""
    import torch

    later = times[1:]
    carried, spread = propagator(later, decay, rotation), torch.cov(start.T, correction=0)
    own = carried @ spread @ carried.transpose(1, 2)
    own = own + (noise**2 * (1 - torch.exp(-2 * decay * later)) / (2 * decay))[:, None, None] * torch.eye(2).to(start)
    centre = mean + torch.einsum("tij,j->ti", carried, start.mean(0) - mean)
    return torch.cat([centre, own.flatten(1), (carried @ spread).flatten(1)], dim=1)


def simulated(
    start: Tensor, times: Tensor, stream: Stream, decay: Tensor, mean: Tensor, rotation: float, noise: float
) -> Tensor:
    """Paths (times, rows, 2) of the process, exact in law, from time to time."""
    import torch

    paths = [start]
    for length in times.diff():
        carried = propagator(length[None], decay, rotation)[0]
        spread = noise * ((1 - torch.exp(-2 * decay * length)) / (2 * decay)).sqrt()
        jump = spread * stream.normal(*start.shape, dtype=torch.float64)
        paths.append(mean + (paths[-1] - mean) @ carried.T + jump)
    return torch.stack(paths)
