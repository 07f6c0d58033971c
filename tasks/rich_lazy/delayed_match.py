"""`rich_lazy/delayed_match`: is the second stimulus the first one again, after a delay?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.contract import BenchError
from tasks.rich_lazy import base
from tasks.rich_lazy.parts import shared_slots

if TYPE_CHECKING:
    from torch import Tensor

    from bench.seeds import Stream


@dataclass
class Params(base.Params):
    """delay: steps between sample and test."""

    delay: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delay < 0:
            raise BenchError(f"task.delay={self.delay}: the test cannot come before the sample; 0 is right after it")


class DelayedMatch(base.Recurrent):
    """One step of sample, five of delay, one of test, one of decision (delayed match to sample)."""

    name = "rich_lazy/delayed_match"
    version = 2
    Params: ClassVar[type] = Params
    presets = {
        "smoke": {"hidden": 24, "steps": 60, "val": 200, "test": 400, "watched": 8, "evaluations": 2},
        "small": {"steps": 3000},
        "paper": {"hidden": 300, "steps": 10000},
    }
    slots = shared_slots(lr=0.003, momentum=0.9)
    margin = 2.0

    def trials(self, count: int, stream: Stream) -> tuple[Tensor, Tensor]:
        from tasks.rich_lazy.trials import delayed_match

        return delayed_match(count, self.params.delay, stream)
