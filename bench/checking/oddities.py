"""What in a record a reader should look at twice. No proof of anything: `docs/rules.md` says what each can mean."""

from __future__ import annotations

from bench.records.record import Record

OFF_CLOCK_SECONDS = 2.0  # starting, imports and probes stay far below this, plus as much again as was booked
EVALUATIONS = 1000  # the harness's own loops ask for a score far less often


def of(record: Record) -> list[str]:
    """Sentences, in a fixed order; empty for a record that shows nothing unusual.

    CPU seconds that the scorer measured over the entry's whole process tree, from fork to exit, against those that the
    entry's clock booked; targets that needed no training; scores asked for; what of the isolation did not hold.
    """
    costs, found = record.costs, []
    booked = costs.booked
    unbooked = (costs.cpu_entry or 0.0) - booked
    if unbooked > OFF_CLOCK_SECONDS + booked:
        found.append(f"{unbooked:.1f} CPU seconds were spent while the entry's clock stood still ({booked:.1f} booked)")
    at_once = [name for name, value in record.metrics.items() if name.startswith("steps_to_") and value == 0]
    if at_once:
        found.append(f"it was there before its first step: {', '.join(at_once)}")
    if (costs.evaluations or 0) > EVALUATIONS:
        found.append(f"it asked for its score {costs.evaluations} times")
    isolation = record.provenance.isolation
    found += [f"not isolated: {name} ({why})" for name, why in sorted(isolation.items()) if why != "on"]
    found += [f"it read {path}, which its key does not cover" for path in record.unkeyed_reads]
    return found
