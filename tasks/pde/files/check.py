"""What may be wrong with a file of fields: its numbers, its axes, and whether they solve the equation it names."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.pde.files import pdebench, reading
from tasks.pde.files.fields import Fields
from tasks.pde.files.layout import AXES, Foreign, Layout
from tasks.pde.files.residuals import DARCY_TOLERANCE, TOLERANCE, darcy_misses, equation_of, residual

BATCH = 16 << 20  # bytes of samples held at a time; one sample if it is larger
DARCY = ("darcy", "neuraloperator")  # the formats of one steady frame
JUMP = 20.0  # a frame's mean may move this many times as far as in the usual frame
GROUPS_OF_THE_LOADER = 24  # PDEBench's loader takes the grid of a .h5 file from its group "0023"


@dataclass(frozen=True)
class Finding:
    """One fault, or a remark that is none ("note"). where: in the file; next_step: what to do about it."""

    level: Literal["error", "warning", "note"]
    where: str
    what: str
    next_step: str


def check(path: Path) -> list[Finding]:
    """Everything found about `path`, errors first; raises Unavailable if there is no such file.

    Reads the file once, BATCH bytes of samples at a time.
    """
    try:
        layout = reading.info(path)
        tally = _Tally(layout)
        size = max(1, BATCH // max(1, layout.sample_bytes))
        for batch in reading.batches(path, size):
            tally.add(batch)
        old = quirks(path)
        odd = pdebench.odd_groups(path) if layout.family == "seeds" else []
    except Foreign as fault:
        return [Finding("error", fault.where, fault.reason, fault.step)]
    findings = [Finding("error", "file", what, "download the repaired version") for what in old]
    if odd:
        findings.append(
            Finding("error", _samples(odd), "lies on another grid than the first group", "make these again")
        )
    findings += _axes(layout) + _names(path, layout) + tally.findings()
    return sorted(findings, key=lambda finding: ("error", "warning", "note").index(finding.level))


def quirks(path: Path) -> list[str]:
    """What old PDEBench downloads got wrong, if `path` shows it: Burgers on (-1, 1) and advection at twice its `beta`.

    Both were repaired in 2023 (issues 51 and 46 of PDEBench). Speed is told by shifting the first frames of up to eight
    samples by beta dt and by 2 beta dt, exactly, in Fourier space.
    """
    layout = reading.info(path)
    if layout.family != "scalar":
        return []
    held = {name.lower(): value for name, value in layout.attributes.items()}
    if "nu" in held and "rho" not in held and layout.axes[0][0] < 0:
        return ["x lies in (-1, 1) and shocks have half their speed: Burgers as downloaded before 2023-10 (issue 51)"]
    if not held.get("beta") or layout.frames < 2 or layout.shape[0] < 2:
        return []
    start, after = np.moveaxis(reading.read(path, slice(8)).values[:, :2, :, 0].astype(float), 1, 0)
    x, step = layout.axes[0], layout.t[1] - layout.t[0]
    wave = 2 * np.pi * np.fft.rfftfreq(len(x), x[1] - x[0])

    def miss(speed: float) -> float:
        moved = np.fft.irfft(np.fft.rfft(start) * np.exp(-1j * wave * speed * step), len(x))
        return float(np.linalg.norm(moved - after))

    if miss(2 * held["beta"]) < 0.5 * miss(held["beta"]):
        return ["the field moves at 2 beta: advection as downloaded before 2023-09 (issue 46)"]
    return []


def _axes(layout: Layout) -> list[Finding]:
    findings = []
    step = "the file is foreign, or its axes are damaged"
    axes = [*zip(AXES, layout.axes, strict=False)]
    for name, axis in axes if layout.family in DARCY else [*axes, ("t", layout.t)]:
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
    groups = layout.family in ("seeds", "incompressible")
    if layout.family not in ("the_well", "neuraloperator") and (path.suffix == ".h5") != groups:
        extension = ".h5" if groups else ".hdf5"
        what = f"a {layout.family} file; PDEBench's loaders take it for another by the extension {path.suffix!r}"
        findings.append(Finding("warning", "file", what, f"rename it to {path.stem}{extension}"))
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
        elif self.layout.family in DARCY:
            limit, misses = DARCY_TOLERANCE, np.where(sound, darcy_misses(batch), np.nan)
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
        if self.layout.family in DARCY:
            name, limit = "the steady Darcy equation", DARCY_TOLERANCE
        elif self.equation:
            name, limit = self.equation.name, TOLERANCE
        else:
            what = "no attribute names an equation that is known here; the residual was not checked"
            return [Finding("note", "attributes", what, "nothing")]
        bad = self.faults["residual", ""]
        if bad:
            what = f"does not solve {name}: residual up to {max(self.residuals):.2g} (tolerance {limit:g})"
            if self.layout.family in DARCY:
                what = (
                    f"{what}, as PDEBench's snapshots at a finite time do not; no solver is a reference for these data"
                )
                return [Finding("warning", _samples(bad), what, "set task.faithful=true to use the file")]
            return [Finding("error", _samples(bad), what, "compare the attributes with the generator's configuration")]
        if not self.residuals:
            what = f"frames too few, frames or points too far apart to tell whether {name} holds"
            return [Finding("note", "residual", what, "nothing")]
        what = f"{len(self.residuals)} samples solve {name}: residual up to {max(self.residuals):.2g} (tolerance {limit:g})"
        if (coarse := self.start - len(self.residuals)) > 0:
            what += f"; in {coarse} others frames or points are too far apart to tell"
        return [Finding("note", "residual", what, "nothing")]
