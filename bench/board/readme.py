"""`make readme`: writes the README's section "The board" from the published records alone."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from bench.planning import config, plan
from bench.records.spelling import SHOWN
from bench.records.store import Store
from bench.tables import join, overview, printers
from bench.tables.table import OLDER

START, END = "<!-- table -->", "<!-- /table -->"


def section(
    ledger: Store, suites: tuple[str, ...] = ("core", "core-data"), means: tuple[str, ...] = ("optimizers",)
) -> str:
    """Markdown of a line with the records' number, cost, machines and commits, the means over the tasks of the suites `means`,
    and every table of `suites`."""
    with tempfile.TemporaryDirectory() as empty:
        published = Store(
            Path(empty), ledger.ledger
        )  # without local records, which would take the place of published ones
        (published.root / "verified").symlink_to((ledger.root / "verified").resolve())
        plans = {suite: plan.make(config.parse([f"suite={suite}"]), published) for suite in (*means, *suites)}
        built = {suite: join.build_all(one, published) for suite, one in plans.items()}
    tables = [table for suite in suites for table in built[suite]]
    # the first line names the records' commits; notes on older code would change this section with every edit of the code
    tables = [replace(t, notes=tuple(note for note in t.notes if OLDER not in note)) for t in tables]
    records = list(ledger.published())
    commits = sorted({str(r.provenance.commit)[:SHOWN] for r in records})
    cpu = sum(r.costs.cpu_total for r in records)
    machines = sorted({r.provenance.cpu for r in records})
    origin = f"{len(records)} records, {cpu:.0f} CPU s on {', '.join(machines)}, made at {', '.join(commits)}."
    overviews = [overview.markdown(built[suite]).strip() for suite in means]
    return "\n\n".join([origin, *overviews, *(printers.markdown(table, core=True).strip() for table in tables)])


def main() -> None:
    """Rewrite the section in README.md."""
    path = config.PROJECT / "README.md"
    before, rest = path.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    path.write_text(f"{before}{START}\n{section(Store(config.PROJECT / 'results'))}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
