"""Fisher-KPP reaction-diffusion, u_t = nu u_xx + rho u (1 - u) on (0, 1), periodic.

The problem of Takamoto et al. 2022 (PDEBench, arXiv 2210.07182, appendix). Their data were made in float32 with time
steps so short that, near a constant state, a step's reaction is less than half a unit in the last place and rounds
away: the state freezes. The reference here is float64 and spectral; `faithful=True` is the original scheme.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tasks.pde.fields import grid
from tasks.pde.files.fields import Fields
from tasks.pde.generate.initial import require, waves

Array = NDArray[np.float64]
Single = NDArray[np.float32]
FINE = 2048  # least grid of the reference: resolves the windows' edges, whose width is 0.01
STEPS = 8  # least number of time steps between two frames
CHUNK = 32  # trajectories advanced together: they stay in the processor's cache
CFL = 0.25  # of the original scheme
# Order of extrapolated Strang steps -> (substeps, weight): the weights cancel the errors of order 2, and 4, of the step.
EXTRAPOLATED = {2: ((1, 1.0),), 6: ((1, 1 / 24), (2, -16 / 15), (3, 81 / 40))}


def generate(
    samples: int,
    seed: int,
    points: int = 128,
    frames: int = 21,
    final_time: float = 1.0,
    nu: float = 0.5,
    rho: float = 1.0,
    faithful: bool = False,
) -> Fields:
    """Trajectories (samples, frames, points, 1) of u at times from 0 to `final_time`, from `initial.waves` in [0, 1].

    The reference draws the initial state on at least 2048 points, solves there (see `solve`) and keeps the stored
    grid's centres, so that one seed is the same problem on every grid whose points divide 1024. `faithful=True` is
    PDEBench's scheme in float32 on the stored grid, from initial states with the original's jump at the boundary; its
    time step is dx^2 / (8 nu), so 1024 points take millions of steps. Its values are float32.

    BenchError: samples < 1, points < 8, frames < 2, final_time < 1e-9, nu or rho negative.
    """
    require(samples=(samples, 1), points=(points, 8), frames=(frames, 2))
    require(final_time=(final_time, 1e-9), nu=(nu, 0), rho=(rho, 0))
    x, t = grid(points), np.linspace(0, final_time, frames)
    attributes = {"Nu": nu, "rho": rho}
    if faithful:
        jumping = waves(samples, seed, x, normalised=True, periodic=False).astype(np.float32)
        return Fields(original(jumping, t, nu, rho)[..., None], (x,), t, ("u",), attributes)
    half = math.ceil(FINE / points / 2)  # in steps of a grid that starts at 0, to hold the stored grid's centres
    fine = np.arange(2 * half * points) / (2 * half * points)
    values = np.empty((samples, frames, points))
    start = waves(samples, seed, fine, normalised=True)
    for first in range(0, samples, CHUNK):
        chunk = slice(first, first + CHUNK)
        values[chunk] = solve(start[chunk], t, nu, rho)[..., half :: 2 * half]
    return Fields(values[..., None], (x,), t, ("u",), attributes)


def solve(initial: Array, t: Array, nu: float, rho: float, steps: int = STEPS, order: int = 6) -> Array:
    """The solution at times t, t[0] = 0, from `initial` (samples, points), its Fourier interpolant: (samples, times,
    points).

    Strang splitting (1968) of exact logistic growth and exact diffusion in Fourier space, whose error is even in the
    step: second `order`, or extrapolated to the sixth (Richardson). Each interval takes `steps` steps, or more if rho is
    large. Rough initial states vary at rates of up to nu k^2 at first, and at rates of about 1/t once diffusion has
    smoothed them, so the first interval is cut into pieces whose lengths double, shortest first.
    """
    out = np.empty((len(initial), len(t), initial.shape[1]))
    out[:, 0] = u = initial
    for frame, interval in enumerate(np.diff(t), start=1):
        halvings = 0
        if frame == 1:
            halvings = max(0, math.ceil(math.log2(1 + interval * nu * (math.pi * initial.shape[1]) ** 2)))
        pieces = [interval / 2**halvings] + [interval / 2**power for power in range(halvings, 0, -1)]
        for piece in pieces:
            count = max(steps, math.ceil(steps * rho * piece))
            u = _advance(u, piece / count, count, nu, rho, order)
        out[:, frame] = u
    return out


def _advance(u: Array, step: float, count: int, nu: float, rho: float, order: int) -> Array:
    """`count` extrapolated steps."""
    rates = -nu * (2 * math.pi * np.arange(u.shape[1] // 2 + 1)) ** 2
    weights = EXTRAPOLATED[order]
    decays = {parts: np.exp(rates * step / parts) for parts, _ in weights}
    for _ in range(count):
        u = np.sum([weight * _strang(u, step, parts, decays[parts], rho) for parts, weight in weights], axis=0)
    return u


def _strang(u: Array, step: float, parts: int, decay: Array, rho: float) -> Array:
    """`parts` equal Strang steps; the half steps of growth that meet between two of them are joined."""
    u = _logistic(u, rho * step / (2 * parts))
    for part in range(parts):
        u = fft.irfft(decay * fft.rfft(u), u.shape[1])
        u = _logistic(u, rho * step / parts / (2 if part == parts - 1 else 1))
    return u


def _logistic(u: Array, time: float) -> Array:
    """The exact solution of u' = u (1 - u)."""
    growth = math.expm1(time)
    return u * (1 + growth) / (1 + growth * u)


def original(initial: Single, t: Array, nu: float, rho: float) -> Single:
    """PDEBench's scheme from `initial` (samples, points), float32: (samples, times, points).

    A step is the exact logistic solution plus the central difference of a state half a step ahead. Steps divide an
    interval evenly, and the time is not summed in float32, so the freeze is the state's alone.
    """
    points = initial.shape[1]
    out = np.empty((len(initial), len(t), points), np.float32)
    out[:, 0] = u = initial
    for frame, interval in enumerate(np.diff(t), start=1):
        count = max(1, math.ceil(interval * 2 * nu * points**2 / CFL))
        for _ in range(count):
            u = original_step(u, interval / count, nu, rho)
        out[:, frame] = u
    return out


def original_step(u: Single, step: float, nu: float, rho: float) -> Single:
    """One step of `original`, every operation in float32: (samples, points)."""
    ahead = _original_update(u, u, step / 2, nu, rho)
    return _original_update(u, ahead, step, nu, rho)


def _original_update(u: Single, sloped: Single, step: float, nu: float, rho: float) -> Single:
    """u after `step` of growth, and of diffusion by the fluxes of `sloped`."""
    points = np.float32(u.shape[1])
    with np.errstate(divide="ignore"):  # u = 0 gives 1 / (1 + inf) = 0, as it should
        grown = 1 / (1 + np.exp(np.float32(-rho * step)) * ((1 - u) / u))
    flux = np.float32(-nu) * points * (np.concatenate((sloped[:, 1:], sloped[:, :1]), axis=1) - sloped)
    outflow = flux - np.concatenate((flux[:, -1:], flux[:, :-1]), axis=1)
    return np.asarray(grown - np.float32(step) * points * outflow)
