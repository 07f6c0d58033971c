"""Oddities of a record that a reader should look at twice. They prove nothing: `docs/rules.md` says what each can mean."""

from __future__ import annotations

from bench.records.record import Record

# Unbooked seconds are odd above this plus the booked ones; start, imports and probes take far less.
OFF_CLOCK_SECONDS = 2.0
EVALUATIONS = 1000  # the harness's own loops ask for a score far less often


def of(record: Record) -> list[str]:
    """The oddities of a record, a sentence each in a fixed order."""
    costs, booked, sentences = record.costs, record.costs.booked, []
    unbooked = (costs.cpu_entry or 0.0) - booked  # of the entry's whole process tree, from fork to exit
    if unbooked > OFF_CLOCK_SECONDS + booked:
        spent = f"{unbooked:.1f} CPU seconds were spent"
        sentences.append(f"{spent} while the entry's clock stood still ({booked:.1f} booked)")
    if at_once := [name for name, value in record.metrics.items() if name.startswith("steps_to_") and value == 0]:
        sentences.append(f"it was there before its first step: {', '.join(at_once)}")
    if (costs.evaluations or 0) > EVALUATIONS:
        sentences.append(f"it asked for its score {costs.evaluations} times")
    isolation = sorted(record.provenance.isolation.items())
    sentences += [f"not isolated: {name} ({why})" for name, why in isolation if why != "on"]
    sentences += [f"it read {path}, which its key does not cover" for path in record.unkeyed_reads]
    return sentences
