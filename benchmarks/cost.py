"""What the published numbers cost to make again: CPU seconds of every record and of every tuning trial, by family.

python -m benchmarks.cost        # the whole ledger; two cores take half of the sum as wall time
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.planning import config
from bench.records.ledger import lines_of
from bench.records.record import Record
from bench.records.store import Store
from bench.tuning.trials import REMEDY

LIMIT = 12.0  # CPU hours, six hours of two cores: beyond it nobody repeats the numbers


def by_family(records: Iterable[Record]) -> defaultdict[str, float]:
    """family -> CPU hours of all processes of its cells."""
    hours: defaultdict[str, float] = defaultdict(float)
    for record in records:
        hours[record.task.split("/")[0]] += record.costs.cpu_total / 3600
    return hours


def trials(results: Path) -> Iterator[Record]:
    """The records of all published tuning trials."""
    for path in sorted((results / "trials").rglob("*.jsonl")):
        yield from lines_of(path, REMEDY)


def costs(results: Path) -> dict[str, tuple[float, float]]:
    """family -> (CPU hours of its records, of its trials)."""
    published, tuned = by_family(Store(results).published()), by_family(trials(results))
    return {family: (published[family], tuned[family]) for family in sorted({*published, *tuned})}


def rows() -> Iterator[tuple[str, float, str, float, object]]:
    """The sum, with its limit, as `make perf` prints it."""
    total = sum(map(sum, costs(config.PROJECT / "results").values()))
    yield "records and tuning trials of the ledger, CPU", total, "h", LIMIT, float.__le__


def main() -> None:
    """Print a line a family and the sum."""
    table = costs(config.PROJECT / "results")
    table["all"] = (sum(records for records, _ in table.values()), sum(tuned for _, tuned in table.values()))
    print(f"{'family':16} {'records':>8} {'trials':>8} {'sum':>8}  CPU h")
    for family, (records, tuned) in table.items():
        print(f"{family:16} {records:8.2f} {tuned:8.2f} {records + tuned:8.2f}")
    print(f"two cores take {sum(table['all']) / 2:.1f} h")


if __name__ == "__main__":
    main()
