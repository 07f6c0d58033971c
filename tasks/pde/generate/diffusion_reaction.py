"""Two-dimensional FitzHugh-Nagumo diffusion-reaction on (-1, 1)^2 without flux through the boundary.

u_t = Du lap u + u - u^3 - k - v, v_t = Dv lap v + u - v with the activator u and the inhibitor v: the problem of PDEBench
(Takamoto et al. 2022, arXiv 2210.07182, appendix on the 2-D diffusion-reaction equation; Klaasen and Troy 1984).
Space is discretised as there, by five-point finite volumes, so that the stored fields solve the same ordinary
differential equations; those are solved to about 4e-7 of the fields' size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from bench.contract import BenchError
from tasks.pde.files.fields import Fields

Array = NDArray[np.float64]
SIDE = 2.0
LENGTH, MODES = 0.2, 17  # of the smooth initial state: correlation length, cosines in each direction
CHUNK = 2  # samples advanced together: their fields stay in the processor's cache
CONTOUR = 32  # points of the contour integral
LONGEST = 0.025  # time step


@dataclass(frozen=True)
class Model:
    """Coefficients; `reaction` = 0 leaves the diffusion alone. The defaults are PDEBench's."""

    du: float = 1e-3
    dv: float = 5e-3
    k: float = 5e-3
    reaction: float = 1.0


def white(rng: np.random.Generator, samples: int, points: int) -> Array:
    """Independent standard normals in every cell, for both channels: (samples, 2, points, points).

    As in PDEBench. White noise has no limit as the grid is refined: a finer grid holds less energy at each wave
    number, so trajectories and their statistics differ between grids, and striding to a coarse grid aliases.
    """
    return rng.standard_normal((samples, 2, points, points))


def smooth_field(rng: np.random.Generator, samples: int, points: int) -> Array:
    """A Gaussian random field of mean variance one at cell centres: (samples, 2, points, points).

    A sum of 17 x 17 cosines that satisfy the boundary condition, with a Gaussian spectrum of correlation length 0.2;
    the draw does not depend on the grid, so that different grids sample the same functions.
    """
    numbers = math.pi / SIDE * np.arange(MODES)
    weights = np.exp(-((numbers * LENGTH / 2) ** 2))
    cosines = np.cos(numbers[:, None] * SIDE * (np.arange(points) + 0.5) / points) * weights[:, None]
    cosines[1:] *= math.sqrt(2)
    draws = rng.standard_normal((samples, 2, MODES, MODES)) / np.sum(weights**2)
    return np.asarray(np.swapaxes(cosines, 0, 1) @ draws @ cosines)


def laplacian(points: int) -> Array:
    """Eigenvalues (points, points) of the five-point Laplacian without flux, whose eigenvectors are those of DCT-II."""
    eigenvalues = -((2 * points / SIDE * np.sin(math.pi * np.arange(points) / (2 * points))) ** 2)
    return eigenvalues[:, None] + eigenvalues


def step_limit(t: float, longest: float = LONGEST) -> float:
    """The longest time step allowed at time t: short at first, when white noise decays and cubes of it are large."""
    return min(1 / 640 + t / 8, LONGEST) * (longest / LONGEST)


class Etdrk4:
    """Fourth-order exponential time differencing (Cox and Matthews 2002) for y' = L y + N(y), L diagonal and <= 0.

    The coefficients are 0/0 at L = 0 and are averaged around a circle instead (Kassam and Trefethen 2005).
    """

    def __init__(self, linear: Array, nonlinear: Callable[[Array], Array], step: float) -> None:
        self.nonlinear = nonlinear
        self.whole, self.half = np.exp(step * linear), np.exp(step * linear / 2)
        self.q, self.f1, self.f2, self.f3 = (np.zeros_like(linear) for _ in range(4))
        for corner in np.exp(1j * math.pi * (np.arange(CONTOUR // 2) + 0.5) / (CONTOUR // 2)):
            z = step * linear + corner  # L is real, so the upper half of the circle stands for both
            e = np.exp(z)
            self.q += ((np.exp(z / 2) - 1) / z).real
            self.f1 += ((-4 - z + e * (4 - 3 * z + z**2)) / z**3).real
            self.f2 += 2 * ((2 + z + e * (z - 2)) / z**3).real
            self.f3 += ((-4 - 3 * z - z**2 + e * (4 - z)) / z**3).real
        for coefficient in (self.q, self.f1, self.f2, self.f3):
            coefficient *= step / (CONTOUR // 2)

    def advance(self, y: Array, steps: int) -> Array:
        for _ in range(steps):
            n0 = self.nonlinear(y)
            a = self.half * y + self.q * n0
            na = self.nonlinear(a)
            nb = self.nonlinear(self.half * y + self.q * na)
            nc = self.nonlinear(self.half * a + self.q * (2 * nb - n0))
            y = self.whole * y + self.f1 * n0 + self.f2 * (na + nb) + self.f3 * nc
        return y


def evolve(
    start: Array, t: Array, model: Model, refine: int = 1, longest: float = LONGEST, chunk: int = CHUNK
) -> Array:
    """(samples, frames, 2, n, n) at increasing times t from `start` (samples, 2, n, n) at t[0].

    In the space of the DCT, where diffusion is diagonal and the cube is all that needs a transform. `refine` divides
    every time step. longest: time step, once the first rough fields have decayed. chunk: samples advanced together.
    """
    linear = np.stack([model.du * laplacian(start.shape[-1]), model.dv * laplacian(start.shape[-1])])

    def nonlinear(y: Array) -> Array:
        u, v = y[..., 0, :, :], y[..., 1, :, :]
        cube = fft.idctn(u, axes=(-2, -1), norm="forward")
        source = fft.dctn(cube * cube * cube + model.k, axes=(-2, -1), norm="forward", overwrite_x=True)
        return model.reaction * np.stack([u - v - source, u - v], axis=-3)

    stepper = cache(lambda step: Etdrk4(linear, nonlinear, step))
    out = np.empty((len(start), len(t), *start.shape[1:]))
    out[:, 0] = start
    for first in range(0, len(start), chunk):
        part = slice(first, first + chunk)
        y = fft.dctn(start[part], axes=(-2, -1), norm="forward")
        for frame, (now, then) in enumerate(zip(t[:-1], t[1:], strict=True), start=1):
            # A power of two, so that few different steps, each with its coefficients, occur.
            steps = refine * 2 ** max(0, math.ceil(math.log2((then - now) / step_limit(now - t[0], longest))))
            y = stepper(round((then - now) / steps, 15)).advance(y, steps)
            out[part, frame] = fft.idctn(y, axes=(-2, -1), norm="forward")
    return out


def generate(
    samples: int,
    seed: int,
    points: int,
    frames: int = 101,
    final_time: float = 5.0,
    smooth: bool = False,
    du: float = 1e-3,
    dv: float = 5e-3,
    k: float = 5e-3,
    refine: int = 1,
) -> Fields:
    """Trajectories on cell centres of (-1, 1)^2 at `frames` equal times from 0 to `final_time`.

    Values (samples, frames, points, points, 2) of the channels "u" and "v". The initial state is PDEBench's white noise
    (see `white`), or with `smooth` a field that does not depend on the grid (see `smooth_field`). `refine` divides the
    time steps, to measure their error.

    BenchError for samples < 1, points < 8, frames < 1, final_time <= 0, refine < 1 or a negative du or dv.
    """
    if samples < 1 or points < 8 or frames < 1 or not final_time > 0 or refine < 1 or not (du >= 0 and dv >= 0):
        raise BenchError(
            f"diffusion_reaction: samples={samples}, points={points}, frames={frames}, final_time={final_time}, "
            f"du={du}, dv={dv}, refine={refine}; wanted are samples >= 1, points >= 8, frames >= 1, final_time > 0, "
            "du >= 0, dv >= 0 and refine >= 1"
        )
    draw = smooth_field if smooth else white
    start, t = draw(np.random.default_rng(seed), samples, points), np.linspace(0, final_time, frames)
    values = np.moveaxis(evolve(start, t, Model(du, dv, k), refine), 2, -1)
    x = SIDE * (np.arange(points) + 0.5) / points - SIDE / 2
    return Fields(values, (x, x), t, ("u", "v"), {"Du": du, "Dv": dv, "k": k})
