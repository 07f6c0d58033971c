"""The ledger carried over a change of the identity: `python -m bench.upkeep.migration`.

When the components of a key change, every key changes and no number does. This rewrites the lines of the ledger and of the trials
in the current format, and certifies the rows for the current code (`records.certificates`, kind `migrated`). It is not a rerun,
and the certificate's note says so: the identity changed, the golden digests of the tasks are equal, and how many of a random
sample of cells gave the same bits on this machine, whose arithmetic need not be the ledger's.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

from bench.contract import BenchError, Unavailable
from bench.planning import config, plan
from bench.planning.plan import Plan
from bench.planning.settings import Settings
from bench.records.certificates import Certificate
from bench.records.ledger import differences, lines_of, locked, write_lines
from bench.records.store import Store
from bench.running import sweep
from bench.upkeep import golden
from bench.upkeep.recertify import certify, chosen, older_rows, runnable


def rewrite(store: Store) -> int:
    """Bring every line of the ledger and of the trials to the current format; returns the number of lines."""
    count = 0
    with locked(store):
        for path in sorted([*store.ledger.rglob("*.jsonl"), *(store.root / "trials").rglob("*.jsonl")]):
            records = list(lines_of(path))
            write_lines(path, records)
            count += len(records)
    return count


def unequal_digests() -> tuple[int, list[str]]:
    """(tasks compared, those whose golden digests differ from the stored ones); tasks without data here are left out."""
    compared, unequal = 0, []
    for name in config.names("task"):
        try:
            now = golden.golden(name)
        except Unavailable:
            continue
        compared += 1
        if golden.differences(golden.stored(name), now):
            unequal.append(name)
    return compared, unequal


def certify_all(plans: list[Plan], store: Store, settings: Settings, size: int, drawn: int) -> Certificate | None:
    """Run a sample of the plans' rows again, and certify all; None if no row is of older code.

    size: cells of the sample, which the number `drawn` chooses. BenchError if a golden digest differs: the numbers would then
    not be of this code.
    """
    whole = Plan([row for part in plans for row in part.rows])
    rows = older_rows(whole, store)
    if not rows:
        return None
    compared, unequal = unequal_digests()
    if unequal:
        raise BenchError(
            f"golden digests of {', '.join(unequal)} differ: raise the tasks' versions and run them, then publish"
        )
    ready = [(cell, record) for cell, record in rows if runnable(cell)]
    sample = random.Random(drawn).sample(ready, min(size, len(ready)))
    keys = {cell.key for cell, _ in sample}
    if sweep.run(chosen(whole, keys), store, settings).interrupted:
        raise KeyboardInterrupt
    fresh = store.latest(keys)
    pairs = [(old, fresh[cell.key]) for cell, old in sample if cell.key in fresh]
    equal = sum(not differences(old, new) for old, new in pairs)
    note = (
        f"identity changed, numbers not run again; golden digests of {compared} tasks are equal; of {len(pairs)} cells "
        f"run again here, {equal} gave the ledger's bits"
    )
    return certify("migrated", store, rows, sorted(record.key for _, record in sample), drawn, note)


def everything(store: Store) -> list[Plan]:
    """The plans of all suites, claims and figures, to which every published row belongs."""
    from bench.claims import claim, verdicts
    from bench.figures import gallery

    words = [f"results={store.root}"]
    plans = [plan.make(config.parse([f"suite={name}", *words]), store) for name in config.names("suite")]
    claims, figures = [*claim.select([])[0].values()], gallery.of_ids(gallery.select([]))[0]
    return [*plans, verdicts.Survey(claims, words).merged, gallery.Gallery(figures, words).merged]


def main() -> int:
    """Rewrite, then certify; exit code 1 if golden digests differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=60, help="cells to run again (default 60)")
    parser.add_argument("--results", default="results", help="the results folder")
    options = parser.parse_args()
    store = Store(Path(options.results))
    settings = config.parse([f"results={options.results}"]).settings
    print(f"{rewrite(store)} lines are in the current format")
    try:
        certificate = certify_all(everything(store), store, settings, options.sample, time.time_ns())
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if certificate is None:
        print("no row is of older code")
    else:
        print(f"{sum(map(len, certificate.rows.values()))} rows certified; {certificate.note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
