"""How far fields are from solving an equation.

The residuals are integral ones, so that they judge data and not our derivatives of them. For a 1-D periodic equation
u_t = -f(u)_x + nu u_xx + s(u), the lowest Fourier modes are integrated over two frames by Simpson's rule and compared
with how far they moved; shocks and grid-scale errors of the generator hardly touch them. For Darcy flow, the sum of
the fluxes through a cell's four faces, with harmonic means of the permeability, is compared with the source.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.pde.files.fields import Array, Fields
from tasks.pde.files.layout import Layout

MODES = 8  # highest Fourier mode of the residual
STEP = 0.5  # a mode is judged only if it turns or decays by less than this between two frames
# on the residual relative to the change of u; 20 samples of PDEBench's own Burgers generator: below 0.03
TOLERANCE = 0.1
# of the largest wave; where the highest ones hold more, a shock lies between points and the points do not determine u^2
RESOLVED = 0.01
DARCY_TOLERANCE = 0.02  # on a sample's median |residual| / beta; exact solutions in float32 on 128 x 128: below 1e-4


@dataclass(frozen=True)
class Equation:
    """u_t + (c u + b u^2/2)_x = nu u_xx + rho u (1 - u), periodic."""

    name: str
    speed: float = 0.0  # c
    steepening: float = 0.0  # b
    viscosity: float = 0.0  # nu
    growth: float = 0.0  # rho


def equation_of(layout: Layout) -> Equation | None:
    """The 1-D equation that a "scalar" file's attributes name, None for any other (PDEBench divides Burgers' Nu by pi)."""
    held = {name.lower(): value for name, value in layout.attributes.items()}
    if layout.family != "scalar":
        return None
    if "nu" in held and "rho" in held:
        return Equation("reaction-diffusion", viscosity=held["nu"], growth=held["rho"])
    if "nu" in held:
        return Equation("Burgers", steepening=1.0, viscosity=held["nu"] / np.pi)
    return Equation("advection", speed=held["beta"]) if "beta" in held else None


def residual(values: Array, spacing: float, interval: float, equation: Equation) -> Array:
    """How far each sample is from solving `equation`, relative to how far it moves: (samples,), 0 for a solution.

    values: (samples, frames, points), periodic, `spacing` apart in space and `interval` in time. The worst quarter of
    the frames counts, so that a field that freezes half-way is found out. NaN where nothing can be told: fewer than
    three frames, frames too far apart in time for even one mode (STEP), a field at rest that should be, or, where the
    equation multiplies fields, waves that the grid does not hold (RESOLVED).
    """
    u = values[:, : (values.shape[1] - 1) // 2 * 2 + 1].astype(float)
    samples, frames, points = u.shape
    if frames < 3:
        return np.full(samples, np.nan)

    def modes(field: Array) -> Array:
        return np.fft.rfft(field, axis=-1)[..., : MODES + 1] / points

    spectrum, size = modes(u), np.abs(u).max(axis=(1, 2))
    wave = 2 * np.pi * np.arange(spectrum.shape[-1]) / (points * spacing)
    speed = abs(equation.speed) + abs(equation.steepening) * size
    rate = speed[:, None] * wave + equation.viscosity * wave**2 + equation.growth
    slow = (rate * interval < STEP)[:, None, :]
    due = -1j * wave * (equation.speed * spectrum + equation.steepening * modes(u**2 / 2))
    due += equation.growth * modes(u * (1 - u)) - equation.viscosity * wave**2 * spectrum
    moved = (spectrum[:, 2::2] - spectrum[:, :-2:2]) * slow
    due = interval / 3 * (due[:, :-2:2] + 4 * due[:, 1::2] + due[:, 2::2]) * slow
    worst = np.full(samples, np.nan)
    fast = (np.abs(spectrum) * ~(rate * interval < STEP)[:, None, :]).max(axis=-1)
    fast = np.maximum(np.maximum(fast[:, :-2:2], fast[:, 1::2]), fast[:, 2::2])
    for part in np.array_split(np.arange(moved.shape[1]), min(4, moved.shape[1])):
        miss, far, should = (np.linalg.norm(x[:, part], axis=(1, 2)) for x in (moved - due, moved, due))
        scale = np.maximum(far, should)
        measurable = scale > 1e-4 * size  # below, rounding to float32 is a part of the change
        if equation.growth:  # what decays between two frames is in the product at times that no frame shows
            measurable &= fast[:, part].max(axis=1) < RESOLVED * size
        worst = np.fmax(worst, np.where(measurable, miss / np.where(measurable, scale, 1.0), np.nan))
    if equation.steepening:
        waves = np.abs(np.fft.rfft(u, axis=-1))
        highest = waves[..., -(waves.shape[-1] // 8 or 1) :].max(axis=-1)
        worst[(highest > RESOLVED * waves.max(axis=-1)).any(axis=1)] = np.nan
    return worst


def darcy_residual(permeability: Array, u: Array, spacing: tuple[float, float], source: float) -> Array:
    """Median over the inner cells of |-div(a grad u) - source| / |source|: (samples,).

    permeability and u: (samples, x, y). Cells at the wall are left out, where files differ in what lies beyond.
    """
    a, u = permeability.astype(float), u.astype(float)
    flux = {}
    for axis, h in ((1, spacing[0]), (2, spacing[1])):
        low, high = (np.delete(a, end, axis) for end in (-1, 0))
        flux[axis] = 2 * low * high / (low + high) * np.diff(u, axis=axis) / h**2
    inner = np.diff(flux[1], axis=1)[:, :, 1:-1] + np.diff(flux[2], axis=2)[:, 1:-1]
    return np.median(np.abs(-inner - source), axis=(1, 2)) / abs(source)


def darcy_misses(fields: Fields) -> Array:
    """The residual of each sample of a Darcy file, (samples,); NaN where the grid or a lacking source tells nothing."""
    source, axes = fields.attributes.get("beta", 0.0), fields.axes
    if not source or min(map(len, axes)) < 3:
        return np.full(len(fields.values), np.nan)
    spacing = (float(axes[0][1] - axes[0][0]), float(axes[1][1] - axes[1][0]))
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # what is not finite gives NaN
        return darcy_residual(fields.constants["nu"], fields.values[:, 0, ..., 0], spacing, source)
