"""What a batch regime may change."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """The task's default way to train; a regime is a function from one recipe to another.

    batch: samples an update. base: the small batch that rates and epochs are stated for. lr: peak rate. epochs: passes
    over the data. drops: fractions of the run at which the rate falls to a tenth. clip: bound on the gradient's norm,
    0 for none. ghost: samples that batch norm sees at a time, 0 for the whole batch.
    """

    batch: int
    base: int
    lr: float
    epochs: int
    drops: tuple[float, ...] = (0.5, 0.75)
    clip: float = 0.0
    ghost: int = 0

    def updates(self, samples: int) -> int:
        """Updates over the whole run; a last partial batch is dropped, as in the paper's code."""
        return self.epochs * max(1, samples // self.batch)
