"""Figures from records: what a figure shows, and the points that a plan's records give it.

A figure is a file `configs/figure/<family>/<id>.yaml` (docs/figures.md): a plan in the words of a sweep, what stands on the
axes, and what makes a line. It is drawn once every cell of its plan has a record, so that no half of it misleads.
"""

from __future__ import annotations

import fnmatch
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from bench.contract import BenchError, Task
from bench.figures import points
from bench.figures.points import ROOTS, Rows
from bench.outcome import FAILED
from bench.parts import locate
from bench.planning import config, plan
from bench.planning.files import FigureFile
from bench.planning.plan import Plan
from bench.records.store import Store
from bench.tables.join import join


@dataclass(frozen=True)
class Theory:
    """A pure function of x, drawn as a dashed line: in a series' colour where its label is that of one."""

    label: str
    function: Callable[[float], float]

    def __call__(self, x: float) -> float:
        """The function's value; BenchError, naming the theory and x, if it raises."""
        try:
            return float(self.function(x))
        except Exception as error:  # anybody's code
            raise BenchError(f"theory {self.label!r} at {x:g}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class FigureSpec:
    """plans: label -> words. x: `step`, or a path in the record. y: curves against steps, else metrics and paths; or a
    measure of the records that share series, x and seed, as a claim's. series: `entry`, `plan`, and paths.
    centre and band are over seeds; `points` draws every seed by itself instead.
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
    measure = _function(source, "y", file.y, {}) if isinstance(file.y, dict) else None
    names = () if isinstance(file.y, dict) else (file.y,) if isinstance(file.y, str) else file.y
    return FigureSpec(
        id=name, title=" ".join(file.title.split()), caption=" ".join(file.caption.split()), plans=file.plans, x=file.x,
        y=names, measure=measure, series=file.lines, x_label=file.x_label or file.x.rpartition(".")[2],
        y_label=file.y_label or ", ".join(name.rpartition(".")[2] for name in names),
        theory=_theories(source, file.theory), source=source, x_scale=file.x_scale, y_scale=file.y_scale,
        centre=file.centre, band=file.band, draw=file.draw,
    )  # fmt: skip


def _function(source: Path, field: str, found: Any, *first: Any) -> Callable[..., float]:
    """The function at a dotted path, or at the `_target_` of a mapping whose other keys are keyword arguments."""
    options = dict(found) if isinstance(found, dict) else {"_target_": found}
    target = options.pop("_target_", None)
    if not isinstance(target, str) or "." not in target:
        raise BenchError(
            f"{source}: `{field}: {found}`: expected a dotted path, or {{_target_: path, argument: value}}"
        )
    try:
        function = locate(target)
        inspect.signature(function).bind(*first, **options)
    except BenchError as error:
        raise BenchError(f"{source}: `{field}`: {error}") from error
    except (TypeError, ValueError) as error:
        raise BenchError(f"{source}: `{field}`: {target} with {options}: {error}") from error
    return functools.partial(function, **options)


def _theories(source: Path, found: Any) -> tuple[Theory, ...]:
    theories = []
    for one in found if isinstance(found, tuple) else [found]:
        options = dict(one) if isinstance(one, dict) else {"_target_": one}
        label = str(options.pop("label", "theory"))
        theories.append(Theory(label, _function(source, "theory", options, 1.0)))
    return tuple(theories)


@dataclass(frozen=True)
class Drawing:
    """A figure with what became of it. svg: empty unless it could be drawn. missing: cells without a record, of `cells`.

    notes: what a reader has to know, such as runs that diverged. error: of the figure's file, or of what it asks for.
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


class Gallery:
    """Figures, the cells they need, and the records there are. `words` are settings of the run, such as `workers=2`.

    Published records count as done unless `reuse=` says otherwise. What is wrong with one figure's plan is that figure's
    error and leaves the others alone.
    """

    def __init__(self, figures: Sequence[FigureSpec], words: Iterable[str] = ()) -> None:
        self.figures = figures
        self.words = ["reuse=ledger", *words]
        for word in self.words:
            if word.split("=")[0].split(".")[0] not in config.RUN_WORDS:
                raise BenchError(f"{word}: a figure's cells are its own; here may be set {', '.join(config.RUN_WORDS)}")
        self.settings = config.parse(self.words).settings
        self.store = Store(Path(self.settings.results))
        self.plans: dict[tuple[str, ...], Plan] = {}
        self.errors: dict[str, str] = {}
        for figure in figures:
            try:
                for words_ in figure.plans.values():
                    if words_ not in self.plans:
                        self.plans[words_] = plan.make(config.parse([*self.words, *words_]), self.store)
                    _check(figure, self.plans[words_])
            except BenchError as error:
                self.errors[figure.id] = f"{figure.source}: {error}"

    @property
    def merged(self) -> Plan:
        """The cells of all figures as one plan."""
        return Plan([row for one in self.plans.values() for row in one.rows])

    def run(self) -> Any:
        """Run what is missing, with progress; returns the runner's summary."""
        from bench.running import sweep

        return sweep.run(self.merged, self.store, self.settings)

    def draw(self) -> list[Drawing]:
        """Join the plans with the store, as tables do, and draw what is whole."""
        joined = {id(one.row): (cls, one) for cls, rows in join(self.merged, self.store) for one in rows}
        drawings = []
        for figure in self.figures:
            if figure.id in self.errors:
                drawings.append(Drawing(figure.id, figure.title, figure.caption, error=self.errors[figure.id]))
                continue
            rows = {label: [joined[id(row)] for row in self.plans[words].rows] for label, words in figure.plans.items()}
            try:
                drawings.append(drawn(figure, rows, self.store))
            except BenchError as error:
                text = f"{figure.source}: {error}"
                drawings.append(Drawing(figure.id, figure.title, figure.caption, error=text))
        return drawings


def select(patterns: Iterable[str]) -> list[str]:
    """Ids that match a shell pattern or lie below one (`pde`); all without patterns."""
    names, found = config.names("figure"), []
    for pattern in patterns:
        chosen = [n for n in names if fnmatch.fnmatchcase(n, pattern) or n.startswith(f"{pattern.rstrip('/')}/")]
        if not chosen:
            raise config.unknown("figure", pattern, names, " (`bench figures` shows every one)")
        found += chosen
    return [*dict.fromkeys(found or names)]


def of_ids(ids: Iterable[str]) -> tuple[list[FigureSpec], list[Drawing]]:
    """The figures, and for each file that cannot be read a drawing that says why."""
    specs, wrong = config.sound("figure", load, ids)
    return [*specs.values()], [Drawing(name, name, error=error) for name, error in wrong.items()]


def of_families(families: Iterable[str], words: Iterable[str]) -> list[Drawing]:
    """The figures of the families that have some, for the page; a file that does not load is an error beside the others."""
    wanted = set(families)
    specs, wrong = of_ids(name for name in config.names("figure") if name.split("/")[0] in wanted)
    return [*Gallery(specs, words).draw(), *wrong] if specs else wrong


# --- what a figure may name


def _check(figure: FigureSpec, made: Plan) -> None:
    """BenchError if the figure names a metric or a parameter that a task of its plan has not."""
    for name in dict.fromkeys(row.task for row in made.rows):
        cls = config.task_spec(name).cls
        for field, paths in (("x", (figure.x,)), ("series", figure.series)):
            for path in paths:
                if path not in (("step",) if field == "x" else ("entry", "plan")):
                    _check_path(cls, name, field, path)
        if figure.x != "step":
            for path in figure.y:
                if path.split(".")[0] not in ROOTS:
                    known = [metric.name for metric in cls.metrics] + [derived.metric.name for derived in cls.derived]
                    if path not in known:
                        raise config.unknown(f"metric of {name} (y)", path, known)


def _check_path(cls: type[Task], task: str, field: str, path: str) -> None:
    root, _, rest = path.partition(".")
    if root in ROOTS and rest:
        known = {"params": [f.name for f in fields(cls.Params)], "config": [slot.name for slot in cls.slots]}.get(root)
        if known is not None and rest.split(".")[0] not in known:
            kind = "parameter" if root == "params" else "slot"
            raise config.unknown(f"{kind} of {task} ({field})", rest.split(".")[0], known)
        return
    known = [f.name for f in fields(cls.Params)]
    if path not in known:
        more = f"; or a path from {', '.join(ROOTS)}" + (", or `step`" if field == "x" else ", or `entry`, or `plan`")
        raise config.unknown(f"parameter of {task} ({field})", path, known, more)


def drawn(figure: FigureSpec, rows: Mapping[str, Rows], store: Store) -> Drawing:
    """The figure from its plans' rows with their records. Not drawn while a cell has none, or its data are not here."""
    everything = [r for found in rows.values() for _, row in found for records in row.cells.values() for r in records]
    missing = sum(record is None or record.status == "unavailable" for record in everything)
    if missing:
        return Drawing(figure.id, figure.title, figure.caption, cells=len(everything), missing=missing)
    from bench.figures import drawing as board

    lines: dict[tuple[str, str], dict[int, tuple[list[float], list[float]]]] = {}
    for label, found in rows.items():
        for series, name, seed, x, y in points.pieces(figure, label, found, store):
            known = lines.setdefault((series, name), {}).setdefault(seed, ([], []))
            known[0].extend(x)
            known[1].extend(y)
    failed = sum(one.status in FAILED for one in {r.key: r for r in everything if r is not None}.values())
    svg = board.chart(
        {key: points.line(figure, seeds) for key, seeds in lines.items()},
        [(theory.label, theory) for theory in figure.theory],
        figure.x_label, figure.y_label, figure.x_scale, figure.y_scale,
        "curve" if figure.x == "step" else figure.draw,
    )  # fmt: skip
    seeds = len({seed for one in lines.values() for seed in one})
    return Drawing(
        figure.id, figure.title, figure.caption, svg, len(everything), 0, tuple(_notes(figure, rows, seeds, failed))
    )


def _notes(figure: FigureSpec, rows: Mapping[str, Any], seeds: int, failed: int) -> Iterable[str]:
    if figure.draw == "points":
        yield f"a point a run, {seeds} seed{'s' * (seeds != 1)}"
    else:
        band = {"range": " with their range", "interval": " with its 95 % interval", "none": ""}[figure.band]
        yield f"{figure.centre} of {seeds} seed{'s' * (seeds != 1)}{band if seeds > 1 else ''}"
    if failed:
        worth = (
            "end where they failed"
            if figure.x == "step"
            else "count as the metric says, or are left out where it says nothing"
        )
        yield f"{failed} runs diverged or failed: they {worth}"
    older = sum(row.older for found in rows.values() for _, row in found)
    if older:
        yield f"{older} records are of older code"
