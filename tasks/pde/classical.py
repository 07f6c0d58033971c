"""The classical solvers behind the reference data, as fillers of the slot `solver`: on the task's grid or a coarser one.

Each starts from the last context frame. A coarser grid takes cell averages of it and gives its states back by linear
interpolation between cell centres; a finer one interpolates first and averages afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.contract import BenchError

Evolve = Callable[[np.ndarray, np.ndarray, float, Mapping[str, Any]], np.ndarray]


def _reaction_diffusion(start: np.ndarray, t: np.ndarray, width: float, equation: Mapping[str, Any]) -> np.ndarray:
    from tasks.pde.generate import reaction_diffusion

    return reaction_diffusion.solve(start[..., 0], t, equation["nu"], equation["rho"])[..., None]


def _diffusion_sorption(start: np.ndarray, t: np.ndarray, width: float, equation: Mapping[str, Any]) -> np.ndarray:
    from tasks.pde.generate import diffusion_sorption

    return np.stack([diffusion_sorption.solve(one, t) for one in start[..., 0]])[..., None]


def _diffusion_reaction(start: np.ndarray, t: np.ndarray, width: float, equation: Mapping[str, Any]) -> np.ndarray:
    from tasks.pde.generate.diffusion_reaction import Model, evolve

    model = Model(equation["Du"], equation["Dv"], equation["k"])
    return np.moveaxis(evolve(np.moveaxis(start, -1, 1), t, model), 2, -1)


def _shallow_water(start: np.ndarray, t: np.ndarray, width: float, equation: Mapping[str, Any]) -> np.ndarray:
    from tasks.pde.generate import shallow_water

    depth = start[..., 0]
    state = np.stack([depth, 0 * depth, 0 * depth], axis=1)  # at rest: the depth is all that is seen
    return shallow_water.evolve(state, width, t)[:, :, 0, ..., None]


def _incompressible(start: np.ndarray, t: np.ndarray, width: float, equation: Mapping[str, Any]) -> np.ndarray:
    from tasks.pde.generate.incompressible import Flow

    if equation["boundary"] == "walls":
        raise BenchError("the classical solver of incompressible flow is periodic, and these data have walls")
    found = []
    for force, velocity, smoke in zip(*np.split(np.moveaxis(start, -1, 1), [2, 4], axis=1), strict=True):
        flow = Flow(start.shape[1], equation["nu"], force, equation["faithful"])
        state = np.stack([flow.curl(flow.transform(velocity)), *flow.transform(smoke)])
        found.append(flow.frames(state, t))
    made = np.stack(found)
    force = np.broadcast_to(start[:, None, ..., :2], (*made.shape[:-1], 2))
    return np.concatenate([force, made], axis=-1)


def _darcy(start: np.ndarray, t: np.ndarray, width: float, equation: Mapping[str, Any]) -> np.ndarray:
    from tasks.pde.generate import darcy

    solved = np.stack([darcy.steady(a, equation["beta"]) for a in start[..., 0]])
    return np.stack([start[..., 0], solved], axis=1)[..., None]


def _compressible(start: np.ndarray, t: np.ndarray, width: float, equation: Mapping[str, Any]) -> np.ndarray:
    from tasks.pde.generate.compressible import advance, conservative, primitive
    from tasks.pde.generate.gas import GAMMA

    state = conservative(torch.from_numpy(start), GAMMA)
    eta, zeta, dims = equation["eta"], equation["zeta"], start.ndim - 2
    states, _ = advance(state, t.tolist(), [width] * dims, GAMMA, eta, zeta, equation["boundary"])
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
    initial: Tensor, axes: Sequence[Tensor], t: Tensor, equation: Mapping[str, Any], scale: float = 1.0
) -> Tensor:
    """States (batch, x.., times, predicted channels) at times t > 0 after `initial` (batch, x.., channels).

    scale: of the number of points along each axis; its inverse, or it, is a whole number. BenchError for an equation
    without such a solver.
    """
    if equation["name"] not in EVOLVE:
        raise BenchError(f"the classical solvers know {', '.join(EVOLVE)}, not {equation['name']!r}")
    width = float(axes[0][1] - axes[0][0]) / scale
    start = resized(initial.double(), scale)
    times = np.append(0.0, t.double().numpy())
    states = torch.from_numpy(EVOLVE[equation["name"]](start.numpy(), times, width, equation))[:, 1:]
    states = states[..., int(equation["constants"]) :]
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
    wanted = list(grid) if grid is not None else [round(n * scale) for n in fields.shape[1:-1]]
    mode = ("linear", "bilinear", "trilinear")[dims - 1]
    return functional.interpolate(first, size=wanted, mode=mode).movedim(1, -1)
