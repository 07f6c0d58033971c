"""Diffusion of a solute that is sorbed by a porous medium, R(u) u_t = D u_xx on (0, 1) m.

The problem of Takamoto et al. 2022 (PDEBench, arXiv 2210.07182, appendix): u = 1 at the left, and at the right a
Cauchy condition, u = -D u_x: the medium is flushed at 1 m/s, so what arrives by diffusion, -D u_x, leaves as u. The
paper prints u = D u_x; the sign here is that of the authors' code. The printed one feeds a boundary layer that grows
as exp(t / (D R)), and its steady state is negative at the right.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.linalg import solve_banded

from bench.contract import BenchError
from tasks.pde.fields import grid
from tasks.pde.files.fields import Fields
from tasks.pde.generate.initial import require

Array = NDArray[np.float64]
SHIFT = 1e-6  # keeps the retardation finite at u = 0
LARGEST = 0.2  # of the initial concentrations
GAMMA = 1 - math.sqrt(1 / 2)  # makes ROS2 damp the fastest decays at once


@dataclass(frozen=True)
class Medium:
    """diffusion: m^2/s. porosity: the fraction that is not solid. density: of the solid, kg/m^3. freundlich, exponent:
    sorbed solute = freundlich * u^exponent per mass of solid. freundlich=0 turns sorption off.

    BenchError: diffusion not positive, porosity outside (0, 1), another parameter negative.
    """

    diffusion: float = 5e-4
    porosity: float = 0.29
    density: float = 2880.0
    freundlich: float = 3.5e-4
    exponent: float = 0.874

    def __post_init__(self) -> None:
        require(density=(self.density, 0), freundlich=(self.freundlich, 0), exponent=(self.exponent, 0))
        if not (0 < self.diffusion < float("inf") and 0 < self.porosity < 1):
            raise BenchError(
                f"diffusion = {self.diffusion}, porosity = {self.porosity}; the first must be positive, "
                "the second between 0 and 1"
            )

    @property
    def capacity(self) -> float:
        """Solute sorbed at u = 1, per volume of pores."""
        return (1 - self.porosity) / self.porosity * self.density * self.freundlich

    def mass(self, u: Array) -> Array:
        """Dissolved and sorbed solute per volume of pores, elementwise."""
        return u + self.capacity * (u + SHIFT) ** self.exponent

    def retardation(self, u: Array) -> Array:
        """R(u), the derivative of `mass`, elementwise. A solver's trial state may be a little below 0: taken as 0."""
        return 1 + self.capacity * self.exponent * (np.maximum(u, 0) + SHIFT) ** (self.exponent - 1)

    def fluxes(self, u: Array) -> Array:
        """Solute through the faces of the cells, to the right, from concentrations (..., points): (..., points + 1), m/s.

        Second order: half a cell lies between a boundary and the nearest centre, and at the right it conducts in
        series with the flushing.
        """
        cell = 1 / u.shape[-1]
        left = 2 * self.diffusion / cell * (1 - u[..., :1])
        right = u[..., -1:] / (1 + cell / (2 * self.diffusion))
        return np.concatenate((left, self.diffusion / cell * (u[..., :-1] - u[..., 1:]), right), axis=-1)

    def ghost_fluxes(self, u: Array) -> Array:
        """`fluxes` as PDEBench has them: the boundary values stand a whole cell from the outermost centres, and u_x at
        the right is taken from the last two cells. First order."""
        cell = 1 / len(u)
        right = self.diffusion / cell * (u[-2] - u[-1])
        return self.diffusion / cell * -np.diff(u, prepend=1.0, append=right)


SOIL = Medium()


def generate(
    samples: int,
    seed: int,
    points: int = 128,
    frames: int = 21,
    final_time: float = 500.0,
    faithful: bool = False,
    medium: Medium = SOIL,
) -> Fields:
    """Trajectories (samples, frames, points, 1) of u at times from 0 to `final_time` seconds, from constant states.

    The initial constant is U(0, 0.2), so each trajectory follows from one number. The method is `reference`;
    `faithful=True` is PDEBench's discretisation (`Medium.ghost_fluxes`) with scipy's RK45 at its default tolerances.

    BenchError: samples < 1, points < 8, frames < 2, final_time < 1e-9, or the solver fails.
    """
    require(samples=(samples, 1), points=(points, 8), frames=(frames, 2), final_time=(final_time, 1e-9))
    t = np.linspace(0, final_time, frames)
    method = solve_original if faithful else reference
    starts = np.random.default_rng(seed).uniform(0, LARGEST, samples)
    values = np.stack([method(np.full(points, start), t, medium) for start in starts])
    names = {"D": medium.diffusion, "por": medium.porosity, "rho_s": medium.density}
    names |= {"k_f": medium.freundlich, "n_f": medium.exponent, "sol": 1.0}
    return Fields(values[..., None], (grid(points),), t, ("u",), names)


def reference(initial: Array, t: Array, medium: Medium = SOIL) -> Array:
    """`solve`, with the error of second order in the cell extrapolated away, from a third of the cell.

    Thirds, since every third centre of the finer grid is one of the coarser. The state is constant at first: its
    value is the same in every third. The error is largest in the first frame, while the jump at the left boundary is
    steep: with 128 cells, up to 3e-7 if that is at 25 s and 6e-6 at 5 s.
    """
    coarse, fine = solve(initial, t, medium), solve(np.repeat(initial, 3), t, medium)
    return (9 * fine[:, 1::3] - coarse) / 8


def solve(initial: Array, t: Array, medium: Medium = SOIL, tolerance: float = 1e-8) -> Array:
    """u at the centres of equal cells and times t from `initial` (points,): (times, points).

    Finite volumes, which conserve `Medium.mass` up to the boundary fluxes, and LSODA (Petzold 1983) with a tridiagonal
    Jacobian. tolerance: relative; the absolute one is a hundredth of it.
    """

    def slope(_: float, u: Array) -> Array:
        return -len(u) * np.diff(medium.fluxes(u)) / medium.retardation(u)

    options = {"method": "LSODA", "rtol": tolerance, "atol": tolerance / 100, "lband": 1, "uband": 1}
    return _integrate(slope, initial, t, options)


def march(initial: Array, t: Array, steps: int, medium: Medium = SOIL) -> Array:
    """As `solve`, of second order in the time step, from `initial` (samples, points): (samples, times, points).

    ROS2 (Verwer, Spee, Blom and Hundsdorfer 1999), `steps` equal steps an interval, all samples in one tridiagonal system.
    The retardation's slope is left out of the Jacobian, which leaves the order as it is. The first interval, in which the
    jump at the left boundary decays, is cut into pieces whose lengths double, the shortest a cell's diffusion time.
    """
    samples, points = initial.shape
    matrix = np.zeros((3, samples, points))  # minus the slope of the fluxes' differences, on and beside the diagonal
    beside = medium.diffusion * points**2
    matrix[0, :, 1:] = matrix[2, :, :-1] = -beside
    matrix[1] = 2 * beside
    matrix[1, :, 0] = 3 * beside
    matrix[1, :, -1] = beside + points / (1 + 1 / (2 * medium.diffusion * points))

    def inflow(u: Array) -> Array:
        return np.asarray(-points * np.diff(medium.fluxes(u)))

    out = np.empty((samples, len(t), points))
    out[:, 0] = u = initial
    for frame, interval in enumerate(np.diff(t), start=1):
        halvings = max(0, math.ceil(math.log2(interval * beside))) if frame == 1 else 0
        for piece in [interval / 2**halvings] + [interval / 2**power for power in range(halvings, 0, -1)]:
            dt = piece / steps
            for _ in range(steps):
                retarded = medium.retardation(u)
                system = GAMMA * dt * matrix
                system[1] += retarded
                bands = system.reshape(3, -1)
                first = solve_banded((1, 1), bands, inflow(u).ravel()).reshape(u.shape)
                middle = u + dt * first
                change = retarded * (inflow(middle) / medium.retardation(middle) - 2 * first)
                u = middle + dt / 2 * (first + solve_banded((1, 1), bands, change.ravel()).reshape(u.shape))
        out[:, frame] = u
    return out


def solve_original(initial: Array, t: Array, medium: Medium = SOIL) -> Array:
    """`solve` with the original's boundaries and time integrator."""

    def slope(_: float, u: Array) -> Array:
        return -len(u) * np.diff(medium.ghost_fluxes(u)) / medium.retardation(u)

    return _integrate(slope, initial, t, {"method": "RK45"})


def _integrate(slope: Callable[[float, Array], Array], initial: Array, t: Array, options: dict[str, Any]) -> Array:
    result = solve_ivp(slope, (t[0], t[-1]), initial, t_eval=t, **options)
    if not result.success:
        raise BenchError(f"diffusion-sorption on {len(initial)} points: {result.message}")
    return np.asarray(result.y.T)
