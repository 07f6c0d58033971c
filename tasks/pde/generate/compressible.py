"""Compressible flow of an ideal gas, inviscid or viscous, in one, two or three dimensions: a finite-volume solver.

The equations of PDEBench (Takamoto et al. 2022, arXiv 2210.07182, appendix on the compressible Navier-Stokes
equations), without heat conduction, for density rho, velocity v, pressure p and energy E = p / (gamma - 1) + rho |v|^2 / 2:

    rho_t + div(rho v) = 0,   (rho v)_t + div(rho v v + p) = div s,   E_t + div((E + p) v) = div(s v),
    s_ij = eta (d_i v_j + d_j v_i) + (zeta - 2 eta / 3) div(v) delta_ij.

The gas has three dimensions even where the flow varies along one or two, hence 2/3 in all of them. PDEBench's own
generator multiplies eta and zeta by the density; this one solves the equations as they are printed.

Scheme: primitive variables reconstructed with van Leer's harmonic limiter (van Leer 1974, MUSCL), the HLLC flux (Toro,
Spruce and Speares 1994) between the wave speeds of Einfeldt (1988), which keep density and pressure positive (Batten et
al. 1997), central viscous stresses, and the two-stage strong-stability-preserving Runge-Kutta method (Shu and Osher
1988) applied to all axes at once. Second order where the solution is smooth, first order at shocks.

Channels are ordered (density, pressure, velocity...), or when conservative (density, energy, momentum...).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contract import BenchError

BOUNDARIES = ("periodic", "outgoing")
POINTS = 4  # cells an axis has to have
FLOOR = 1e-4  # PDEBench's smallest pressure
STEPS = 1e7  # more steps than this to the next frame are taken for a breakdown


def conservative(primitive: Tensor, gamma: float, dim: int = -1) -> Tensor:
    """(density, energy, momentum...) from (density, pressure, velocity...) along `dim`."""
    density, pressure, velocity = _parts(primitive, dim)
    energy = pressure / (gamma - 1) + density * velocity.square().sum(dim, keepdim=True) / 2
    return torch.cat([density, energy, density * velocity], dim)


def primitive(conservative: Tensor, gamma: float, dim: int = -1) -> Tensor:
    """(density, pressure, velocity...) from (density, energy, momentum...) along `dim`."""
    density, energy, momentum = _parts(conservative, dim)
    velocity = momentum / density
    pressure = (gamma - 1) * (energy - (momentum * velocity).sum(dim, keepdim=True) / 2)
    return torch.cat([density, pressure, velocity], dim)


def advance(
    state: Tensor,
    times: Sequence[float],
    spacing: Sequence[float],
    gamma: float = 5 / 3,
    eta: float = 0.0,
    zeta: float = 0.0,
    boundary: str = "periodic",
    courant: float = 0.4,
) -> tuple[Tensor, int]:
    """States (samples, times, x[, y[, z]], 2 + dims) at `times` after `state`, and how often the floor was needed.

    state: cell averages of the conservative variables at time 0, (samples, x[, y[, z]], 2 + dims). times: increasing,
    not negative. spacing: width of a cell along each axis. eta, zeta: shear and bulk viscosity. boundary: "periodic",
    or "outgoing", where the outermost cells are repeated beyond the edge. courant: time step in cells crossed by the
    fastest wave, summed over axes; viscosity limits it too. Each sample takes time steps of its own, so a trajectory
    does not depend on the others in its batch.

    A safeguard, outside the equations and not conservative: pressure below FLOOR is raised to it. The second result
    counts how many times that happened to a cell in a stage of a step; a resolved calculation has zero.

    BenchError for parameters or states outside these ranges, and if the solution stops being finite, with the time.
    """
    _check(state, times, spacing, gamma, eta, zeta, boundary, courant)
    flow = _Flow(tuple(spacing), gamma, eta, zeta, boundary == "periodic")
    # A copy, changed in place from here on, with the channels first: each is contiguous in memory.
    state = state.double().movedim(-1, 0).clone(memory_format=torch.contiguous_format)
    values = primitive(state, gamma, 0)
    now = torch.zeros(state.shape[1], dtype=torch.float64)
    frames, floored = [], 0
    for time in times:
        while bool((going := now < time).any()):  # samples that have arrived wait for the others
            left, old, latest = time - now[going], state[:, going], values[:, going]
            steps = (left / flow.limit(latest, courant)).ceil().clamp(min=1)
            if not bool((steps < STEPS).all()):  # `not … all` is true of NaN too
                raise _breakdown(float(now[going].min()))
            dt = (left / steps).view(-1, *(1,) * len(spacing))
            middle, latest, low = flow.settle(old + dt * flow.slope(latest))
            state[:, going], values[:, going], lower = flow.settle((old + middle + dt * flow.slope(latest)) / 2)
            floored += low + lower
            now[going] = torch.where(steps == 1, time, now[going] + dt.flatten())
        if not bool(values.isfinite().all()):
            raise _breakdown(time)
        frames.append(state.movedim(0, -1).clone())
    return torch.stack(frames, dim=1), floored


@dataclass(frozen=True)
class _Flow:
    """The equations on a grid. Tensors here are (channels, samples, x[, y[, z]])."""

    spacing: tuple[float, ...]
    gamma: float
    eta: float
    zeta: float
    periodic: bool

    def limit(self, values: Tensor, courant: float) -> Tensor:
        """The largest stable time step of each sample, (samples,)."""
        sound = (self.gamma * values[1] / values[0]).sqrt()
        waves = sum((values[2 + i].abs() + sound) / h for i, h in enumerate(self.spacing))
        # Explicit central diffusion by a coefficient d is stable up to 2 / (4 d / h^2); half of that is used.
        stiffness = 4 * (4 / 3 * self.eta + self.zeta) * sum(h**-2 for h in self.spacing)
        return 1 / (waves / courant + stiffness / values[0]).flatten(1).amax(1)

    def settle(self, state: Tensor) -> tuple[Tensor, Tensor, int]:
        """The state with its pressure at FLOOR or above, its primitive variables, and the number of cells raised."""
        values = primitive(state, self.gamma, 0)
        low = values[1] < FLOOR
        count = int(low.sum())
        if count:
            values[1] = torch.where(low, FLOOR, values[1])
            state = conservative(values, self.gamma, 0)
        return state, values, count

    def slope(self, values: Tensor) -> Tensor:
        """Time derivative of the conservative variables: fluxes in less fluxes out along every axis."""
        total = torch.zeros_like(values)
        for axis, h in enumerate(self.spacing):
            flux = _hllc(*self.sides(values, axis), axis, self.gamma)
            if self.eta or self.zeta:
                flux[1:] -= self.viscous(values[2:], axis)
            total -= flux.diff(dim=axis + 2) / h
        return total

    def sides(self, values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """The limited reconstruction from the left and from the right of each of an axis's points + 1 faces."""
        dim, cells = axis + 2, values.shape[axis + 2]
        values = self.padded(values, dim, 2)
        steps = values.diff(dim=dim)
        behind, ahead = steps.narrow(dim, 0, cells + 2), steps.narrow(dim, 1, cells + 2)
        product = behind * ahead
        # Half the harmonic mean of the two differences where they agree in sign, zero at extrema.
        change = torch.where(product > 0, product / (behind + ahead), 0.0)
        values = values.narrow(dim, 1, cells + 2)
        return (values + change).narrow(dim, 0, cells + 1), (values - change).narrow(dim, 1, cells + 1)

    def viscous(self, velocity: Tensor, axis: int) -> Tensor:
        """s_j axis at the faces of an axis, below its work sum_j v_j s_j axis: (1 + dims, samples, ...)."""
        dim = axis + 2
        cells = self.padded(velocity, dim, 1)
        faces = (cells.narrow(dim, 1, cells.shape[dim] - 1) + cells.narrow(dim, 0, cells.shape[dim] - 1)) / 2
        slopes = []  # d v / d x_i at the faces
        for i, h in enumerate(self.spacing):
            if i == axis:
                slopes.append(cells.diff(dim=dim) / h)
            else:
                beside, points = self.padded(faces, i + 2, 1), faces.shape[i + 2]
                slopes.append((beside.narrow(i + 2, 2, points) - beside.narrow(i + 2, 0, points)) / (2 * h))
        stress = self.eta * (slopes[axis] + torch.stack([slope[axis] for slope in slopes]))
        stress[axis] += (self.zeta - 2 / 3 * self.eta) * torch.stack([s[i] for i, s in enumerate(slopes)]).sum(0)
        return torch.cat([(faces * stress).sum(0, keepdim=True), stress])

    def padded(self, values: Tensor, dim: int, width: int) -> Tensor:
        """`width` ghost cells at both ends of a dimension."""
        points = values.shape[dim]
        cells = torch.arange(-width, points + width)
        return values.index_select(dim, cells % points if self.periodic else cells.clamp(0, points - 1))


def _parts(channels: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    first, second, rest = channels.split([1, 1, channels.shape[dim] - 2], dim)
    return first, second, rest


def _hllc(left: Tensor, right: Tensor, axis: int, gamma: float) -> Tensor:
    """Flux through faces along `axis` between primitive states: Toro, Riemann Solvers, section 10.4."""
    normal = 2 + axis
    (rl, pl, ul), (rr, pr, ur) = ((side[0], side[1], side[normal]) for side in (left, right))
    cl, cr = gamma * pl / rl, gamma * pr / rr  # squares of the speeds of sound
    share = 1 / (1 + (rr / rl).sqrt())  # the left state's weight in Roe's average
    mean = ur + share * (ul - ur)
    sound = (cr + share * (cl - cr) + share * (1 - share) / 2 * (ur - ul).square()).sqrt()
    slowest = torch.minimum(ul - cl.sqrt(), mean - sound)
    fastest = torch.maximum(ur + cr.sqrt(), mean + sound)
    into_left, into_right = rl * (ul - slowest), rr * (fastest - ur)  # mass crossing the outer waves
    contact = (pl - pr + into_left * ul + into_right * ur) / (into_left + into_right)

    # Only the side of the contact wave on which the face lies matters.
    on_left = contact > 0
    values = torch.where(on_left, left, right)
    wave = torch.where(on_left, slowest, fastest)
    density, pressure, speed = values[0], values[1], values[normal]
    state = conservative(values, gamma, 0)
    flux = speed * state
    flux[1] += pressure * speed
    flux[normal] += pressure
    # The jump to the star state across the outer wave counts if that wave moves away from the face's side.
    squeeze = (wave - speed) / (wave - contact)
    jump = (squeeze - 1) * state
    jump[1] += squeeze * (contact - speed) * (density * contact + pressure / (wave - speed))
    jump[normal] += squeeze * density * (contact - speed)
    return flux + torch.where(on_left, wave.clamp(max=0), wave.clamp(min=0)) * jump


def _check(
    state: Tensor,
    times: Sequence[float],
    spacing: Sequence[float],
    gamma: float,
    eta: float,
    zeta: float,
    boundary: str,
    courant: float,
) -> None:
    dims = len(spacing)
    if not 1 <= dims <= 3 or state.ndim != dims + 2 or state.shape[-1] != dims + 2:
        raise BenchError(f"a state of shape {tuple(state.shape)} does not fit {dims} axes and {dims + 2} channels")
    if min(state.shape[1:-1]) < POINTS:
        raise BenchError(f"a grid of {tuple(state.shape[1:-1])} cells is too coarse: give each axis {POINTS} or more")
    if not gamma > 1:
        raise BenchError(f"gamma {gamma} is not above 1")
    if not (eta >= 0 and zeta >= 0):
        raise BenchError(f"viscosity cannot be negative: eta {eta}, zeta {zeta}")
    if boundary not in BOUNDARIES:
        raise BenchError(f"boundary {boundary!r} is unknown; there are {', '.join(BOUNDARIES)}")
    if not 0 < courant < 1:
        raise BenchError(f"courant {courant} is not between 0 and 1")
    if any(after < before for before, after in zip([0.0, *times], times, strict=False)):
        raise BenchError("times have to increase from 0 on")
    values = primitive(state.double(), gamma)
    if not bool(values.isfinite().all() & (values[..., 0] > 0).all() & (values[..., 1] >= FLOOR).all()):
        raise BenchError(f"the initial state needs finite values, density above 0 and pressure from {FLOOR:g} on")


def _breakdown(time: float) -> BenchError:
    return BenchError(
        f"the compressible flow is not finite, or needs a vanishing time step, at t = {time:.6g}: "
        "take more points, a smaller courant number or more viscosity"
    )
