"""What the tasks share: the slot, the metrics, training under a cap, and the score of solves that arrive one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contract import (
    BenchError,
    Budget,
    Curves,
    Exhausted,
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
    from torch import Generator, Tensor

    from tasks.linear_solver.conjugate import Prepare
    from tasks.linear_solver.scoring import Counts
    from tasks.linear_solver.systems import System

WORST = 1e4  # products of a solve that a failed cell counts as; above every preset's budget
SHOWN = 64  # cells along a side of a picture, at most
KINDS = ("gaussian", "dipole", "white", "affine")


def linear_solver(*, system: System, generator: Generator) -> Iterator[Prepare]:
    """Trains on `system`, of which every product is charged, and yields the solver so far as often as it likes; the last counts.

    What is yielded is prepare(system) -> solve, solve(b) -> iterator of (x (*shape), the solver's own norm of b - A x), without
    end or until nothing is left to do. The system that is to be solved arrives after training, its right-hand sides one by one.
    """
    raise NotImplementedError


SLOT = Slot("linear_solver", linear_solver, {"_target_": "tasks.linear_solver.conjugate.gradients"})
METRICS = (
    Metric("products", "products", "min", "products with A a solve until |b - A x| <= 1e-4 |b|, the geometric mean over test "
           "right-hand sides; one that is not solved counts as the budget", scale="log", diverged=WORST),
    Metric("val_products", "products", "min", "the same on validation right-hand sides", scale="log", diverged=WORST),
    Metric("tight_products", "products", "min", "products until 1e-8", scale="log", diverged=WORST),
    *(Metric(f"products_{kind}", "products", "min", f"products until 1e-4 on {kind} right-hand sides", scale="log",
             diverged=WORST) for kind in KINDS),
    Metric("solved", "1", "max", "share of test right-hand sides that reach 1e-4 within the budget", diverged=0.0, sample="test"),
    Metric("over_cg", "1", "min", "products until 1e-4 over those of conjugate gradients, geometric mean", scale="log",
           diverged=WORST),
    Metric("training_products", "products", "min", "products with A in training; one whose derivative is taken counts 2"),
    Metric("setup_products", "products", "min", "products with A in the set-ups of all systems that are solved"),
    Metric("break_even", "solves", "min", "solves until 1e-4 after which training and set-up are repaid by products that "
           "conjugate gradients would have spent more; undefined where none are", scale="log"),
)  # fmt: skip


@dataclass
class Params:
    """side: cells along each axis of the systems that are solved. trained_on: of the one for training; 0 is the same. val, test:
    right-hand sides, of four kinds in turn. products: the budget of a solve. training: products that training may take, and
    as many a set-up. evaluations: of validation products during training.
    """

    side: int = 32
    trained_on: int = 0
    val: int = 4
    test: int = 8
    products: int = 400
    training: int = 30000
    evaluations: int = 4


class LinearSolver(Task):
    """Solve A x = b for many b after training on one A. Subclasses say in which domains."""

    Params: ClassVar[type] = Params
    slots: ClassVar[tuple[Slot, ...]] = (SLOT,)
    metrics: ClassVar[tuple[Metric, ...]] = METRICS
    rank = "products"
    objective = "val_products"
    positive: ClassVar[tuple[str, ...]] = ("val", "test", "products", "training", "evaluations")
    floors = ("cg",)
    reference = "amg_cg"
    margin = 1.0
    dims: ClassVar[int] = 2
    boundary: ClassVar[str] = "dirichlet"

    def __init__(self, params: Any) -> None:
        super().__init__(params)
        for name in ("side", "trained_on"):
            if not (getattr(params, name) >= 4 or name == "trained_on" and params.trained_on == 0):
                raise BenchError(f"task.{name}={getattr(params, name)}: it has to be 4 or more for {self.name}")

    @property
    def budget(self) -> Budget:
        p = self.params
        return Budget("products", (p.val + p.test) * p.products)

    def domains(self, name: str, count: int, seeds: Seeds) -> Tensor:
        """Domains (count, *shape), bool, of the set `name`: here the whole square or cube."""
        import torch

        return torch.ones((count,) + (self.params.side,) * self.dims, dtype=torch.bool)

    def problem(self, data: Any, seeds: Seeds) -> Problem:
        import torch

        from tasks.linear_solver import sources
        from tasks.linear_solver.systems import System

        hidden: dict[str, Tensor] = {}
        for name, count in (("val", self.params.val), ("test", self.params.test)):
            domains = self.domains(name, count, seeds)
            stream = seeds.stream("data", name)
            hidden[name] = torch.stack(
                [
                    sources.right_hand_side(KINDS[i % len(KINDS)], System(domain, self.boundary), stream)
                    for i, domain in enumerate(domains)
                ]
            )
            hidden[f"domains_{name}"] = domains
        return Problem({"side": self.params.trained_on or self.params.side}, hidden)

    def run(self, public: Mapping[str, Any], parts: Mapping[str, Any], log: Log, seeds: EntrySeeds) -> Solution:
        """Train until the part ends or its products are spent; evaluate the solver at about equal shares of them."""
        import torch

        from tasks.linear_solver.serving import Server
        from tasks.linear_solver.systems import Meter, System

        p = self.params
        meter = Meter(log, "training_products", p.training)
        system = System(torch.ones((public["side"],) * self.dims, dtype=torch.bool), self.boundary, meter)
        generator = torch.Generator().manual_seed(seeds("order"))
        prepare, evaluated = None, 0
        try:
            for prepare in parts["linear_solver"](system=system, generator=generator):
                if meter.spent * p.evaluations >= p.training * (evaluated + 1):
                    evaluated = meter.spent * p.evaluations // p.training
                    early = Server(prepare, self.boundary, log, p.products, p.training, charged=False)
                    log.evaluate(meter.spent, early.solve)
        except Exhausted:
            pass
        if prepare is None:
            raise BenchError(
                f"the part yielded no solver within task.training={p.training} products; yield one, or raise it"
            )
        return Solution(Server(prepare, self.boundary, log, p.products, p.training, charged=True).solve)

    def monitor(self, problem: Problem, predict: Callable[..., Any]) -> dict[str, float]:
        from tasks.linear_solver.scoring import geometric

        return {"val_products": geometric(self.counts(problem, "val", predict).products[:, 0])}

    def counts(self, problem: Problem, name: str, predict: Callable[..., Any]) -> Counts:
        """What `predict` takes for the set `name`."""
        from tasks.linear_solver import scoring

        hidden = problem.hidden
        return scoring.counts(hidden[name], hidden[f"domains_{name}"], self.boundary, predict, self.params.products)

    def score(self, problem: Problem, solution: Solution, log: Curves) -> dict[str, float | None]:
        from tasks.linear_solver import scoring

        predict, hidden = solution.require_predict(), problem.hidden
        scores: dict[str, float | None] = dict(self.monitor(problem, predict))
        own = self.counts(problem, "test", predict)
        rival = scoring.conjugate_gradients(hidden["test"], hidden["domains_test"], self.boundary, self.params.products)
        loose, tight = own.products.T
        for place, kind in enumerate(KINDS):
            kind_counts = loose[place :: len(KINDS)]
            scores[f"products_{kind}"] = scoring.geometric(kind_counts) if len(kind_counts) else None
        training, setup = (int(log.counts.get(f"{name}_products", 0)) for name in ("training", "setup"))
        return scores | {
            "products": scoring.geometric(loose),
            "tight_products": scoring.geometric(tight),
            "solved": float(own.solved[:, 0].double().mean()),
            "over_cg": scoring.geometric(loose / rival.products[:, 0]),
            "training_products": float(training),
            "setup_products": float(setup),
            "break_even": scoring.break_even(loose, rival.products[:, 0], training + setup),
        }

    def exhibit(self, problem: Problem, solution: Solution) -> Mapping[str, Exhibit]:
        """A solution, and the residual of a right-hand side of each kind against iterates."""
        import torch

        answers = [
            solution.require_predict()(b, domain)
            for b, domain in zip(problem.hidden["test"][: len(KINDS)], problem.hidden["domains_test"], strict=False)
        ]
        longest = max(len(answer["history"]) for answer in answers)
        arrays = {"iterate": torch.arange(longest)}
        for kind, answer in zip(KINDS, answers, strict=False):
            sizes = answer["history"][:, 1]
            arrays[kind] = torch.cat([sizes, sizes[-1].repeat(longest - len(sizes))])
        doc = "relative residual by the solver's own account, against iterates, for a right-hand side of each kind"
        shown = {"residuals": Exhibit("series", arrays, ("iterate",), "1", doc)}
        x = answers[0]["x"][0]
        if not x.isnan().any():  # which it is where the first right-hand side was not solved
            field = x if x.dim() == 2 else x[len(x) // 2]
            step = -(-len(field) // SHOWN)
            about = "the first test solution at 1e-4; of a cube, its middle"
            shown["solution"] = Exhibit("field", {"x": field[::step, ::step]}, ("row", "column"), "1", about)
        return shown
