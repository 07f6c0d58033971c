"""What may be wrong with a file of fields: its numbers, its axes, and whether they solve the equation it names.

The residuals are integral ones, so that they judge data and not our derivatives of them. For a 1-D periodic equation
u_t = -f(u)_x + nu u_xx + s(u), the lowest Fourier modes are integrated over two frames by Simpson's rule and compared
with how far they moved; shocks and grid-scale errors of the generator hardly touch them. For Darcy flow, the sum of
the fluxes through a cell's four faces, with harmonic means of the permeability, is compared with the source.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.pde.files import pdebench
from tasks.pde.files.fields import Array, Fields
from tasks.pde.files.pdebench import Foreign, Layout

BATCH = 16 << 20  # bytes of samples held at a time; one sample if it is larger
MODES = 8  # highest Fourier mode of the residual
STEP = 0.5  # a mode is judged only if it turns or decays by less than this between two frames
# on the residual relative to the change of u; 20 samples of PDEBench's own Burgers generator: below 0.03
TOLERANCE = 0.1
# of the largest wave; where the highest ones hold more, a shock lies between points and the points do not determine u^2
RESOLVED = 0.01
DARCY_TOLERANCE = 0.02  # on a sample's median |residual| / beta; exact solutions in float32 on 128 x 128: below 1e-4
JUMP = 20.0  # a frame's mean may move this many times as far as in the usual frame
GROUPS_OF_THE_LOADER = 24  # PDEBench's loader takes the grid of a .h5 file from its group "0023"


@dataclass(frozen=True)
class Finding:
    """One fault, or a remark that is none ("note"). where: in the file; next_step: what to do about it."""

    level: Literal["error", "warning", "note"]
    where: str
    what: str
    next_step: str


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


def check(path: Path) -> list[Finding]:
    """Everything found about `path`, errors first; raises Unavailable if there is no such file.

    Reads the file once, BATCH bytes of samples at a time.
    """
    try:
        layout = pdebench.info(path)
        tally = _Tally(layout)
        size = max(1, BATCH // max(1, layout.sample_bytes))
        for batch in pdebench.batches(path, size):
            tally.add(batch)
        old = pdebench.quirks(path)
        odd = pdebench.odd_groups(path)
    except Foreign as fault:
        return [Finding("error", fault.where, fault.reason, fault.step)]
    findings = [Finding("error", "file", what, "download the repaired version") for what in old]
    if odd:
        findings.append(
            Finding("error", _samples(odd), "lies on another grid than the first group", "make these again")
        )
    findings += _axes(layout) + _names(path, layout) + tally.findings()
    return sorted(findings, key=lambda finding: ("error", "warning", "note").index(finding.level))


def _axes(layout: Layout) -> list[Finding]:
    findings = []
    step = "the file is foreign, or its axes are damaged"
    axes = [*zip(pdebench.AXES, layout.axes, strict=False)]
    for name, axis in axes if layout.family == "darcy" else [*axes, ("t", layout.t)]:
        steps = np.diff(axis)
        if not np.isfinite(axis).all() or (steps <= 0).any():
            findings.append(Finding("error", name, f"the {name} axis does not increase", step))
        elif steps.size and np.ptp(steps) > 1e-2 * steps.mean():
            findings.append(Finding("warning", name, f"the {name} axis is not uniform", step))
    if layout.family in ("scalar", "cfd") and layout.times == layout.frames:
        what = f"t-coordinate has {layout.times} entries, PDEBench's files have one more than frames"
        findings.append(Finding("warning", "t", what, "nothing, if the times are those of the frames"))
    held = layout.attributes
    claims = [(f"{name}dim", name, float(len(axis))) for name, axis in axes] if layout.family == "seeds" else []
    if layout.family == "seeds":
        claims += [("tdim", "t", float(layout.frames)), ("t", "t", float(layout.t[-1]))]
    for claim, name, value in claims:
        if claim in held and not np.isclose(held[claim], value, rtol=1e-3):
            what = f"the config says {claim} = {held[claim]:g}, the {name} axis says {value:g}"
            findings.append(Finding("warning", name, what, step))
    return findings


def _names(path: Path, layout: Layout) -> list[Finding]:
    findings = []
    if (path.suffix == ".h5") != (layout.family == "seeds"):
        wanted = ".h5" if layout.family == "seeds" else ".hdf5"
        what = f"a {layout.family} file; PDEBench's loaders take it for another by the extension {path.suffix!r}"
        findings.append(Finding("warning", "file", what, f"rename it to {path.stem}{wanted}"))
    if layout.family == "seeds" and layout.samples < GROUPS_OF_THE_LOADER:
        what = f"{layout.samples} groups; PDEBench's own loader reads the grid of group 0023"
        findings.append(Finding("note", "file", what, "nothing, unless that loader is used"))
    return findings


def _samples(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"samples {shown}{', …' if len(numbers) > 5 else ''} ({len(numbers)})"


class _Tally:
    """What the batches of a file have shown so far."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.equation, self.start = layout, equation_of(layout), 0
        self.faults: dict[tuple[str, str], list[int]] = defaultdict(list)  # (fault, channel) -> samples
        self.first: dict[bytes, int] = {}  # digest -> sample
        self.zero = set(layout.names)
        self.residuals: list[float] = []

    def _mark(self, fault: str, channel: str, where: NDArray[np.bool_]) -> None:
        self.faults[fault, channel] += [self.start + int(row) for row in np.flatnonzero(where)]

    def add(self, batch: Fields) -> None:
        """Look at the next samples."""
        with np.errstate(invalid="ignore", over="ignore"):  # values that are not finite are a finding, no warning
            self._look(batch)
        self.start += len(batch.values)

    def _look(self, batch: Fields) -> None:
        values, space = batch.values, tuple(range(2, batch.values.ndim - 1))
        every = {name: values[..., channel] for channel, name in enumerate(batch.names)}
        sound = np.ones(len(values), bool)
        for name, field in (*every.items(), *batch.constants.items()):
            rest = tuple(range(1, field.ndim))
            finite = np.isfinite(field).all(axis=rest)
            self._mark("finite", name, ~finite)
            sound &= finite
            if name in every:
                self.zero -= set() if not field.any() else {name}
                self._mark("constant", name, finite & (np.ptp(field, axis=rest) == 0))
        if len(batch.t) > 3:
            still = (values[:, 1:] == values[:, :-1]).all(axis=(*space, -1))
            trail = np.cumprod(still[:, ::-1], axis=1).sum(axis=1)
            uneven = (np.ptp(values[:, -1], axis=tuple(range(1, len(space) + 1))) > 0).any(axis=1)
            self._mark("frozen", "", sound & uneven & (trail >= max(2, len(batch.t) // 10)))
            for name, field in every.items():
                jumps = np.abs(np.diff(field.mean(axis=space, dtype=float), axis=1))[:, 1:]  # the first may be abrupt
                limit = np.maximum(JUMP * np.median(jumps, axis=1), 0.1 * field.std(axis=(1, *space), dtype=float))
                self._mark("jump", name, sound & (jumps.max(axis=1) > limit))
        for row in np.flatnonzero(sound):
            parts = (values[row], *(constant[row] for constant in batch.constants.values()))
            digest = hashlib.blake2b(b"".join(part.tobytes() for part in parts), digest_size=16).digest()
            if self.first.setdefault(digest, self.start + int(row)) != self.start + row:
                self.faults["twice", ""].append(self.start + int(row))
        self._solve(batch, sound)

    def _solve(self, batch: Fields, sound: NDArray[np.bool_]) -> None:
        misses = np.full(len(sound), np.nan)
        spacings = [float(axis[1] - axis[0]) if len(axis) > 1 else 0.0 for axis in batch.axes]
        interval = float(batch.t[1] - batch.t[0]) if len(batch.t) > 1 else 0.0
        limit = TOLERANCE
        if self.equation and interval > 0 and spacings[0] > 0:
            misses[sound] = residual(batch.values[sound, ..., 0], spacings[0], interval, self.equation)
        elif self.layout.family == "darcy" and batch.attributes.get("beta") and min(spacings) > 0:
            limit, a, u = DARCY_TOLERANCE, batch.constants["nu"][sound], batch.values[sound, 0, ..., 0]
            misses[sound] = darcy_residual(a, u, (spacings[0], spacings[1]), batch.attributes["beta"])
        self._mark("residual", "", misses > limit)
        self.residuals += misses[np.isfinite(misses)].tolist()

    def findings(self) -> list[Finding]:
        """All faults, one finding for each kind and channel."""
        again, look = "make these samples again, or leave them out", "look at these samples before you use them"
        faults: dict[str, tuple[Literal["error", "warning"], str, str]] = {
            "finite": ("error", "values that are not finite", again),
            "constant": ("warning", "the same value everywhere and always", look),
            "frozen": ("warning", "the last frames are all the same while the field is uneven", look),
            "jump": ("warning", "the mean leaps between two frames", look),
            "twice": ("warning", "the same numbers as an earlier sample", "leave them out, or check the seeds"),
        }
        findings = []
        for name in self.zero if self.start else ():
            findings.append(Finding("error", name, "zero throughout", "check the generator's configuration"))
        for (fault, channel), samples in self.faults.items():
            if samples and fault in faults and not (fault == "constant" and channel in self.zero):
                level, what, step = faults[fault]
                findings.append(Finding(level, f"{channel} {_samples(samples)}".strip(), what, step))
        if not self.start:
            findings.append(Finding("error", "file", "no samples", "make it again"))
        return findings + self._verdict()

    def _verdict(self) -> list[Finding]:
        if self.layout.family == "darcy":
            name, limit = "the steady Darcy equation", DARCY_TOLERANCE
        elif self.equation:
            name, limit = self.equation.name, TOLERANCE
        else:
            what = "no attribute names an equation that is known here; the residual was not checked"
            return [Finding("note", "attributes", what, "nothing")]
        bad = self.faults["residual", ""]
        if bad:
            what = f"does not solve {name}: residual up to {max(self.residuals):.2g} (tolerance {limit:g})"
            return [Finding("error", _samples(bad), what, "compare the attributes with the generator's configuration")]
        if not self.residuals:
            what = f"frames too few, frames or points too far apart to tell whether {name} holds"
            return [Finding("note", "residual", what, "nothing")]
        what = f"{len(self.residuals)} samples solve {name}: residual up to {max(self.residuals):.2g} (tolerance {limit:g})"
        if (coarse := self.start - len(self.residuals)) > 0:
            what += f"; in {coarse} others frames or points are too far apart to tell"
        return [Finding("note", "residual", what, "nothing")]
