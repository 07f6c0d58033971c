"""The outcome of a cell: the scorer builds it, the pipe carries it, and the record contains it."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

Status = Literal["ok", "diverged", "failed", "timeout", "oom", "crashed", "unavailable"]
EXHIBIT = "exhibit/"  # prefix of an exhibit's arrays among the curves: exhibit/<exhibit>/<array>
Curve = tuple[list[float], list[float]]  # steps and values
SETTLED = ("ok", "diverged")  # statuses that are results; such a cell is not run again
FAILED = ("diverged", "failed", "timeout", "oom", "crashed")  # statuses whose metrics count as the `diverged` values


class Costs(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a cell cost.

    cpu: CPU seconds by phase (setup, train, predict). counts: amounts by unit (steps, samples, evals, matvecs, …), and the
    number of parameters. cpu_entry: CPU seconds of the entry's whole process tree from fork to exit; None where it was not
    measured (old records, the call transport). cpu_total: CPU seconds of both processes. wall: seconds. rss_mb: peak memory
    of the larger process. evaluations: how often the entry called `log.evaluate`.
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
        """CPU seconds by which an entry is ranked: its whole process where that was measured, else its phases."""
        return self.booked if self.cpu_entry is None else self.cpu_entry


class Exhibit(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The description of a `bench.contract.Exhibit`. arrays: name -> shape; the numbers lie beside the record's curves."""

    kind: str
    arrays: dict[str, list[int]]
    axes: list[str] = []
    unit: str = ""
    doc: str = ""


class Outcome(msgspec.Struct, kw_only=True):
    """How a cell ended. reason, traceback, output: why it gave no result. origin: of the data.

    metrics: finite numbers. censored: names of the targets that were not reached. curves: name -> (steps, values).
    unkeyed_reads: files that the cell read and its key does not cover, where no sandbox could refuse the read. arrays: of the
    exhibits, named `exhibit/<exhibit>/<array>`; like the curves, they are not sent as JSON.
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
        """Set the final metrics. Undefined ones (None) are left out; one that is not finite makes the status `diverged`."""
        bad = [name for name, value in scored.items() if value is not None and not math.isfinite(value)]
        if bad:
            self.status, self.reason = "diverged", f"not finite: {', '.join(bad)}"
        self.metrics = {name: float(v) for name, v in scored.items() if v is not None and math.isfinite(v)}


def plain(value: Any) -> Any:
    """Structs, also nested ones, as dictionaries with every field, defaults included, for printing as JSON."""
    if isinstance(value, msgspec.Struct):
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {name: plain(getattr(value, field)) for name, field in names}
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value
