"""Learning-rate schedules for the `schedule` slot: functions (step, steps) -> factor on the base rate."""

from __future__ import annotations

import math
from collections.abc import Sequence


def constant(step: int, steps: int) -> float:
    """Always 1."""
    return 1.0


def cosine(step: int, steps: int, warmup: float = 0.05, final: float = 0.0) -> float:
    """Linear warm-up over the fraction `warmup` of the run, then half a cosine down to `final`."""
    ramp = max(1, round(warmup * steps)) if warmup > 0 else 0
    if step < ramp:
        return (step + 1) / ramp
    progress = (step - ramp) / max(1, steps - ramp)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def drops(step: int, steps: int, at: Sequence[float] = (0.5, 0.75), factor: float = 0.1) -> float:
    """Multiply by `factor` at each fraction of the run in `at` (He et al. 2015)."""
    return factor ** sum(step >= fraction * steps for fraction in at)
