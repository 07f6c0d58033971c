"""The classical solvers of the equations, as fillers of the slot `solver`: on the task's grid, a coarser or a finer one.

Space is discretised as for the reference data, time in longer steps. Each starts from the last context frame. A coarser grid
takes cell averages of it and gives its states back by linear interpolation between cell centres; a finer one interpolates
first and averages afterwards. All samples are advanced at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.contract import BenchError

# Here, not where they are needed: importing scipy takes longer than some solves, and would be booked as prediction.
from tasks.pde.generate import (
    darcy,
    diffusion_reaction,
    diffusion_sorption,
    incompressible,
    reaction_diffusion,
    shallow_water,
)
from tasks.pde.generate.compressible import advance, conservative, primitive
from tasks.pde.generate.gas import GAMMA

CACHED = 2**15  # values of a state that a processor's cache holds with all that a step makes of them


@dataclass(frozen=True)
class Grid:
    """width: of a cell. t: the times, from 0 on. courant, steps: see `solve`."""

    width: float
    t: np.ndarray
    courant: float
    steps: int


Evolve = Callable[[np.ndarray, Mapping[str, Any], Grid], np.ndarray]


def _reaction_diffusion(start: np.ndarray, equation: Mapping[str, Any], grid: Grid) -> np.ndarray:
    nu, rho = equation["nu"], equation["rho"]
    return reaction_diffusion.solve(start[..., 0], grid.t, nu, rho, grid.steps, order=2)[..., None]


def _diffusion_sorption(start: np.ndarray, equation: Mapping[str, Any], grid: Grid) -> np.ndarray:
    return diffusion_sorption.march(start[..., 0], grid.t, grid.steps)[..., None]


def _diffusion_reaction(start: np.ndarray, equation: Mapping[str, Any], grid: Grid) -> np.ndarray:
    model = diffusion_reaction.Model(equation["Du"], equation["Dv"], equation["k"])
    longest, chunk = float(grid.t[1] - grid.t[0]) / grid.steps, max(1, CACHED // start[0].size)
    states = diffusion_reaction.evolve(np.moveaxis(start, -1, 1), grid.t, model, longest=longest, chunk=chunk)
    return np.moveaxis(states, 2, -1)


def _shallow_water(start: np.ndarray, equation: Mapping[str, Any], grid: Grid) -> np.ndarray:
    depth = start[..., 0]
    state = np.stack([depth, 0 * depth, 0 * depth], axis=1)  # at rest: the depth is all that is seen
    return shallow_water.evolve(state, grid.width, grid.t, grid.courant)[:, :, 0, ..., None]


def _incompressible(start: np.ndarray, equation: Mapping[str, Any], grid: Grid) -> np.ndarray:
    if equation["boundary"] == "walls":
        raise BenchError("the classical solver of incompressible flow is periodic, and these data have walls")
    force, velocity, smoke = np.split(np.moveaxis(start, -1, 0), [2, 4])
    flow = incompressible.Flow(start.shape[1], equation["nu"], force, equation["faithful"])
    state = np.stack([flow.curl(flow.transform(velocity)), *flow.transform(smoke)])
    frames = np.moveaxis(flow.frames(state, grid.t, courant=grid.courant * incompressible.STABLE), 0, 1)
    force = np.broadcast_to(start[:, None, ..., :2], (*frames.shape[:-1], 2))
    return np.concatenate([force, frames], axis=-1)


def _darcy(start: np.ndarray, equation: Mapping[str, Any], grid: Grid) -> np.ndarray:
    steady = np.stack([darcy.steady_banded(a, equation["beta"]) for a in start[..., 0]])
    return np.stack([start[..., 0], steady], axis=1)[..., None]


def _compressible(start: np.ndarray, equation: Mapping[str, Any], grid: Grid) -> np.ndarray:
    state, widths = conservative(torch.from_numpy(start), GAMMA), [grid.width] * (start.ndim - 2)
    eta, zeta, boundary = equation["eta"], equation["zeta"], equation["boundary"]
    states, _ = advance(state, grid.t.tolist(), widths, GAMMA, eta, zeta, boundary, grid.courant)
    return np.asarray(primitive(states, GAMMA))


EVOLVE: Mapping[str, Evolve] = {
    "reaction_diffusion": _reaction_diffusion,
    "diffusion_sorption": _diffusion_sorption,
    "diffusion_reaction": _diffusion_reaction,
    "shallow_water": _shallow_water,
    "incompressible": _incompressible,
    "darcy": _darcy,
    "compressible": _compressible,
}


def solve(
    initial: Tensor,
    axes: Sequence[Tensor],
    t: Tensor,
    equation: Mapping[str, Any],
    scale: float = 1.0,
    courant: float = 0.8,
    steps: int = 2,
) -> Tensor:
    """States (batch, x.., times, predicted channels) at times t > 0 after `initial` (batch, x.., channels).

    scale: of the number of points along each axis; its inverse, or it, is a whole number. courant: time step of a flow, as a
    share of the longest that is stable. steps: time steps between two frames of diffusion with reactions or sorption; more
    are taken in the first interval. An equation has use for one of the two, Darcy's for none. BenchError for an equation
    without such a solver, a courant not in (0, 1), or steps below 1.
    """
    if equation["name"] not in EVOLVE:
        raise BenchError(f"the classical solvers know {', '.join(EVOLVE)}, not {equation['name']!r}")
    if not (0 < courant < 1 and steps >= 1):
        raise BenchError(f"courant={courant}, steps={steps}: the first has to be between 0 and 1, the second 1 or more")
    grid = Grid(float(axes[0][1] - axes[0][0]) / scale, np.append(0.0, t.double().numpy()), courant, steps)
    solution = EVOLVE[equation["name"]](resized(initial.double(), scale).numpy(), equation, grid)
    states = torch.from_numpy(solution)[:, 1:, ..., int(equation["constants"]) :]
    batch, frames = states.shape[:2]
    back = resized(states.flatten(0, 1), 1 / scale, initial.shape[1:-1]).unflatten(0, (batch, frames))
    return back.movedim(1, -2)


def resized(fields: Tensor, scale: float, grid: Sequence[int] | None = None) -> Tensor:
    """(batch, x.., channels) with `scale` times the points along each axis, or on `grid`: averages, or linear between."""
    if scale == 1:
        return fields
    dims, first = fields.ndim - 2, fields.movedim(-1, 1)
    if scale < 1:
        pool = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[dims - 1]
        return pool(first, round(1 / scale)).movedim(1, -1)
    size = list(grid) if grid is not None else [round(n * scale) for n in fields.shape[1:-1]]
    mode = ("linear", "bilinear", "trilinear")[dims - 1]
    return functional.interpolate(first, size=size, mode=mode).movedim(1, -1)
