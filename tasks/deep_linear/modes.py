"""`deep_linear/modes`: does each mode of the target grow as the closed form says?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.deep_linear.base import INIT

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SPECTRUM = (5.0, 3.0, 1.5, 0.7)
SHOWN = 200  # points in time of the exhibit
FAR = 0.9  # share of a mode's strength at which its delay ends


@dataclass
class Params:
    """target: spectrum (singular values 5, 3, 1.5, 0.7 in random bases of `size` dimensions) or tree (see `tree`).
    hidden: width of every hidden layer. layers: weight matrices D. lr: rate of two layers; D layers take steps of 2 lr/D, so
    that a mode grows as fast at any depth. time: of training, in steps x lr. checkpoints: at which the map is kept.
    """

    target: str = "spectrum"
    size: int = 16
    hidden: int = 32
    layers: int = 2
    lr: float = 1e-3
    time: float = 12.0
    checkpoints: int = 400


def mode_aligned_init(
    *, sizes: Sequence[int], inputs: Tensor, outputs: Tensor, generator: torch.Generator
) -> list[Tensor]:
    """Starting weights [W_1, ..., W_D] that may know the target's singular vectors: inputs (n_0, k), outputs (n_D, k)."""
    raise NotImplementedError


class Modes(Task):
    """A linear network on white inputs learns a map of four modes, or of a tree, by its exact population gradient."""

    name = "deep_linear/modes"
    version = 2
    Params: ClassVar[type] = Params
    presets = {
        "smoke": {"lr": 4e-3, "checkpoints": 100},
        "small": {},
        "paper": {"target": "tree", "lr": 1e-4, "time": 20.0},
    }
    metrics = (
        Metric(
            "trajectory_error", "1", "min",
            "largest |u - theory|/s over modes and times; at least 1 unless every mode crosses s/2 on the way",
            scale="log", diverged=10.0,
        ),
        Metric("mean_error", "1", "min", "mean |u - theory|/s, likewise 1 for a mode that never crosses s/2",
               scale="log", diverged=10.0),
        Metric("half_time_error", "1", "min", "largest relative error of the time at which a mode reaches s/2"),
        Metric("half_time_exponent", "1", "min", "slope of ln(time to s/2) over ln s"),
        Metric("disorder", "1", "min", "share of pairs of modes of which the weaker one is halfway first"),
        Metric("delay", "1", "min", "time of the strongest mode to 0.9 s, over that of infinitely many layers"),
        Metric("coupling", "1", "min", "largest Frobenius norm of what is off the modes' diagonal, over the target's"),
        Metric("conserved_drift", "1", "min", "largest drift of what gradient flow conserves, over the strongest mode"),
        Metric("final_loss", "1", "min", "loss at the end over the loss of the zero map", scale="log", diverged=10.0),
    )  # fmt: skip
    rank = "trajectory_error"
    objective = "mean_error"
    positive = ("hidden", "lr", "time")
    probes = {"strengths": "tasks.deep_linear.modes.strengths"}
    slots = (INIT, Slot("mode_aligned_init", mode_aligned_init, excludes=("deep_linear_init",)))
    floors = ("init_gaussian",)
    reference = "init_mode_aligned"
    margin = 1.0

    @property
    def budget(self) -> Budget:
        p = self.params
        return Budget("steps", max(1, round(p.time / p.lr)))

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        from tasks.deep_linear.network import haar

        p = self.params
        for name, least in (("size", len(SPECTRUM)), ("layers", 2), ("checkpoints", 10)):
            if getattr(p, name) < least:
                raise BenchError(f"task.{name}={getattr(p, name)}: it is at least {least}")
        if p.target == "tree":
            target = tree()
            u, s, vh = torch.linalg.svd(target, full_matrices=False)
            v = vh.T
        elif p.target == "spectrum":
            stream = seeds.stream("data", "target")
            s = torch.tensor(SPECTRUM, dtype=torch.float64)
            u, v = (haar(p.size, len(s), stream) for _ in range(2))
            target = u * s @ v.T
        else:
            raise BenchError(f"task.target={p.target!r}: there are spectrum and tree")
        return Problem({"target": target, "outputs": u, "inputs": v}, {"target": target, "u": u, "s": s, "v": v})

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.deep_linear import network

        p, target, u, v = self.params, public["target"], public["outputs"], public["inputs"]
        sizes = [target.shape[1], *[p.hidden] * (p.layers - 1), target.shape[0]]
        generator = torch.Generator().manual_seed(seeds("init"))
        with log.phase("setup"):
            if parts.get("mode_aligned_init"):
                initial = parts["mode_aligned_init"](sizes=sizes, inputs=v, outputs=u, generator=generator)
            else:
                initial = parts["deep_linear_init"](sizes=sizes, generator=generator)
            weights = network.checked(initial, sizes)
            log.count(parameters=sum(w.numel() for w in weights))
        first, start = network.invariants(weights), starts(weights, u, v)
        rate, total = 2 * p.lr / p.layers, self.budget.limit
        marks = sorted({round(i * total / p.checkpoints) for i in range(p.checkpoints + 1)})
        maps, drift, done = [], 0.0, 0
        for mark in marks:
            log.count(steps=mark - done)
            for _ in range(done, mark):
                network.step(weights, target, rate)
            done = mark
            maps.append(network.product(weights))
            now = network.invariants(weights)
            drift = max(drift, *(float((a - b).norm()) for a, b in zip(now, first, strict=True)))
            log.track(mark, loss=float(network.loss(target, maps[-1])))
            log.probe(mark, whole=maps[-1], u=u, v=v)
        times = torch.tensor(marks, dtype=torch.float64) * p.lr
        tensors = {"times": times, "maps": torch.stack(maps), "start": start, "drift": times.new_tensor(drift)}
        return Solution(tensors=tensors)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.deep_linear.trajectories import judged

        return judged(solution.tensors, problem.hidden, self.params.layers)

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        import torch

        from tasks.deep_linear.trajectories import expected, projected

        tensors = solution.tensors
        amplitudes = projected(tensors, problem.hidden).diagonal(dim1=1, dim2=2)
        theory = torch.from_numpy(expected(tensors, problem.hidden, self.params.layers))
        every = -(-len(amplitudes) // SHOWN)
        series = {"network": amplitudes, "theory": theory, "time": tensors["times"]}
        arrays = {name: values[::every].float() for name, values in series.items()}
        return {
            "modes": Exhibit("series", arrays, ("time", "mode"), "1", "strength of each mode, and the closed form's")
        }


def tree() -> Tensor:
    """The map (15 features, 8 items) of a binary tree: each of its 15 nodes is a feature of every leaf below it.

    Items are unit vectors, hence white. Its modes are the tree's distinctions: one of s^2 = 15 (what all share), one of 7,
    two of 3, four of 1, from the broadest to the finest.
    """
    import torch

    rows = [[float(leaf >> (3 - level) == node) for leaf in range(8)] for level in range(4) for node in range(2**level)]
    return torch.tensor(rows, dtype=torch.float64)


def starts(weights: Sequence[Tensor], u: Tensor, v: Tensor) -> Tensor:
    """Strengths (k,) from which the theory starts.

    Two layers: |W_1 v + W_2^T u|^2/4. Of the two parts of a mode, a = W_1 v and b = W_2^T u, their sum grows and their
    difference dies out, so this is where a balanced mode of the same growth would have started. More layers: |u^T W v|.
    """
    if len(weights) == 2:
        return ((weights[0] @ v + weights[1].T @ u) / 2).square().sum(dim=0)
    from tasks.deep_linear.network import product

    return (u * (product(weights) @ v)).sum(dim=0).abs()


def strengths(whole: Tensor, u: Tensor, v: Tensor) -> dict[str, float]:
    """Probe: the network's strength u_a^T W v_a in each mode a, from the strongest mode down."""
    return {f"mode_{i + 1}": float(value) for i, value in enumerate((u * (whole @ v)).sum(dim=0))}
