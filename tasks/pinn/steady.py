"""What the tasks of steady flows share: slots, metrics, the run, and how a velocity field is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import BenchError, Budget, Curves, Exhibit, Log, Metric, Problem, Slot, Solution, Task
from bench.seeds import EntrySeeds, Seeds
from tasks.pinn.base import WORST, Pinn

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tasks.pinn.flow import Flow, FlowPoints

APART = 1e-4  # of the central differences by which a divergence is measured
SHOWN = 28  # places of an exhibit along each side


@dataclass
class Common:
    """evals: evaluations of the loss with its gradient, the budget. points: collocation points inside; edges: those on each side.
    tests: points of the test set, and of the validation set. evaluations: on the way."""

    evals: int = 1000
    points: int = 1000
    edges: int = 40
    width: int = 24
    layers: int = 4
    tests: int = 2500
    evaluations: int = 20


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "smoke": {"evals": 16, "points": 64, "edges": 8, "width": 8, "layers": 2, "tests": 100, "evaluations": 2},
    "small": {},
    "paper": {"evals": 50000, "points": 10000, "edges": 200, "width": 64, "layers": 6},
}


def flow_formulation(*, flow: Flow, plane: Callable[..., Any], points: FlowPoints) -> nn.Module:
    """A module whose `loss()` is minimised over its parameters and whose call (x, y), each (n,), gives u, v, p (n, 3), float64.

    flow: of `tasks.pinn.flow`, which knows the velocity on the sides. plane(outputs=): a new network with `jets(x, y)` and
    `taylor(x, y, directions)`. One without parameters is not trained.
    """
    raise NotImplementedError


METRICS = (
    Metric("error", "1", "min", "L2 error of the velocity over its L2 norm, at test points inside", scale="log", diverged=WORST,
           resolution=1e-8),
    Metric("val_error", "1", "min", "the same at validation points", scale="log", diverged=WORST, resolution=1e-8),
    Metric("error_u", "1", "min", "the same of u alone, at test points", scale="log"),
    Metric("error_v", "1", "min", "of v alone", scale="log"),
    Metric("error_p", "1", "min", "of the pressure, both without their means; undefined where it is not known", scale="log"),
    Metric("wall_error", "1", "min", "largest difference from the velocity on the sides, at 200 points of each"),
    Metric("divergence", "1", "min", "root mean square of u_x + v_y at test points, by central differences", scale="log"),
    Metric("loss", "1", "min", "least loss; losses of different formulations do not compare", scale="log"),
)  # fmt: skip


class SteadyFlow(Task):
    """A steady flow with given velocity on the four sides of a rectangle. Seeds draw points."""

    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = PRESETS
    rank = "error"
    objective = "val_error"
    positive: ClassVar[tuple[str, ...]] = ("evals", "points", "edges", "width", "layers", "tests", "evaluations")
    slots = (
        Slot("flow_formulation", flow_formulation, {"_target_": "baselines.pinn.flows.Soft"}),
        *Pinn.slots[1:],
    )
    floors = ("flow_lift",)
    reference = "flow_hard"
    margin = 1.0

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        self.flow()  # its own checks

    @property
    def budget(self) -> Budget:
        return Budget("evals", self.params.evals)

    def flow(self) -> Flow:
        """The flow of the task's parameters. BenchError, naming the parameter, for one that is none."""
        raise NotImplementedError

    def solution(self, x: Tensor, y: Tensor) -> Tensor:
        """u, v, and p where it is known, (n, 2) or (n, 3), at points (n,)."""
        raise NotImplementedError

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        """public: collocation points; hidden: test and validation points with the solution there."""
        import torch

        p, flow = self.params, self.flow()
        corner, far = (torch.tensor(place, dtype=torch.float64) for place in (flow.corner, flow.far))

        def drawn(name: str, count: int) -> Tensor:
            return corner + (far - corner) * seeds.stream("data", name).uniform(count, 2, dtype=torch.float64)

        inside = drawn("points", p.points)
        share = (torch.arange(p.edges, dtype=torch.float64) + 0.5) / p.edges
        hidden = {}
        for name in ("test", "val"):
            places = drawn(name, p.tests)
            hidden[name] = {"places": places, "fields": self.solution(*places.unbind(-1))}
        return Problem({"x": inside[:, 0], "y": inside[:, 1], "edge": share}, hidden)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        import torch

        from tasks.pinn.flow import FlowPoints
        from tasks.pinn.network import Plane
        from tasks.pinn.objective import train

        p, flow = self.params, self.flow()
        with log.phase("setup"):
            points = FlowPoints(*(public[name] for name in FlowPoints._fields))
            torch.manual_seed(seeds("init"))
            plane = partial(Plane, width=p.width, layers=p.layers, corner=flow.corner, far=flow.far)
            module = parts["flow_formulation"](flow=flow, plane=plane, points=points)
        return train(module, parts, log, p)

    def fields(self, predict: Callable[..., Any], x: Tensor, y: Tensor) -> Tensor:
        """What `predict` gives at x, y (n,): (n, 3) float64. BenchError if it is of another shape."""
        answer = predict(x, y)
        if answer.shape != (len(x), 3):
            shape = tuple(answer.shape)
            raise BenchError(f"{self.name}: the answer has shape {shape} at {len(x)} points; it wants u, v, p at each")
        return answer.double()  # type: ignore[no-any-return]

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        held = problem.hidden["val"]
        return {"val_error": relative(self.fields(predict, *held["places"].unbind(-1))[:, :2], held["fields"][:, :2])}

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        predict, held = solution.require_predict(), problem.hidden["test"]
        (x, y), exact = held["places"].unbind(-1), held["fields"]
        answer, loss = self.fields(predict, x, y), solution.tensors.get("loss")
        ahead, behind = (self.fields(predict, x + side * APART, y) for side in (1, -1))
        above, below = (self.fields(predict, x, y + side * APART) for side in (1, -1))
        spread = (ahead[:, 0] - behind[:, 0] + above[:, 1] - below[:, 1]) / (2 * APART)
        known = exact.shape[1] > 2
        return {
            "error": relative(answer[:, :2], exact[:, :2]),
            "val_error": self.monitor(problem, predict)["val_error"],
            "error_u": relative(answer[:, 0], exact[:, 0]),
            "error_v": relative(answer[:, 1], exact[:, 1]),
            "error_p": relative(centred(answer[:, 2]), centred(exact[:, 2])) if known else None,
            "wall_error": self.wall_error(predict),
            "divergence": float(spread.square().mean().sqrt()),
            "loss": None if loss is None else float(loss),
        }

    def wall_error(self, predict: Callable[..., Any]) -> float:
        """The largest difference from the velocity on the sides."""
        import torch

        from tasks.pinn.flow import SIDES

        flow, share = self.flow(), torch.linspace(0, 1, 200, dtype=torch.float64)
        errors = []
        for side in SIDES:
            given = torch.stack(flow.trace(side, share), dim=-1)
            errors.append(float((self.fields(predict, *flow.side(side, share))[:, :2] - given).abs().max()))
        return max(errors)

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """Both components of the velocity as fields."""
        import torch

        flow, predict = self.flow(), solution.require_predict()
        axes = [torch.linspace(a, b, SHOWN, dtype=torch.float64) for a, b in zip(flow.corner, flow.far, strict=True)]
        x, y = (part.flatten() for part in torch.meshgrid(*axes, indexing="xy"))
        answer, exact = self.fields(predict, x, y), self.solution(x, y)
        doc = "solution and answer, rows of y"
        return {
            name: Exhibit(
                "field",
                {
                    "exact": exact[:, i].float().view(SHOWN, SHOWN), "answer": answer[:, i].float().view(SHOWN, SHOWN),
                    "x": axes[0], "y": axes[1],
                },
                ("y", "x"), "1", f"{name} of {doc}",
            )
            for i, name in enumerate(("u", "v"))
        }  # fmt: skip


def centred(values: Tensor) -> Tensor:
    """Less their mean."""
    return values - values.mean()


def relative(answer: Tensor, exact: Tensor) -> float:
    """The L2 norm of the difference over that of `exact`."""
    return float((answer - exact).norm() / exact.norm())
