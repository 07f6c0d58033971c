"""The slots that the tasks of the family share, as typed stubs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bench import slots
from bench.contract import Slot

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tasks.zeroth_order.network import Network
    from tasks.zeroth_order.oracles import NetworkOracle, Oracle


def estimator(*, dimension: int, evaluations: int, generator: Generator) -> Callable[[Oracle, Tensor], Tensor]:
    """An estimator, oracle, point (d,) -> estimate of the gradient (d,), from at most `evaluations` evaluations a call.

    Its attribute `second_moment` is the mean of |estimate|^2 over |gradient|^2. generator: of all that it draws.
    """
    raise NotImplementedError


def rule(*, network: Network, generator: Generator) -> Callable[[NetworkOracle, Tensor], Tensor]:
    """A learning rule, oracle, weights (d,) -> direction (d,) that stands for the gradient. It sees the network's units."""
    raise NotImplementedError


def searcher(*, dimension: int, evaluations: int, generator: Generator) -> Callable[[Oracle, Tensor], Tensor]:
    """A method with steps of its own, oracle, point (d,) -> the next point (d,), which may be the same tensor changed in place.

    evaluations: of the whole run.
    """
    raise NotImplementedError


TWO_POINT = {"_target_": "tasks.zeroth_order.estimators.Differences"}
SGD = {"_target_": "bench.optim.named", "name": "SGD", "lr": 0.003}
ESTIMATOR = Slot("estimator", estimator, TWO_POINT)
RULE = Slot("rule", rule, excludes=("estimator",))
SEARCHER = Slot("searcher", searcher, excludes=("estimator",))
TRAINING = (
    ESTIMATOR,
    RULE,
    Slot("optimizer", slots.optimizer, SGD),
    Slot("searcher", searcher, excludes=("estimator", "rule", "optimizer")),
)


def chosen(parts: Any) -> str:
    """The name of the slot that makes the steps or estimates of this run."""
    return next(name for name in ("searcher", "rule", "estimator") if parts.get(name) is not None)
