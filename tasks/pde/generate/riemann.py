"""The exact solution of the Riemann problem of an ideal gas: Toro, Riemann Solvers and Numerical Methods, chapter 4.

States are (..., 3): density, pressure, velocity. All functions broadcast over the leading axes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.contract import BenchError

Array = NDArray[np.float64]
ITERATIONS, TOLERANCE = 100, 1e-14


class Star(NamedTuple):
    """Between the outer waves, each (...,): pressure and velocity, and the density on either side of the contact."""

    pressure: Array
    velocity: Array
    left: Array
    right: Array


def star(left: Array, right: Array, gamma: float = 5 / 3) -> Star:
    """The state between the outer waves of the Riemann problem of `left` and `right`, (..., 3) each.

    Newton's method on Toro's pressure function (4.5), from the two-rarefaction guess (4.46). BenchError if a density or
    pressure is not positive, if gamma is not above 1, or if a vacuum opens between the states (4.40).
    """
    if not gamma > 1:
        raise BenchError(f"gamma {gamma} is not above 1")
    if not min(left[..., :2].min(), right[..., :2].min()) > 0:
        raise BenchError("the Riemann problem needs positive densities and pressures")
    sounds = _sound(left, gamma), _sound(right, gamma)
    gap = right[..., 2] - left[..., 2]
    room = 2 / (gamma - 1) * (sounds[0] + sounds[1]) - gap
    if not np.all(room > 0):
        raise BenchError("the two states part so fast that a vacuum opens between them")
    power = (gamma - 1) / (2 * gamma)
    shares = sounds[0] / left[..., 1] ** power + sounds[1] / right[..., 1] ** power
    pressure = ((gamma - 1) / 2 * room / shares) ** (1 / power)
    for _ in range(ITERATIONS):
        (low, low_slope), (high, high_slope) = (_across(side, pressure, gamma) for side in (left, right))
        # The function increases and is concave, so a step may overshoot to the left only: kept positive.
        better = np.maximum(pressure - (low + high + gap) / (low_slope + high_slope), 0.1 * pressure)
        done = np.all(np.abs(better - pressure) <= TOLERANCE * pressure)
        pressure = better
        if done:
            break
    velocity = (
        left[..., 2] + right[..., 2] + _across(right, pressure, gamma)[0] - _across(left, pressure, gamma)[0]
    ) / 2
    return Star(pressure, velocity, *(_density(side, pressure, gamma) for side in (left, right)))


def solution(left: Array, right: Array, rays: Array, gamma: float = 5 / 3) -> Array:
    """Values (..., points, 3) along the rays (x - x0) / t, (..., points), where x0 is where the states met at t = 0.

    BenchError as for `star`.
    """
    middle = star(left, right, gamma)
    pressure, velocity = middle.pressure[..., None], middle.velocity[..., None]
    # What lies right of the contact is the mirror image of what lies left of it.
    on_left = rays < velocity
    sign = np.where(on_left, 1.0, -1.0)
    side = np.where(on_left[..., None], left[..., None, :], right[..., None, :])
    density = np.where(on_left, middle.left[..., None], middle.right[..., None])
    speed, ray, inner = sign * side[..., 2], sign * rays, sign * velocity
    sound = _sound(side, gamma)

    shock = speed - sound * np.sqrt(((gamma + 1) * pressure / side[..., 1] + gamma - 1) / (2 * gamma))
    compressed = pressure > side[..., 1]
    head = np.where(compressed, shock, speed - sound)
    tail = np.where(compressed, shock, inner - np.sqrt(gamma * pressure / density))
    # Within a rarefaction, (4.56); its sound speed is clipped where it is not used.
    slower = np.maximum(2 + (gamma - 1) / sound * (speed - ray), 0) / (gamma + 1)
    fan = [
        side[..., 0] * slower ** (2 / (gamma - 1)),
        side[..., 1] * slower ** (2 * gamma / (gamma - 1)),
        sign * (2 * (sound + ray) + (gamma - 1) * speed) / (gamma + 1),
    ]
    between = np.stack(np.broadcast_arrays(density, pressure, velocity), axis=-1)
    values = np.where((ray < tail)[..., None], np.stack(fan, axis=-1), between)
    return np.where((ray < head)[..., None], side, values)


def _sound(state: Array, gamma: float) -> Array:
    return np.asarray(np.sqrt(gamma * state[..., 1] / state[..., 0]))


def _across(side: Array, pressure: Array, gamma: float) -> tuple[Array, Array]:
    """The change of velocity across the wave that takes `side` to `pressure`, and its derivative: (4.6), (4.37)."""
    before, sound = side[..., 1], _sound(side, gamma)
    a, b = 2 / ((gamma + 1) * side[..., 0]), (gamma - 1) / (gamma + 1) * before
    root = np.sqrt(a / (pressure + b))
    power = (gamma - 1) / (2 * gamma)
    compressed = pressure > before
    change = np.where(
        compressed, (pressure - before) * root, 2 * sound / (gamma - 1) * ((pressure / before) ** power - 1)
    )
    slope = np.where(
        compressed,
        root * (1 - (pressure - before) / (2 * (pressure + b))),
        (pressure / before) ** (power - 1) * sound / (gamma * before),
    )
    return change, slope


def _density(side: Array, pressure: Array, gamma: float) -> Array:
    """Behind the wave: a shock's (4.50, 4.57) or a rarefaction's (4.53, 4.60)."""
    ratio, g = pressure / side[..., 1], (gamma - 1) / (gamma + 1)
    return np.asarray(side[..., 0] * np.where(ratio > 1, (ratio + g) / (g * ratio + 1), ratio ** (1 / gamma)))
