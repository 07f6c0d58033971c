"""Theory in the figures of the family: functions of the number on the x axis. See `saxe` for the equations."""

from __future__ import annotations

from tasks.deep_linear import saxe


def strength(step: float, *, s: float, u0: float, rate: float) -> float:
    """Strength of a mode s after `step` steps of two layers at `rate`, from u0: `saxe.mode` at time step x rate."""
    return float(saxe.mode([step * rate], s, u0)[0])


def delay(layers: float, *, s: float, u0: float, share: float) -> float:
    """Time in which `layers` matrices take a mode from u0 to share x s, over the limit of infinitely many.

    Both at steps of 2 lr / layers and in units of steps x lr, as in `deep_linear/modes`. Below 1 and towards 1 with depth.
    """
    uf = share * s
    return layers * saxe.deep_mode_time(layers, s, u0, uf) / saxe.infinite_depth_time(s, u0, uf)  # type: ignore[arg-type]
