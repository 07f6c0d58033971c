"""`make readme`: the README's section "The board", written from the ledger alone."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.planning import config, plan
from bench.records.store import Store
from bench.tables import join, printers

START, END = "<!-- table -->", "<!-- /table -->"
SHOWN = 12  # characters of a commit


def section(ledger: Store, suites: tuple[str, ...] = ("core", "core-data")) -> str:
    """Markdown of every table of the suites, with the revision the records come from."""
    with tempfile.TemporaryDirectory() as empty:
        only = Store(Path(empty))  # no local records: what is not published is not in the README
        only.ledger = ledger.ledger
        (only.root / "verified").symlink_to((ledger.root / "verified").resolve())
        made = [plan.make(config.parse([f"suite={suite}"]), only) for suite in suites]
        found = [table for one in made for table in join.build_all(one, only)]
    # the line above the tables names the records' revision, so a later edit of the code need not change this section
    found = [replace(t, notes=tuple(note for note in t.notes if join.OLDER not in note)) for t in found]
    records = list(ledger.published())
    commits = sorted({str(r.provenance.commit)[:SHOWN] for r in records})
    cpu = sum(r.costs.cpu_total for r in records)
    machines = sorted({r.provenance.cpu for r in records})
    told = f"{len(records)} records, {cpu:.0f} CPU s on {', '.join(machines)}, made at {', '.join(commits)}."
    return "\n\n".join([told, *(printers.markdown(table, core=True).strip() for table in found)])


def main() -> int:
    """Rewrite README.md; exit code 1 if there is nothing to write."""
    path = config.PROJECT / "README.md"
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    new = section(Store(config.PROJECT / "results"))
    path.write_text(f"{before}{START}\n{new}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
