"""How a cell ended: the typed value that the scorer builds, the pipe carries and the record keeps.

It stands below everything that makes or reads one. `Outcome` is built here and in `bench.execute` only.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

Status = Literal["ok", "diverged", "failed", "timeout", "oom", "crashed", "unavailable"]
EXHIBIT = "exhibit/"  # how names of exhibits' arrays start, beside those of curves: exhibit/<exhibit>/<array>
Curve = tuple[list[float], list[float]]  # steps and values
SETTLED = ("ok", "diverged")  # statuses that are results: such a cell is not run again
FAILED = ("diverged", "failed", "timeout", "oom", "crashed")  # statuses of a cell whose metrics count as its penalty


class Costs(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a cell cost.

    cpu: CPU seconds by phase (setup, train, predict), as the entry's clock booked them. counts: what it spent by unit (steps,
    samples, evals, matvecs, …) and its parameters. cpu_entry: CPU seconds of the entry's whole process tree from fork
    to exit; None in records older than this measuring, and where the transport is a call. cpu_total: those of both
    processes. wall: seconds. rss_mb: the larger process's peak. evaluations: scores that the entry asked for.
    """

    cpu: dict[str, float] = {}
    counts: dict[str, int] = {}
    cpu_entry: float | None = None
    cpu_total: float = 0.0
    wall: float = 0.0
    rss_mb: float | None = None
    evaluations: int | None = None

    @property
    def booked(self) -> float:
        """CPU seconds of all phases."""
        return sum(self.cpu.values())

    @property
    def own(self) -> float:
        """CPU seconds that an entry is ranked by: its whole process where that was measured, else its phases."""
        return self.booked if self.cpu_entry is None else self.cpu_entry


class Exhibit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a picture of a cell is drawn from, beside its arrays (see `bench.contract.Exhibit`).

    arrays: name -> shape; the numbers lie beside the record's curves.
    """

    kind: str
    arrays: dict[str, list[int]]
    axes: list[str] = []
    unit: str = ""
    doc: str = ""


class Outcome(msgspec.Struct, kw_only=True):
    """How a cell ended. reason, traceback, output: why, where it is no result. origin: of the data.

    metrics: finite numbers. censored: times to target that were not reached. curves: name -> (steps, values). unkeyed_reads:
    files that the cell read beside those that its key covers, where no sandbox could refuse them. arrays: of exhibits, named
    as they are kept beside the curves; like these, they do not travel as JSON.
    """

    status: Status
    reason: str = ""
    traceback: str = ""
    output: str = ""
    origin: str = ""
    metrics: dict[str, float] = {}
    censored: list[str] = []
    costs: Costs = msgspec.field(default_factory=Costs)
    curves: dict[str, Curve] = {}
    exhibits: dict[str, Exhibit] = {}
    arrays: dict[str, Any] = {}
    unkeyed_reads: list[str] = []

    @classmethod
    def failure(cls, status: Status, reason: str, trace: str = "") -> Outcome:
        """An outcome without measurements."""
        return cls(status=status, reason=reason, traceback=trace)

    def settle(self, scored: dict[str, float | None]) -> None:
        """Take the final metrics: those that are undefined (None) are left out, one that is not finite means divergence."""
        bad = [name for name, value in scored.items() if value is not None and not math.isfinite(value)]
        if bad:
            self.status, self.reason = "diverged", f"not finite: {', '.join(bad)}"
        self.metrics = {name: float(v) for name, v in scored.items() if v is not None and math.isfinite(v)}


def plain(value: Any) -> Any:
    """Structs as dictionaries with every field, also those that a file leaves out as defaults: for printing as JSON."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {name: plain(getattr(value, field)) for name, field in names}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value
