"""What a run of `deep_linear/modes` is worth: its trajectories against the theory's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from torch import Tensor

from tasks.deep_linear import network, saxe
from tasks.deep_linear.modes import FAR

TINY = 1e-300  # stands in for an initial strength of exactly 0, from which nothing grows


def judged(tensors: Mapping[str, Tensor], hidden: Mapping[str, Any], layers: int) -> dict[str, float | None]:
    """The metrics of `deep_linear/modes`.

    tensors: times (k,), maps (k, outputs, inputs), start (modes,), drift (). hidden: target, u, s, v. None where a mode never
    gets halfway, or starts beyond.
    """
    target, s = hidden["target"], hidden["s"].numpy()
    times, start = tensors["times"].numpy(), tensors["start"].clamp_min(TINY).numpy()
    inside = projected(tensors, hidden)
    strengths, theory = inside.diagonal(dim1=1, dim2=2).numpy(), expected(tensors, hidden, layers)
    errors = np.abs(strengths - theory) / s
    lazy = (strengths[0] >= s / 2) | (strengths[-1] < s / 2)
    errors = np.where(lazy, np.maximum(errors, 1.0), errors)
    outside = inside - inside.diagonal(dim1=1, dim2=2).diag_embed()
    whole = float(target.norm())
    zero = float(network.loss(target, 0 * target))
    return {
        "trajectory_error": float(errors.max()),
        "mean_error": float(errors.mean()),
        **_half_times(times, strengths, s, start, layers),
        "delay": _delay(times, strengths[:, 0], float(s[0]), float(start[0])),
        "coupling": float(outside.flatten(1).norm(dim=1).max()) / whole,
        "conserved_drift": float(tensors["drift"]) / float(s[0]),
        "final_loss": float(network.loss(target, tensors["maps"][-1])) / zero,
    }


def projected(tensors: Mapping[str, Tensor], hidden: Mapping[str, Any]) -> Tensor:
    """The maps in the target's modes, (k, modes, modes)."""
    inside: Tensor = hidden["u"].T @ tensors["maps"] @ hidden["v"]
    return inside


def expected(tensors: Mapping[str, Tensor], hidden: Mapping[str, Any], layers: int) -> np.ndarray:
    """The theory's strengths, (k, modes), from those at the start."""
    clock = tensors["times"].numpy() * 2 / layers  # in steps x rate, which is the theory's
    pairs = zip(hidden["s"].numpy(), tensors["start"].clamp_min(TINY).numpy(), strict=True)
    return np.stack([saxe.deep_mode(clock, layers, *pair) for pair in pairs], axis=1)


def crossing(times: np.ndarray, values: np.ndarray, level: float) -> float | None:
    """The first time at which `values` reaches `level`, interpolated; None if it starts beyond or never does."""
    beyond = np.flatnonzero(values >= level)
    if not len(beyond) or beyond[0] == 0:
        return None
    i = int(beyond[0])
    share = (level - values[i - 1]) / (values[i] - values[i - 1])
    return float(times[i - 1] + share * (times[i] - times[i - 1]))


def _half_times(
    times: np.ndarray, strengths: np.ndarray, s: np.ndarray, start: np.ndarray, layers: int
) -> dict[str, float | None]:
    none: dict[str, float | None] = dict.fromkeys(("half_time_error", "half_time_exponent", "disorder"))
    halves = [crossing(times, strengths[:, i], s[i] / 2) for i in range(len(s))]
    known = [half for half in halves if half is not None]
    if len(known) < len(s):
        return none
    pairs = [(i, j) for i, j in combinations(range(len(s)), 2) if s[i] > 1.01 * s[j]]
    slope = float(np.polyfit(np.log(s), np.log(known), 1)[0])
    disorder = sum(known[i] >= known[j] for i, j in pairs) / len(pairs)
    if (start >= s / 2).any():
        return {"half_time_error": None, "half_time_exponent": slope, "disorder": disorder}
    theory = [layers / 2 * saxe.deep_mode_time(layers, a, b, a / 2) for a, b in zip(s, start, strict=True)]
    error = max(abs(a - b) / b for a, b in zip(known, theory, strict=True))
    return {"half_time_error": error, "half_time_exponent": slope, "disorder": disorder}


def _delay(times: np.ndarray, strength: np.ndarray, s: float, start: float) -> float | None:
    """Time to FAR s over its limit for infinitely many layers, both in steps x lr; that is half of `infinite_depth_time`."""
    reached = crossing(times, strength, FAR * s)
    return None if reached is None or start >= FAR * s else reached / (saxe.infinite_depth_time(s, start, FAR * s) / 2)
