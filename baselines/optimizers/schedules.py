"""Schedules of the learning rate beyond those of `bench.schedules`."""

from __future__ import annotations


def trapezoid(step: int, steps: int, warmup: float = 0.05, decay: float = 0.2) -> float:
    """Warm-up, a plateau, and a linear way down (Haegele et al. 2024, arXiv 2405.18392; also called warmup-stable-decay).

    The factor on the peak rate: linear to 1 over the fraction `warmup`, 1, then linear towards 0 over `decay`.
    """
    rising = (step + 1) / max(1.0, warmup * steps)
    falling = (steps - step) / max(1.0, decay * steps)
    return min(1.0, rising, falling)
