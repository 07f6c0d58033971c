"""Two-dimensional incompressible Navier-Stokes flow on the periodic unit square that carries smoke.

w_t + V.grad w = nu lap w + curl F, s_t + V.grad s = nu lap s for the vorticity w of the velocity V = (Vx, Vy), a static
force F and the smoke s, called "particles" after PDEBench (Takamoto et al. 2022, arXiv 2210.07182, appendix on the
inhomogeneous incompressible Navier-Stokes equations). What differs from there: PDEBench's square has walls where V = 0,
this one is periodic; its semi-Lagrangian scheme diffuses the smoke by an amount that depends on the grid, here the
smoke's diffusivity is nu; its initial fields and force are power-law noise, here sums of a few waves that do not depend
on the grid, and the initial velocity and the force are free of divergence.

Pseudo-spectral with the 2/3 rule (Orszag 1971); viscosity by an integrating factor, the rest by fourth-order
Runge-Kutta.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from bench.contract import BenchError
from tasks.pde.files.fields import Fields

Array = NDArray[np.float64]
Spectrum = NDArray[np.complex128]
WAVES = 3  # largest wave number of the initial fields and of the force, in each direction
STABLE = 3 * math.sqrt(2) / math.pi  # cells a step: wave numbers up to a third of the points, rates up to 2 sqrt(2)
FORCE = 2.0  # root mean square of the force; that of the initial velocity is 1


def draw(rng: np.random.Generator) -> Spectrum:
    """Amplitudes of exp(2 pi i k.x) for -3 <= kx, ky <= 3: independent normals times 1 / |k|^2, none at k = 0."""
    kx, ky = np.mgrid[-WAVES : WAVES + 1, -WAVES : WAVES + 1]
    square = np.maximum(kx**2 + ky**2, 1)
    return np.asarray(rng.standard_normal((*square.shape, 2)) @ [1, 1j] / square * ((kx != 0) | (ky != 0)))


def values(amplitudes: Spectrum, x: Array) -> Array:
    """The real field (..., x, x) of amplitudes (..., 7, 7)."""
    basis = np.exp(2j * math.pi * np.arange(-WAVES, WAVES + 1)[:, None] * x)
    return np.asarray((basis.T @ amplitudes @ basis).real)


def swirl(rng: np.random.Generator, x: Array) -> tuple[Array, Array]:
    """A random velocity (2, x, x) without divergence, of root mean square 1, and its vorticity (x, x)."""
    stream, (kx, ky) = draw(rng), np.mgrid[-WAVES : WAVES + 1, -WAVES : WAVES + 1]
    velocity = values(2j * math.pi * np.stack([ky * stream, -kx * stream]), x)
    vorticity = values(4 * math.pi**2 * (kx**2 + ky**2) * stream, x)
    size = math.sqrt((velocity**2).sum(axis=0).mean())
    return velocity / size, vorticity / size


def resolution(points: int, nu: float) -> int:
    """Points a side that the flow is computed on: a multiple of `points`, at least 64 sqrt(0.01 / nu) and 64.

    The thinnest layers, of a width of sqrt(nu / strain), then span several points.
    """
    return points * 2 ** max(0, math.ceil(math.log2(64 * max(1.0, math.sqrt(0.01 / nu)) / points)))


class Flow:
    """The equations on n x n points: states are spectra (2, ..., n, n // 2 + 1) of vorticity and smoke."""

    def __init__(self, n: int, nu: float, force: Array | None = None, faithful: bool = False) -> None:
        """force: (2, ..., n, n). `faithful`: it acts in proportion to the smoke."""
        self.n, self.nu, self.faithful = n, nu, faithful
        kx, ky = np.arange(n)[:, None], np.arange(n // 2 + 1)
        kx = np.where(kx > n // 2, kx - n, kx)
        self.kept = (abs(kx) < n / 3) & (ky < n / 3)
        self.gradient = 2j * math.pi * np.stack(np.broadcast_arrays(kx, ky))
        self.square = (abs(self.gradient) ** 2).sum(axis=0)
        self.inverse = np.divide(1, self.square, out=np.zeros_like(self.square), where=self.square > 0)
        self.force = np.zeros((2, n, n)) if force is None else force
        self.torque = 0 if faithful else self.curl(self.transform(self.force))

    def transform(self, field: Array) -> Spectrum:
        """Spectra of the last two axes without the wave numbers that the 2/3 rule drops."""
        return np.asarray(fft.rfft2(field, norm="forward") * self.kept)

    def values(self, spectrum: Spectrum) -> Array:
        return np.asarray(fft.irfft2(spectrum, (self.n, self.n), norm="forward"))

    def curl(self, vector: Spectrum) -> Spectrum:
        return np.asarray(self.gradient[0] * vector[1] - self.gradient[1] * vector[0])

    def velocity(self, vorticity: Spectrum) -> Spectrum:
        """The velocity with mean zero: (2, ..., n, n // 2 + 1)."""
        stream = vorticity * self.inverse
        return np.stack([self.gradient[1] * stream, -self.gradient[0] * stream])

    def slope(self, state: Spectrum) -> Spectrum:
        """All of d state / dt but the viscous term; in flux form, which keeps the means to rounding."""
        fields = self.values(np.concatenate([self.velocity(state[0]), state]))
        flux = self.transform(fields[:2, None] * fields[2:])
        out = -(self.gradient[0] * flux[0] + self.gradient[1] * flux[1])
        out[0] += self.curl(self.transform(self.force * fields[3])) if self.faithful else self.torque
        return np.asarray(out)

    def advance(self, state: Spectrum, duration: float, refine: int = 1, courant: float | None = None) -> Spectrum:
        """The state after `duration`, in equal steps short enough for the flow at its start.

        A step moves the fluid by at most `courant` cells, up to STABLE. Unless given, by a cell, or 1/128 of the side if cells
        are larger: accurate to 1e-6.
        """
        speed = abs(self.values(self.velocity(state[0]))).sum(axis=0).max()
        push = abs(self.force).sum(axis=0).max() * (abs(self.values(state[1])).max() if self.faithful else 1)
        each = max(self.n, 128) if courant is None else self.n / courant  # steps to cross the square
        steps = refine * max(1, math.ceil(duration * (speed + duration * push) * each))
        dt = duration / steps
        half = np.exp(-self.nu * self.square * dt / 2)
        for _ in range(steps):
            a = self.slope(state)
            middle = half * state
            b = self.slope(middle + dt / 2 * half * a)
            c = self.slope(middle + dt / 2 * b)
            d = self.slope(half * (middle + dt * c))
            state = half * (middle + dt / 6 * half * a + dt / 3 * (b + c)) + dt / 6 * d
        return state

    def frames(self, state: Spectrum, t: Array, refine: int = 1, courant: float | None = None) -> Array:
        """Vx, Vy and smoke at increasing times t from the state at t[0]: (frames, ..., n, n, 3)."""
        out = np.empty((len(t), *state.shape[1:-2], self.n, self.n, 3))
        for frame in range(len(t)):
            if frame:
                state = self.advance(state, t[frame] - t[frame - 1], refine, courant)
            out[frame] = np.moveaxis(self.values(np.concatenate([self.velocity(state[0]), state[1:]])), 0, -1)
        return out


def generate(
    samples: int,
    seed: int,
    points: int,
    frames: int = 21,
    final_time: float = 1.0,
    nu: float = 0.01,
    faithful: bool = False,
    refine: int = 1,
) -> Fields:
    """Trajectories on cell centres of the unit square at `frames` equal times from 0 to `final_time`.

    Values (samples, frames, points, points, 3) of the channels "Vx", "Vy" and "particles"; the constants "force_x" and
    "force_y" are (samples, points, points). The smoke starts as the square of a random field, with mean 1. `faithful`:
    the force acts in proportion to the smoke, as in PDEBench's code; the net push on the whole fluid, which walls
    would balance, is dropped. `refine` divides the time steps, to measure their error.

    BenchError for samples < 1, points < 8, frames < 1, final_time <= 0, nu <= 0 or refine < 1.
    """
    if samples < 1 or points < 8 or frames < 1 or not final_time > 0 or not nu > 0 or refine < 1:
        raise BenchError(
            f"incompressible: samples={samples}, points={points}, frames={frames}, final_time={final_time}, nu={nu}, "
            f"refine={refine}; wanted are samples >= 1, points >= 8, frames >= 1, final_time > 0, nu > 0, refine >= 1"
        )
    fine = resolution(points, nu)
    stride = fine // points
    x = (np.arange(points) + 0.5) / points
    # The stored grid's centres lie on the fine grid if that grid starts at the first of them.
    place = x[0] + np.arange(fine) / fine
    rng, t = np.random.default_rng(seed), np.linspace(0, final_time, frames)
    out, forces = np.empty((samples, frames, points, points, 3)), np.empty((2, samples, points, points))
    for sample in range(samples):
        _, vorticity = swirl(rng, place)
        force = FORCE * swirl(rng, place)[0]
        smoke = values(draw(rng), place) ** 2
        flow = Flow(fine, nu, force, faithful)
        state = flow.transform(np.stack([vorticity, smoke / smoke.mean()]))
        out[sample] = flow.frames(state, t, refine)[:, ::stride, ::stride]
        forces[:, sample] = force[:, ::stride, ::stride]
    constants = {"force_x": forces[0], "force_y": forces[1]}
    return Fields(out, (x, x), t, ("Vx", "Vy", "particles"), {"nu": nu}, constants)
