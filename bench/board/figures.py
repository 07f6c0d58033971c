"""Figures as SVG strings, drawn from plain dictionaries: label -> (x, y).

They are made to stand inside a page: transparent, with text and axes in the page's own colour, and the same input gives
the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

Series = tuple[Sequence[float], Sequence[float]]
Curves = Mapping[str, Series]

INK = "#123457"  # stands for the page's text colour, and is replaced by it
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")  # Okabe and Ito 2008
MARKERS = "osD^vPX*"
INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
STYLE: dict[Any, Any] = {
    **dict.fromkeys(INKED, INK),
    "font.size": 9,
    "svg.fonttype": "none",
    "svg.hashsalt": "board",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
}


def _safe(label: str) -> str:
    """A label as it is: matplotlib would read mathematics between dollars, and hide a leading underscore."""
    text = label.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


@contextmanager
def _drawing(x: str, y: str, size: tuple[float, float] = (6.4, 3.6)) -> Iterator[tuple[Any, list[str]]]:
    """(axes, list that receives the SVG). Figures are made without pyplot, which would keep them alive."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    out: list[str] = []
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.set(xlabel=x, ylabel=y)
        axes.grid(alpha=0.25, linewidth=0.5)
        yield axes, out
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best", fontsize=8)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        svg = text.getvalue()
        out.append(svg[svg.index("<svg") :].replace(INK, "currentColor"))


def _finite(series: Series, log_x: bool = False, log_y: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The points that can be drawn."""
    x, y = (np.asarray(values, dtype=float) for values in series)
    keep = np.isfinite(x) & np.isfinite(y) & ((x > 0) | (not log_x)) & ((y > 0) | (not log_y))
    return x[keep], y[keep]


def _styles(labels: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(label, colour, marker), in order."""
    for i, label in enumerate(labels):
        yield label, COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]


def crossing(series: Series, level: float) -> float:
    """The first x at which y reaches `level`; NaN if it never does."""
    return next((float(x) for x, y in zip(*series, strict=True) if y >= level), float("nan"))


def delay(train: Curves, monitor: Curves, level: float = 0.95) -> str:
    """Grokking: accuracy in training (dashed) and on held-back data (solid) against steps, with the delay between them.

    train, monitor: entry -> (steps, accuracy). The arrow spans the steps at which each reaches `level`.
    """
    with _drawing("step", "accuracy") as (axes, out):
        axes.set_xscale("log")
        axes.set_ylim(-0.02, 1.08 + 0.06 * len(monitor))
        for i, (label, colour, _) in enumerate(_styles(monitor)):
            axes.plot(*_finite(train.get(label, ([], [])), log_x=True), color=colour, linestyle="--", alpha=0.7)
            axes.plot(*_finite(monitor[label], log_x=True), color=colour, label=_safe(label))
            start, end = crossing(train.get(label, ([], [])), level), crossing(monitor[label], level)
            if 0 < start < end:
                height = 1.06 + 0.06 * i
                axes.annotate("", (end, height), (start, height), arrowprops={"arrowstyle": "<->", "color": colour})
                axes.annotate(f" ×{end / start:.3g}", (end, height), color=colour, fontsize=7, va="center")
        axes.plot([], [], color=INK, linestyle="--", alpha=0.7, label="training")
        axes.plot([], [], color=INK, label="held back")
    return out[0]


def ladder(points: Curves) -> str:
    """Cost against error, both on log axes: entry -> (CPU seconds, nRMSE), one point a seed, named at its median.

    The line joins the entries that no other beats in both.
    """
    with _drawing("CPU time (s)", "nRMSE", (6.4, 4.2)) as (axes, out):
        axes.set(xscale="log", yscale="log")
        middles = []
        for label, colour, marker in _styles(points):
            x, y = _finite(points[label], log_x=True, log_y=True)
            if not len(x):
                continue
            axes.plot(x, y, color=colour, marker=marker, linestyle="", alpha=0.8)
            middle = float(np.median(x)), float(np.median(y))
            middles.append(middle)
            axes.annotate(_safe(label), middle, (0, 9), textcoords="offset points", ha="center", fontsize=8)
        front = [p for p in sorted(middles) if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in middles)]
        if len(front) > 1:
            axes.plot(*zip(*front, strict=True), color=INK, linewidth=0.8, alpha=0.5, zorder=0)
    return out[0]


def sensitivity(points: Curves) -> str:
    """Final loss against learning rate, both on log axes: entry -> (rates, losses)."""
    with _drawing("learning rate", "final loss") as (axes, out):
        axes.set(xscale="log", yscale="log")
        for label, colour, marker in _styles(points):
            x, y = _finite(points[label], log_x=True, log_y=True)
            order = np.argsort(x, kind="stable")
            axes.plot(x[order], y[order], color=colour, marker=marker, label=_safe(label))
    return out[0]


def horizon(curves: Curves) -> str:
    """Error by rollout time, on a log axis: entry -> (times, errors)."""
    with _drawing("rollout time", "error") as (axes, out):
        axes.set_yscale("log")
        for label, colour, _ in _styles(curves):
            axes.plot(*_finite(curves[label], log_y=True), color=colour, label=_safe(label))
    return out[0]
