"""Shallow water after a radial dam breaks: finite volumes on (-2.5, 2.5)^2 with outflow, gravity 1, flat bottom.

h_t + div(h w) = 0, (h w)_t + div(h w w) + grad(h^2 / 2) = 0 for the depth h and the velocity w = (u, v): the problem of
PDEBench (Takamoto et al. 2022, arXiv 2210.07182, appendix on the shallow-water equations). There a Roe solver with the
MC limiter is used; here MUSCL with the MC limiter (van Leer 1979), the HLLC flux (Toro, Spruce and Speares 1994) and
the two-stage SSP Runge-Kutta method (Gottlieb and Shu 1998).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.contract import BenchError
from tasks.pde.files.fields import Fields

Array = NDArray[np.float64]
SIDE = 5.0
INSIDE, OUTSIDE = 2.0, 1.0  # depths
CFL = 0.45  # of the sum over both directions
LINES = 32  # a cell, whose exact covered lengths average the initial depth


def dam(radius: Array, points: int, faithful: bool = False) -> Array:
    """Initial depths (samples, points, points): 2 within `radius` (samples,) of the centre, 1 outside.

    Cell averages, so that each radius gives another state. `faithful`: the depth at the cell's centre, as in PDEBench,
    where all radii between the same two distances of centres give the same trajectory: no more than 24 different ones
    at 64 x 64 points and 81 at 128 x 128, however many samples are drawn.
    """
    edges = SIDE * (np.arange(points + 1) / points - 0.5)
    centres = SIDE * ((np.arange(points) + 0.5) / points - 0.5)
    lines = SIDE * ((np.arange(points * LINES) + 0.5) / (points * LINES) - 0.5)
    covered = np.empty((len(radius), points, points))
    for sample, r in enumerate(radius):
        if faithful:
            covered[sample] = np.hypot(centres[:, None], centres) <= r
        else:
            chord = np.sqrt(np.maximum(r**2 - lines**2, 0))[:, None]
            share = np.diff(np.clip(edges, -chord, chord)).reshape(points, LINES, points).mean(axis=1) * points / SIDE
            covered[sample] = (share + share.T) / 2
    return OUTSIDE + (INSIDE - OUTSIDE) * covered


def face_flux(left: Array, right: Array) -> Array:
    """HLLC flux of (h, h u, h v) in the direction of u; left, right: (h, u, v) at each face along axis 0.

    The contact wave carries only v, which is therefore taken from the side that the mass comes from.
    """
    (hl, ul, vl), (hr, ur, vr) = left, right
    cl, cr = np.sqrt(hl), np.sqrt(hr)
    # Einfeldt's estimates: the outer waves are not slower than those of the Roe average.
    mean_u, mean_c = (cl * ul + cr * ur) / (cl + cr), np.sqrt((hl + hr) / 2)
    slow = np.minimum(np.minimum(ul - cl, mean_u - mean_c), 0)
    fast = np.maximum(np.maximum(ur + cr, mean_u + mean_c), 0)
    ml, mr = hl * ul, hr * ur
    scale = 1 / (fast - slow)
    mass = (fast * ml - slow * mr + fast * slow * (hr - hl)) * scale
    momentum = (fast * (ml * ul + hl * hl / 2) - slow * (mr * ur + hr * hr / 2) + fast * slow * (mr - ml)) * scale
    return np.stack([mass, momentum, mass * np.where(mass > 0, vl, vr)])


def rate(state: Array) -> Array:
    """The change of (h, h u, h v) in unit time on unit cells along the last axis; state: (3, ..., n)."""
    h, m, q = state
    primitive = np.stack([h, m / h, q / h])
    # Two ghost cells a side that repeat the outermost cell: a zero gradient lets waves out.
    padded = np.concatenate([primitive[..., :1]] * 2 + [primitive] + [primitive[..., -1:]] * 2, axis=-1)
    jump = np.diff(padded)
    back, ahead = jump[..., :-1], jump[..., 1:]
    # Half the monotonised central slope: zero at an extremum.
    slope = np.where(back * ahead > 0, np.minimum(np.minimum(abs(back), abs(ahead)), abs(back + ahead) / 4), 0)
    half = np.copysign(slope, back)
    inner = padded[..., 1:-1]
    flux = face_flux((inner + half)[..., :-1], (inner - half)[..., 1:])
    return -np.diff(flux)


def derivative(state: Array, spacing: float) -> Array:
    """d state / dt; state (3, samples, x, y). The x direction is the y direction of the transposed problem."""
    swap = [0, 2, 1]
    along_x = np.swapaxes(rate(np.swapaxes(state, -1, -2)), -1, -2)
    return (along_x + rate(state[swap])[swap]) / spacing


def evolve(start: Array, spacing: float, t: Array, courant: float = CFL) -> Array:
    """(samples, frames, 3, x, y) at increasing times t from the state (samples, 3, x, y) of h, h u, h v at t[0].

    courant: cells that the fastest wave crosses in a step, summed over both directions. Each sample has its own time step,
    so that it does not depend on the others.
    """
    out = np.empty((len(start), len(t), *start.shape[1:]))
    state, now = np.swapaxes(start, 0, 1), np.full(len(start), t[0])
    for frame, then in enumerate(t):
        while (now < then).any():
            speed = (abs(state[1:]) / state[0] + np.sqrt(state[0])).sum(axis=0).max(axis=(-1, -2))
            step = np.minimum(courant * spacing / speed, then - now)
            now = np.where(step < then - now, now + step, then)
            dt = step[:, None, None]
            middle = state + dt * derivative(state, spacing)
            state = (state + middle + dt * derivative(middle, spacing)) / 2
        out[:, frame] = np.swapaxes(state, 0, 1)
    return out


def generate(
    samples: int,
    seed: int,
    points: int,
    frames: int = 101,
    final_time: float = 1.0,
    faithful: bool = False,
    momentum: bool = False,
    refine: int = 1,
) -> Fields:
    """Trajectories on cell centres of (-2.5, 2.5)^2 at `frames` equal times from 0 to `final_time`.

    Values (samples, frames, points, points, channels) of the channel "h", with `momentum` also "hu" and "hv". The dam's
    radius is drawn from U(0.3, 0.7). `refine` computes on a grid that many times as fine in each direction and stores
    averages of its cells; `faithful` is explained in `dam`.

    BenchError for samples < 1, points < 8, frames < 1, final_time <= 0 or refine < 1.
    """
    if samples < 1 or points < 8 or frames < 1 or not final_time > 0 or refine < 1:
        raise BenchError(
            f"shallow_water: samples={samples}, points={points}, frames={frames}, final_time={final_time}, "
            f"refine={refine}; wanted are samples >= 1, points >= 8, frames >= 1, final_time > 0 and refine >= 1"
        )
    fine, t = points * refine, np.linspace(0, final_time, frames)
    depth = dam(np.random.default_rng(seed).uniform(0.3, 0.7, samples), fine, faithful)
    names = ("h", "hu", "hv") if momentum else ("h",)
    values = np.empty((samples, frames, points, points, len(names)))
    for sample, h in enumerate(depth):  # one at a time: a state fits the processor's cache
        states = evolve(np.stack([h, 0 * h, 0 * h])[None], SIDE / fine, t)[0, :, : len(names)]
        coarse = states.reshape(frames, len(names), points, refine, points, refine).mean(axis=(3, 5))
        values[sample] = np.moveaxis(coarse, 1, -1)
    x = SIDE * ((np.arange(points) + 0.5) / points - 0.5)
    return Fields(values, (x, x), t, names)
