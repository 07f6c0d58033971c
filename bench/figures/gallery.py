"""Figures from records: reading their files, checking them against their tasks, drawing them.

A figure is a file `configs/figure/<family>/<id>.yaml` (docs/figures.md). It is drawn once every cell of its plans has a
record, since a figure of half the cells would mislead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bench.claims.claim import function
from bench.contract import BenchError
from bench.figures import points
from bench.figures.drawing import Theory, chart
from bench.outcome import FAILED
from bench.planning import config
from bench.planning.files import FigureFile
from bench.planning.plan import Plan
from bench.records.store import Store
from bench.tables.join import PlanSet
from bench.tables.seed_values import Joined


@dataclass(frozen=True)
class Figure:
    """What the file `source` says of a figure, with the functions that it names.

    measure: a function of the records that share series, x and seed, like a claim's.
    """

    id: str
    source: Path
    file: FigureFile
    measure: Callable[..., float] | None = None
    theory: tuple[Theory, ...] = ()


def load(name: str) -> Figure:
    """The figure of `configs/figure/<name>.yaml`. BenchError, naming the file and the field, unless it is whole."""
    file, source = config.load("figure", name, FigureFile), config.names("figure")[name]
    measure = function(source, "y", file.y, {}) if isinstance(file.y, dict) else None
    theory = []
    for value in file.theory if isinstance(file.theory, tuple) else [file.theory]:
        options: dict[str, Any] = {"_target_": value} if isinstance(value, str) else dict(value)
        theory.append((str(options.pop("label", "theory")), function(source, "theory", options, 1.0)))
    return Figure(name, source, file, measure, tuple(theory))


@dataclass(frozen=True)
class Drawing:
    """A figure, drawn or with the reason why not. svg: empty unless it was drawn. missing: cells without a record, of `cells`.

    notes: remarks for the reader, such as runs that diverged. error: what is wrong with the figure's file or its plans.
    """

    id: str
    title: str
    caption: str = ""
    svg: str = ""
    cells: int = 0
    missing: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""


class Gallery(PlanSet):
    """Figures with their plans. A plan that does not resolve is the error of its figure and leaves the others alone.

    unread: id -> error of each figure whose file cannot be read.
    """

    def __init__(
        self, figures: Sequence[Figure], words: Iterable[str], unread: Mapping[str, str] | None = None
    ) -> None:
        super().__init__("figure", words)
        self.figures, self.unread = figures, unread or {}
        self.errors: dict[str, str] = {}
        for figure in figures:
            try:
                for plan_words in figure.file.plans.values():
                    _check(figure.file, self.plan(plan_words))
            except BenchError as error:
                self.errors[figure.id] = f"{figure.source}: {error}"

    def draw(self) -> list[Drawing]:
        """Join the plans with the store, as tables do, and draw every figure whose cells all have records."""
        joined = self.joined()
        drawings = []
        for figure in self.figures:
            drawing = _undrawn(figure, error=self.errors.get(figure.id, ""))
            if not drawing.error:
                rows = {label: joined[words] for label, words in figure.file.plans.items()}
                try:
                    drawing = drawn(figure, rows, self.store)
                except BenchError as error:
                    drawing = replace(drawing, error=f"{figure.source}: {error}")
            drawings.append(drawing)
        return drawings + [Drawing(name, name, error=error) for name, error in self.unread.items()]


def _check(file: FigureFile, plan: Plan) -> None:
    """BenchError if the figure names a metric, parameter or slot that a task of its plan lacks."""
    paths = [("series", path) for path in file.lines if path not in ("entry", "plan")]
    if file.x != "step":
        paths = [("x", file.x), *(("y", path) for path in file.quantities), *paths]
    for task in dict.fromkeys(row.cls for row in plan.rows):
        metrics = [metric.name for metric in (*task.metrics, *(derived.metric for derived in task.derived))]
        params, slots = [parameter.name for parameter in fields(task.Params)], [slot.name for slot in task.slots]
        for field, path in paths:
            root, _, rest = path.partition(".")
            name, more = path, ""
            if root in points.ROOTS and rest:
                name = rest.split(".")[0]
                kind, known = {"params": ("parameter", params), "config": ("slot", slots)}.get(root, ("", [name]))
            elif field == "y":
                kind, known = "metric", metrics
            else:
                kind, known = "parameter", params
                own = "`step`" if field == "x" else "`entry`, or `plan`"
                more = f"; or a path from {', '.join(points.ROOTS)}, or {own}"
            if name not in known:
                raise config.unknown(f"{kind} of {task.name} ({field})", name, known, more)


def _undrawn(figure: Figure, **more: Any) -> Drawing:
    return Drawing(figure.id, " ".join(figure.file.title.split()), " ".join(figure.file.caption.split()), **more)


def drawn(figure: Figure, rows: Mapping[str, Sequence[Joined]], store: Store) -> Drawing:
    """The figure from its plans' rows with their records; without SVG if a cell has no record or its data are absent."""
    file = figure.file
    records = [r for joined in rows.values() for row in joined for cell in row.cells.values() for r in cell]
    missing = sum(record is None or record.status == "unavailable" for record in records)
    drawing = _undrawn(figure, cells=len(records), missing=missing)
    if missing:
        return drawing
    lines: dict[tuple[str, str], dict[int, tuple[list[float], list[float]]]] = {}
    for label, joined in rows.items():
        for series, name, seed, x, y in points.pieces(file, figure.measure, label, joined, store):
            xs, ys = lines.setdefault((series, name), {}).setdefault(seed, ([], []))
            xs.extend(x)
            ys.extend(y)
    bands = {key: points.line(file, seeds) for key, seeds in lines.items()}
    svg = chart(bands, figure.theory, file)
    failed = len({record.key for record in records if record is not None and record.status in FAILED})
    seeds = len({seed for by_seed in lines.values() for seed in by_seed})
    older = sum(row.older for joined in rows.values() for row in joined)
    return replace(drawing, svg=svg, notes=tuple(_notes(file, seeds, failed, older)))


def _notes(file: FigureFile, seeds: int, failed: int, older: int) -> Iterable[str]:
    if file.draw == "points":
        yield f"one point for each run, {seeds} seed{'s' * (seeds != 1)}"
    else:
        band = {"range": " with their range", "interval": " with its 95 % interval", "none": ""}[file.band]
        yield f"{file.centre} of {seeds} seed{'s' * (seeds != 1)}{band if seeds > 1 else ''}"
    if failed:
        effect = "they count as their metric's penalty, or are left out if it has none"
        yield f"{failed} runs diverged or failed: {'their curves end there' if file.x == 'step' else effect}"
    if older:
        yield f"{older} records are of older code"
