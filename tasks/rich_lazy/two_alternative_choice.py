"""`rich_lazy/two_alternative_choice`: which of two noisy stimuli is stronger?"""

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
    """stimulus: steps of evidence before the decision."""

    stimulus: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stimulus < 1:
            raise BenchError(f"task.stimulus={self.stimulus}: a choice needs at least one step of evidence")


class TwoAlternativeChoice(base.Recurrent):
    """Seven steps of evidence of coherence 0 to 0.512, then the choice (perceptual decision making)."""

    name = "rich_lazy/two_alternative_choice"
    version = 2
    Params: ClassVar[type] = Params
    presets = {
        "smoke": {"hidden": 24, "steps": 60, "val": 200, "test": 400, "watched": 8, "evaluations": 2},
        "small": {},
        "paper": {"hidden": 300, "steps": 10000},
    }
    slots = shared_slots(lr=0.003, momentum=0.9)
    margin = 0.8

    def trials(self, count: int, stream: Stream) -> tuple[Tensor, Tensor]:
        from tasks.rich_lazy.trials import two_alternative_choice

        return two_alternative_choice(count, self.params.stimulus, stream)
