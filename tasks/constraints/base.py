"""What the tasks share: parameters, slots, metrics, the run, and scores by differences of what the entry answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench import slots
from bench.contract import (
    BenchError,
    Budget,
    Curves,
    Diverged,
    Exhibit,
    Log,
    Metric,
    Problem,
    Slot,
    Solution,
    Task,
)
from bench.seeds import EntrySeeds, Seeds

if TYPE_CHECKING:
    from torch import Tensor

    from tasks.constraints.equations import Equation
    from tasks.constraints.system import Constraint, System

WORST = 10.0  # what a diverged run counts as, relative to the solution's norm
STEP = 1e-4  # of the differences by which the scorer takes derivatives of an answer; their error is of order STEP^2
BESIDE = 1e-7  # how far beside an edge the field is read


def physics_constraint(*, system: System) -> Constraint:
    """How the equation is imposed: an object with `edges`, `loss(parameters)` or None, and `field(parameters, t, x)`.

    system: the points, the basis functions and counted least squares (`tasks.constraints.system.System`).
    """
    raise NotImplementedError


CONSTRAINT = Slot("physics_constraint", physics_constraint, {"_target_": "tasks.constraints.soft.Penalty"})
SLOTS = (
    CONSTRAINT,
    Slot("optimizer", slots.optimizer, {"_target_": "bench.optim.named", "name": "Adam", "lr": 1e-2}),
    Slot("schedule", slots.schedule, {"_target_": "bench.schedules.cosine"}),
)
METRICS = (
    Metric("test_error", "1", "min", "L2 error on new problems over the solution's norm, mean over problems", "log",
           diverged=WORST),
    Metric("val_error", "1", "min", "the same on validation problems", "log", diverged=WORST),
    Metric("residual", "1", "min", "root mean square of the equation's residual at the grid's points, by differences of the "
           "answer, never across an edge", "log", diverged=1e3),
    Metric("condition_error", "1", "min", "the same of the initial and boundary conditions", "log", diverged=1e3),
    Metric("jump", "1", "min", "root mean square of the field's jumps at the edges between experts", "log"),
    Metric("slope_jump", "1", "min", "the same of the slope's jumps", "log"),
    Metric("iterations", "iterations", "min", "of least squares for an expert and a test problem", "log"),
    Metric("path_rows", "rows", "min", "iterations times rows of the longest expert of a test problem: the critical path", "log"),
    Metric("all_rows", "rows", "min", "iterations times rows of all experts of a test problem", "log"),
    Metric("unconverged", "1", "min", "share of all least-squares problems, of training and test, that met the limit"),
    Metric("gradient_spread", "1", "min", "standard deviation of the logarithm of the gradient's norm in the second half of "
           "training"),
)  # fmt: skip


@dataclass
class Params:
    """basis: functions. width, depth: of the hidden layers. times, columns: of the grid. batch: problems of a step. iterations:
    the most of a least-squares solve, tolerance: where it ends, ridge: weight of |w|. val, test: problems.
    """

    basis: int = 16
    width: int = 32
    depth: int = 3
    times: int = 21
    columns: int = 34
    batch: int = 4
    steps: int = 200
    iterations: int = 50
    tolerance: float = 1e-3
    ridge: float = 1e-4
    val: int = 4
    test: int = 8
    evaluations: int = 4


class Constrained(Task):
    """Basis functions of (parameters, t, x), of which fields that obey an equation are made, without data."""

    Params: ClassVar[type] = Params
    slots: ClassVar[tuple[Slot, ...]] = SLOTS
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    rank = "test_error"
    objective = "val_error"
    positive: ClassVar[tuple[str, ...]] = (
        "basis", "width", "depth", "times", "columns", "batch", "steps", "iterations", "tolerance", "val", "test", "evaluations",
    )  # fmt: skip
    floors = ("initial_field",)
    reference = "finite_differences"
    least_columns: ClassVar[int] = 5
    least_times: ClassVar[int] = 2

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        if not params.ridge >= 0:
            raise BenchError(f"task.ridge={params.ridge}: it may not be negative")
        if params.columns < self.least_columns:
            raise BenchError(f"task.columns={params.columns}: differences want at least {self.least_columns} columns")
        if params.times < self.least_times:
            raise BenchError(f"task.times={params.times}: a field that changes wants at least {self.least_times} times")

    @property
    def budget(self) -> Budget:
        return Budget("steps", self.params.steps)

    @abstractmethod
    def equation(self) -> Equation:
        """The equation with this task's parameters."""

    @abstractmethod
    def solution(self, parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """The solutions (C, T, X) of problems with parameters (C, p) at times t (T,), ascending and above 0, and x (X,)."""

    def grid(self, refined: int = 1) -> tuple[Tensor, Tensor]:
        """(times (T,), columns (X,)), both with `refined` times as many intervals."""
        import torch

        p, equation = self.params, self.equation()
        times = torch.linspace(0, 1, 1 if equation.steady else refined * (p.times - 1) + 1, dtype=torch.float64)
        if equation.periodic:
            return times, torch.arange(refined * p.columns, dtype=torch.float64) / (refined * p.columns)
        return times, torch.linspace(0, 1, refined * (p.columns - 1) + 1, dtype=torch.float64)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """Nothing is public but the equation; validation and test problems are drawn from streams of their own."""
        import torch

        equation, (times, columns) = self.equation(), self.grid(refined=2)
        times = times if equation.steady else times[1:]
        hidden: dict[str, Any] = {"times": times, "columns": columns}
        for name in ("val", "test"):
            uniform = seeds.stream("data", name).uniform(
                getattr(self.params, name), equation.count, dtype=torch.float64
            )
            parameters = equation.draw(uniform)
            hidden[name] = {"parameters": parameters, "fields": self.solution(parameters, times, columns)}
        return Problem({}, hidden)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        """Draws a batch of problems a step; the problems' law is known, their solutions are not."""
        import torch

        from bench.train import fit, served
        from tasks.constraints.network import Basis
        from tasks.constraints.system import Limits, System

        p, equation = self.params, self.equation()
        with log.phase("setup"):
            network = Basis(equation.count, p.basis, p.width, p.depth, equation.periodic)
            basis = lambda parameters, t, x: network(equation.scaled(parameters), t, x)  # noqa: E731
            system = System(equation, self.grid(), basis, p.basis, log, Limits(p.iterations, p.tolerance, p.ridge))
            constraint = parts["physics_constraint"](system=system)
            tensors = {"edges": constraint.edges}
        if constraint.loss is None:
            predict = served(network, None, constraint.field)
            log.evaluate(0, predict)
            return Solution(predict, tensors)
        norms: list[Tensor] = []
        for weights in network.parameters():
            weights.register_hook(lambda gradient: norms.append(gradient.square().sum()))

        def at_step(step: int) -> None:
            log.track(step, gradient_norm=float(sum(norms)) ** 0.5)
            norms.clear()

        draws = torch.Generator().manual_seed(seeds("order"))
        batches = (
            equation.draw(torch.rand(p.batch, equation.count, generator=draws, dtype=torch.float64))
            for _ in range(p.steps)
        )
        solution = fit(
            network, parts["optimizer"](model=network, steps=p.steps), constraint.loss, batches, p.steps, log,
            forward=constraint.field, schedule=parts["schedule"], eval_every=max(1, p.steps // p.evaluations), at_step=at_step,
        )  # fmt: skip
        return Solution(solution.predict, tensors)

    def error(self, problem: Problem, predict: Callable[..., Any], name: str) -> float:
        """Relative L2 error on the set `name`, val or test, mean over its problems."""
        hidden, made = problem.hidden, problem.hidden[name]
        fields = made["fields"]
        answer = answered(predict, made["parameters"], hidden["times"], hidden["columns"])
        return float(((answer - fields).flatten(1).norm(dim=1) / fields.flatten(1).norm(dim=1)).mean())

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        return {"val_error": self.error(problem, predict, "val")}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        predict = solution.require_predict()
        scores: dict[str, float | None] = dict.fromkeys((metric.name for metric in self.metrics), None)
        scores |= {"test_error": self.error(problem, predict, "test"), "val_error": self.error(problem, predict, "val")}
        scores |= self.violations(problem, predict) | self.jumps(problem, predict, solution.tensors.get("edges"))
        counts = log.counts
        if cases := counts.get("served_cases"):
            scores["iterations"] = counts["served_iterations"] / counts["served_solves"]
            scores |= {name: counts[f"served_{name}"] / cases for name in ("path_rows", "all_rows")}
        if solves := counts.get("served_solves", 0) + counts.get("solves", 0):
            scores["unconverged"] = (counts.get("served_unconverged", 0) + counts.get("unconverged", 0)) / solves
        return scores | {"gradient_spread": spread(*log.curve("gradient_norm"))}

    def violations(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float | None]:
        """How far the answer is from the equation and its conditions, from its values alone."""
        import torch

        equation, (times, columns) = self.equation(), self.grid()
        t, x = times.repeat_interleave(len(columns)), columns.repeat(len(times))
        parameters = problem.hidden["test"]["parameters"]
        steps = torch.tensor([0.0, -STEP, STEP], dtype=torch.float64)
        wide_t = times if equation.steady else (times[:, None] + steps).flatten()
        wide_x = (columns[:, None] + steps).flatten()
        wide = answered(predict, parameters, wide_t, wide_x)
        wide = wide.view(len(parameters), len(times), -1, len(columns), 3)
        u, before, after = wide[:, :, 0].unbind(-1)
        u_t = torch.zeros_like(u) if equation.steady else (wide[:, :, 2, :, 0] - wide[:, :, 1, :, 0]) / (2 * STEP)
        jets = torch.stack([u, u_t, (after - before) / (2 * STEP), (after - 2 * u + before) / STEP**2], dim=1).flatten(
            2
        )
        places = (t.expand(len(parameters), -1), x.expand(len(parameters), -1))
        on, none = equation.conditioned(t, x), equation.singular(t, x)
        rows = {
            "residual": equation.residual(jets, parameters, *places)[:, ~on],
            "condition_error": equation.condition(jets, parameters, *places)[:, on & ~none],
        }
        return {name: float(values.square().mean().sqrt()) for name, values in rows.items()}

    def jumps(self, problem: Problem, predict: Callable[..., Any], edges: Any) -> dict[str, float | None]:
        """Root mean squares of the jumps in value and slope at the edges that the entry names; None without edges."""
        import torch

        if not isinstance(edges, torch.Tensor) or edges.ndim != 1:
            raise BenchError(
                f"{self.name}: the solution has no tensor `edges` of one dimension; give an empty one for none"
            )
        if not len(edges):
            return {}
        places = [edges + beside for beside in (-BESIDE - STEP, -BESIDE, BESIDE, BESIDE + STEP)]
        hidden = problem.hidden
        answer = answered(predict, hidden["test"]["parameters"], hidden["times"], torch.cat(places) % 1.0)
        far_left, left, right, far_right = answer.chunk(4, dim=-1)
        slope = (far_right - right) / STEP - (left - far_left) / STEP
        return {"jump": float((right - left).square().mean().sqrt()), "slope_jump": float(slope.square().mean().sqrt())}

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """The field of the first test problem and its error, on the grid; along x where there is no time."""
        hidden = problem.hidden
        times, columns, fields = hidden["times"], hidden["columns"], hidden["test"]["fields"][0]
        answer = answered(solution.require_predict(), hidden["test"]["parameters"][:1], times, columns)[0]
        if self.equation().steady:
            arrays = {"x": columns, "answer": answer[0], "solution": fields[0]}
            return {"solution": Exhibit("series", arrays, ("x",), "1", "first test problem: answer and solution")}
        arrays = {"t": times[1::2], "x": columns, "answer": answer[1::2], "error": (answer - fields)[1::2]}
        return {
            "field": Exhibit(
                "field", arrays, ("t", "x"), "1", "first test problem: answer, and what it is above the solution"
            )
        }


def answered(predict: Callable[..., Any], parameters: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The entry's field (C, T, X) in float64. BenchError for anything else; Diverged for NaN and infinity."""
    import torch

    answer = predict(parameters, t, x)
    wanted = (len(parameters), len(t), len(x))
    if not isinstance(answer, torch.Tensor) or tuple(answer.shape) != wanted:
        got = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
        raise BenchError(f"the field is {got}; wanted a tensor of shape {wanted}, problems, times and columns")
    if not bool(answer.isfinite().all()):
        raise Diverged("the field holds numbers that are not finite")
    return answer.to(torch.float64)


def spread(steps: list[int], norms: list[float]) -> float | None:
    """Standard deviation of the logarithm of the second half of `norms`; None for fewer than four that are above 0."""
    import math

    logs = [math.log(norm) for norm in norms[len(norms) // 2 :] if norm > 0]
    if len(logs) < 4:
        return None
    mean = sum(logs) / len(logs)
    return (sum((value - mean) ** 2 for value in logs) / (len(logs) - 1)) ** 0.5
