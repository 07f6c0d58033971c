"""Trajectories of a compressible gas: PDEBench's random fields, shock tubes and turbulence (arXiv 2210.07182, appendix).

The distributions are PDEBench's, with these differences: waves are exactly periodic, nothing is rectified or windowed,
solenoidal velocities are so to machine precision, and no density or pressure can be drawn below a tenth of its mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contract import BenchError
from tasks.pde.fields import Waves
from tasks.pde.files.fields import Fields
from tasks.pde.generate.compressible import advance, conservative, primitive

Array = NDArray[np.float64]
# From cells as wide as `width` centred on `axes`, the conservative variables (samples, x[, y[, z]], channels).
Initial = Callable[[list[Array], float], Array]

POINTS = 8  # along an axis
KINDS = ("random", "shock", "turbulence")
GAMMA = 5 / 3
MODES_LINE, MODES_BOX = 3, 4  # the largest wave number along an axis, on a line and in a box
DEEPEST = 0.9  # the deepest trough of density or pressure, relative to the mean
CHUNK = 2**14  # cells advanced together: few enough for the processor's cache, many enough to hide Python's overhead


@dataclass(frozen=True)
class Flow:
    """What is drawn and how it is solved.

    kind: "random", waves in all fields, on a line (-1, 1) or, if dims is 2 or 3, in the unit square or cube; "shock", a
    tube (-1, 1) of two states (PDEBench stops at 0.4); "turbulence", a uniform gas stirred by a solenoidal velocity, in
    two or three dimensions. points: cells along each axis. eta, zeta: shear and bulk viscosity. mach: mean speed over
    the speed of sound, unused on a line. boundary: "periodic" or "outgoing"; None is outgoing for shock, else periodic.
    refine: cells computed for each cell stored, along an axis; the conservative variables are averaged. The same seed
    draws the same functions for any points and refine, so the error of a grid can be measured against a finer one.
    """

    kind: str
    points: int = 64
    frames: int = 21
    final_time: float = 1.0
    dims: int = 1
    eta: float = 1e-8
    zeta: float = 1e-8
    mach: float = 0.1
    boundary: str | None = None
    refine: int = 1


def generate(flow: Flow, samples: int, seed: int) -> Fields:
    """`samples` trajectories of density, pressure and velocity (Vx[, Vy[, Vz]]), at `frames` times from 0 to final_time.

    The attribute `floored` counts how often the solver's pressure floor acted. BenchError for an unknown kind, for
    numbers out of range and if the flow stops being finite: see `compressible.advance`.
    """
    _check(flow, samples)
    dims, line = flow.dims, flow.dims == 1
    boundary = flow.boundary or ("outgoing" if flow.kind == "shock" else "periodic")
    rng = np.random.default_rng(seed)
    if flow.kind == "shock":
        initial = _shock_tubes(rng, samples)
    elif line:
        initial = _random_line(rng, samples)
    else:
        initial = (_random_box if flow.kind == "random" else _turbulence)(rng, samples, dims, flow.mach)

    lower, length = (-1.0, 2.0) if line else (0.0, 1.0)
    cells = flow.points * flow.refine
    state = torch.from_numpy(initial([_centres(lower, length, cells)] * dims, length / cells))
    t = np.linspace(0, flow.final_time, flow.frames)
    values, floored = [], 0
    for chunk in state.split(max(1, CHUNK // cells**dims)):
        states, low = advance(chunk, t.tolist(), [length / cells] * dims, GAMMA, flow.eta, flow.zeta, boundary)
        values.append(primitive(_coarsen(states, flow.refine), GAMMA))
        floored += low
    attributes = {"eta": flow.eta, "zeta": flow.zeta, "gamma": GAMMA, "floored": floored}
    return Fields(
        values=torch.cat(values).numpy(),
        axes=(_centres(lower, length, flow.points),) * dims,
        t=t,
        names=("density", "pressure", *("Vx", "Vy", "Vz")[:dims]),
        attributes=attributes | ({} if line else {"M": flow.mach}),
    )


def _random_line(rng: np.random.Generator, samples: int) -> Initial:
    """Two waves a field. Density is b + m w with w scaled to (0, 1), b and m log-uniform on (1, 10); pressure tenfold."""
    waves = [_two_waves(rng, samples) for _ in range(3)]
    scales = 10 ** rng.uniform(0, 1, (2, 2, samples, 1)) * np.reshape([1.0, 10.0], (2, 1, 1, 1))
    probe = _centres(0, 1, 1024)  # extremes are taken here, to be the same for any grid

    def initial(axes: list[Array], width: float) -> Array:
        x = (axes[0] + 1) / 2
        scaled = []
        for wave, (offset, scale) in zip(waves, scales, strict=False):
            low, high = (extreme(wave(probe), axis=1, keepdims=True) for extreme in (np.min, np.max))
            scaled.append(offset + scale * (wave(x) - low) / (high - low))
        return _conservative(*scaled, waves[2](x))

    return initial


def _two_waves(rng: np.random.Generator, samples: int) -> Waves:
    shape = (samples, 2)
    numbers = rng.integers(1, MODES_LINE + 1, shape).astype(float)
    return Waves(rng.uniform(0, 1, shape), numbers, rng.uniform(0, 2 * math.pi, shape))


def _shock_tubes(rng: np.random.Generator, samples: int) -> Initial:
    """Two states that meet in the middle half: density log-uniform on (1, 10), pressure tenfold, speed on (-1/2, 1/2)."""
    density, pressure = 10 ** rng.uniform(0, 1, (2, samples)), 10 ** rng.uniform(1, 2, (2, samples))
    speed, place = rng.uniform(-0.5, 0.5, (2, samples)), rng.uniform(-0.5, 0.5, (samples, 1))

    def initial(axes: list[Array], width: float) -> Array:
        left, right = _conservative(density, pressure, speed)[:, :, None]
        share = np.clip((place - axes[0]) / width + 0.5, 0, 1)[..., None]  # of a cell that lies on the left
        return share * left + (1 - share) * right

    return initial


def _random_box(rng: np.random.Generator, samples: int, dims: int, mach: float) -> Initial:
    """Density, pressure and velocity of all waves up to MODES_BOX, around means rho0 and rho0 T0, both from U(.1, 10).

    Mean deviations relative to the means are from U(.01, .2); the mean speed is mach times the speed of sound at T0.
    """
    density, temperature = rng.uniform(0.1, 10, (2, samples))
    depths = rng.uniform(0.01, 0.2, (samples, 2))
    waves = _spectrum(rng, samples, 2 + dims, dims)
    speed = mach * np.sqrt(GAMMA * temperature)

    def initial(axes: list[Array], width: float) -> Array:
        scale = _per_sample(np.stack([density, density * temperature]), dims)
        ripples = _ripples(waves[:, :2], depths, axes)
        fields = scale * (1 + np.moveaxis(ripples, 1, 0))
        return _conservative(*fields, *_stir(waves[:, 2:], speed, axes))

    return initial


def _turbulence(rng: np.random.Generator, samples: int, dims: int, mach: float) -> Initial:
    """Density 1, pressure such that the speed of sound is 1 / mach, and a velocity without divergence of mean speed 1."""
    waves = _spectrum(rng, samples, dims, dims)
    vectors = _wave_vectors(dims)
    square = np.maximum((vectors**2).sum(axis=0), 1)
    waves = waves - vectors * (vectors * waves).sum(axis=1, keepdims=True) / square

    def initial(axes: list[Array], width: float) -> Array:
        velocity = _stir(waves, np.ones(samples), axes)
        ones = np.ones_like(velocity[0])
        return _conservative(ones, ones / (GAMMA * mach**2), *velocity)

    return initial


def _wave_vectors(dims: int) -> Array:
    """(dims, 2 k + 1, ...): every vector of integers up to k = MODES_BOX in size."""
    return np.stack(np.meshgrid(*[np.arange(-MODES_BOX, MODES_BOX + 1.0)] * dims, indexing="ij"))


def _spectrum(rng: np.random.Generator, samples: int, fields: int, dims: int) -> NDArray[np.complex128]:
    """Amplitudes |k|^(-1/2) with random phases, none for k = 0: (samples, fields, 2 k + 1, ...)."""
    square = (_wave_vectors(dims) ** 2).sum(axis=0)
    sizes = np.where(square > 0, np.maximum(square, 1) ** -0.25, 0)
    return np.asarray(sizes * np.exp(2j * math.pi * rng.uniform(size=(samples, fields, *square.shape))))


def _evaluate(waves: NDArray[np.complex128], axes: list[Array]) -> Array:
    """Im sum_k c_k exp(2 pi i k x) on a grid: (samples, fields, x[, y[, z]])."""
    numbers = np.arange(-MODES_BOX, MODES_BOX + 1)
    for axis in axes:  # each contraction takes the first axis of wave numbers and adds one of space at the end
        waves = np.tensordot(waves, np.exp(2j * math.pi * np.outer(numbers, axis)), axes=(2, 0))
    return waves.imag


def _probe(waves: NDArray[np.complex128]) -> Array:
    """Values on one fixed grid, from which means and extremes are taken, to be the same for any other grid."""
    return _evaluate(waves, [_centres(0, 1, 8 * MODES_BOX)] * (waves.ndim - 2))


def _ripples(waves: NDArray[np.complex128], depths: Array, axes: list[Array]) -> Array:
    """Waves whose mean size is `depths` (samples, fields), or less where a trough would pass DEEPEST."""
    probe = _probe(waves)
    space = tuple(range(2, probe.ndim))
    factors = np.minimum(depths / np.abs(probe).mean(axis=space), DEEPEST / -probe.min(axis=space))
    return _per_sample(factors, len(axes)) * _evaluate(waves, axes)


def _stir(waves: NDArray[np.complex128], speed: Array, axes: list[Array]) -> Array:
    """Velocity (dims, samples, ...) whose size is `speed` (samples,) on average."""
    size = np.sqrt((_probe(waves) ** 2).sum(axis=1))
    factors = speed / size.reshape(len(size), -1).mean(axis=1)
    return np.moveaxis(_evaluate(waves, axes), 1, 0) * _per_sample(factors, len(axes))


def _per_sample(factors: Array, dims: int) -> Array:
    return factors.reshape(*factors.shape, *(1,) * dims)


def _centres(lower: float, length: float, cells: int) -> Array:
    return lower + (np.arange(cells) + 0.5) * length / cells


def _conservative(*primitives: Array) -> Array:
    """Channels last, from density, pressure and velocity one by one."""
    return np.asarray(conservative(torch.from_numpy(np.stack(primitives, axis=-1)), GAMMA).numpy())


def _coarsen(states: torch.Tensor, factor: int) -> torch.Tensor:
    """Means over blocks of `factor` cells along each axis of (samples, frames, x[, y[, z]], channels)."""
    for axis in range(2, states.ndim - 1):
        states = states.unflatten(axis, (-1, factor)).mean(axis + 1)
    return states


def _check(flow: Flow, samples: int) -> None:
    if flow.kind not in KINDS:
        raise BenchError(f"kind {flow.kind!r} is unknown; there are {', '.join(KINDS)}")
    if flow.dims not in {"random": (1, 2, 3), "shock": (1,), "turbulence": (2, 3)}[flow.kind]:
        raise BenchError(
            f"{flow.kind} has no version in {flow.dims} dimensions: random has 1 to 3, shock 1, turbulence 2 or 3"
        )
    if flow.points < POINTS:
        raise BenchError(f"{flow.points} points are too few: give each axis {POINTS} or more")
    if samples < 1 or flow.frames < 2 or flow.refine < 1:
        raise BenchError(f"at least 1 sample, 2 frames, refine 1: got {samples}, {flow.frames}, {flow.refine}")
    if not (flow.final_time > 0 and flow.mach > 0):
        raise BenchError(f"final_time {flow.final_time} and mach {flow.mach} have to be positive")
