"""Figures from records: reading their files, checking them against their tasks, drawing them.

A figure is a file `configs/figure/<family>/<id>.yaml` (docs/figures.md): plans in the words of a sweep, the quantities on
the axes, and what makes a line of its own. It is drawn once every cell of its plans has a record, since a figure of half
the cells would mislead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from bench.claims.claim import function, matching
from bench.contract import BenchError, Task
from bench.figures import points
from bench.figures.points import ROOTS
from bench.outcome import FAILED
from bench.planning import config
from bench.planning.files import FigureFile
from bench.planning.plan import Plan
from bench.records.store import Store
from bench.tables.join import PlanSet
from bench.tables.seed_values import Joined


@dataclass(frozen=True)
class Theory:
    """A pure function of x, drawn as a dashed line, in the colour of the series with the same label if there is one."""

    label: str
    function: Callable[[float], float]

    def __call__(self, x: float) -> float:
        """The function's value; BenchError, naming the theory and x, if it raises."""
        try:
            return float(self.function(x))
        except Exception as error:  # foreign code may raise anything
            raise BenchError(f"theory {self.label!r} at {x:g}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class FigureSpec:
    """What a figure shows.

    plans: label -> words of a sweep. x: `step`, or a path in the record. y: names of curves if x is `step`, else metrics and
    paths. measure: instead of y, a function of the records that share series, x and seed, like a claim's. series: `entry`,
    `plan`, and paths. centre and band are over seeds; `draw: points` draws every seed by itself instead.
    """

    id: str
    title: str
    caption: str
    plans: Mapping[str, tuple[str, ...]]
    x: str
    y: tuple[str, ...]
    measure: Callable[..., float] | None
    series: tuple[str, ...]
    x_label: str
    y_label: str
    theory: tuple[Theory, ...]
    source: Path
    x_scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"
    centre: Literal["median", "mean"] = "median"
    band: Literal["range", "interval", "none"] = "range"
    draw: Literal["line", "points"] = "line"


def load(name: str) -> FigureSpec:
    """The figure of `configs/figure/<name>.yaml`. BenchError, naming the file and the field, unless it is whole."""
    file, source = config.load("figure", name, FigureFile), config.names("figure")[name]
    measure = function(source, "y", file.y, {}) if isinstance(file.y, dict) else None
    names = () if isinstance(file.y, dict) else (file.y,) if isinstance(file.y, str) else file.y
    return FigureSpec(
        id=name, title=" ".join(file.title.split()), caption=" ".join(file.caption.split()), plans=file.plans, x=file.x,
        y=names, measure=measure, series=file.lines, x_label=file.x_label or file.x.rpartition(".")[2],
        y_label=file.y_label or ", ".join(name.rpartition(".")[2] for name in names),
        theory=_theories(source, file.theory), source=source, x_scale=file.x_scale, y_scale=file.y_scale,
        centre=file.centre, band=file.band, draw=file.draw,
    )  # fmt: skip


def _theories(source: Path, value: Any) -> tuple[Theory, ...]:
    theories = []
    for theory in value if isinstance(value, tuple) else [value]:
        options = dict(theory) if isinstance(theory, dict) else {"_target_": theory}
        label = str(options.pop("label", "theory"))
        theories.append(Theory(label, function(source, "theory", options, 1.0)))
    return tuple(theories)


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

    @property
    def family(self) -> str:
        return self.id.split("/")[0]


class Gallery(PlanSet):
    """Figures with their plans. A plan that does not resolve is the error of its figure and leaves the others alone."""

    def __init__(self, figures: Sequence[FigureSpec], words: Iterable[str] = ()) -> None:
        super().__init__("figure", words)
        self.figures = figures
        self.errors: dict[str, str] = {}
        for figure in figures:
            try:
                for plan_words in figure.plans.values():
                    _check(figure, self.plan(plan_words))
            except BenchError as error:
                self.errors[figure.id] = f"{figure.source}: {error}"

    def draw(self) -> list[Drawing]:
        """Join the plans with the store, as tables do, and draw every figure whose cells all have records."""
        joined = self.joined()
        drawings = []
        for figure in self.figures:
            drawing = Drawing(figure.id, figure.title, figure.caption, error=self.errors.get(figure.id, ""))
            if not drawing.error:
                try:
                    drawing = drawn(figure, {label: joined[words] for label, words in figure.plans.items()}, self.store)
                except BenchError as error:
                    drawing = replace(drawing, error=f"{figure.source}: {error}")
            drawings.append(drawing)
        return drawings


def select(patterns: Iterable[str]) -> list[str]:
    """Ids of the figures that match a shell pattern or lie in the family that it names; all without patterns."""
    names, selected = config.names("figure"), []
    for pattern in patterns:
        if not (chosen := matching(pattern, names)):
            raise config.unknown("figure", pattern, names, " (`bench figures` shows every one)")
        selected += chosen
    return [*dict.fromkeys(selected or names)]


def of_ids(ids: Iterable[str]) -> tuple[list[FigureSpec], list[Drawing]]:
    """The figures, and for each file that cannot be read a drawing with its error."""
    specs, wrong = config.sound("figure", load, ids)
    return [*specs.values()], [Drawing(name, name, error=error) for name, error in wrong.items()]


def of_families(families: Iterable[str], words: Iterable[str]) -> list[Drawing]:
    """The drawings of all figures of the families, with an error for each file that cannot be read."""
    wanted = set(families)
    specs, wrong = of_ids(name for name in config.names("figure") if name.split("/")[0] in wanted)
    return [*Gallery(specs, words).draw(), *wrong] if specs else wrong


def _check(figure: FigureSpec, plan: Plan) -> None:
    """BenchError if the figure names a metric, parameter or slot that a task of its plan lacks."""
    for name in dict.fromkeys(row.task for row in plan.rows):
        cls = config.task_spec(name).cls
        if figure.x != "step":
            _check_path(cls, name, "x", figure.x)
            known = [metric.name for metric in (*cls.metrics, *(derived.metric for derived in cls.derived))]
            for path in figure.y:
                if path.split(".")[0] not in ROOTS and path not in known:
                    raise config.unknown(f"metric of {name} (y)", path, known)
        for path in figure.series:
            if path not in ("entry", "plan"):
                _check_path(cls, name, "series", path)


def _check_path(cls: type[Task], task: str, field: str, path: str) -> None:
    root, _, rest = path.partition(".")
    params = [parameter.name for parameter in fields(cls.Params)]
    if root in ROOTS and rest:
        kind, known = {"params": ("parameter", params), "config": ("slot", [s.name for s in cls.slots])}.get(
            root, ("", [])
        )
        if kind and rest.split(".")[0] not in known:
            raise config.unknown(f"{kind} of {task} ({field})", rest.split(".")[0], known)
    elif path not in params:
        more = f"; or a path from {', '.join(ROOTS)}" + (", or `step`" if field == "x" else ", or `entry`, or `plan`")
        raise config.unknown(f"parameter of {task} ({field})", path, params, more)


def drawn(figure: FigureSpec, rows: Mapping[str, Sequence[Joined]], store: Store) -> Drawing:
    """The figure from its plans' rows with their records; without SVG if a cell has no record or its data are absent."""
    records = [r for joined in rows.values() for row in joined for cell in row.cells.values() for r in cell]
    missing = sum(record is None or record.status == "unavailable" for record in records)
    drawing = Drawing(figure.id, figure.title, figure.caption, cells=len(records), missing=missing)
    if missing:
        return drawing
    from bench.figures.drawing import chart

    lines: dict[tuple[str, str], dict[int, tuple[list[float], list[float]]]] = {}
    for label, joined in rows.items():
        for series, name, seed, x, y in points.pieces(figure, label, joined, store):
            xs, ys = lines.setdefault((series, name), {}).setdefault(seed, ([], []))
            xs.extend(x)
            ys.extend(y)
    failed = sum(record.status in FAILED for record in {r.key: r for r in records if r is not None}.values())
    svg = chart(
        {key: points.line(figure, seeds) for key, seeds in lines.items()},
        [(theory.label, theory) for theory in figure.theory],
        figure.x_label, figure.y_label, figure.x_scale, figure.y_scale,
        "curve" if figure.x == "step" else figure.draw,
    )  # fmt: skip
    seeds = len({seed for by_seed in lines.values() for seed in by_seed})
    return replace(drawing, svg=svg, notes=tuple(_notes(figure, rows, seeds, failed)))


def _notes(figure: FigureSpec, rows: Mapping[str, Sequence[Joined]], seeds: int, failed: int) -> Iterable[str]:
    if figure.draw == "points":
        yield f"one point for each run, {seeds} seed{'s' * (seeds != 1)}"
    else:
        band = {"range": " with their range", "interval": " with its 95 % interval", "none": ""}[figure.band]
        yield f"{figure.centre} of {seeds} seed{'s' * (seeds != 1)}{band if seeds > 1 else ''}"
    if failed and figure.x == "step":
        yield f"{failed} runs diverged or failed: their curves end there"
    elif failed:
        yield f"{failed} runs diverged or failed: they count as their metric's penalty, or are left out if it has none"
    if older := sum(row.older for joined in rows.values() for row in joined):
        yield f"{older} records are of older code"
