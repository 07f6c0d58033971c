"""Figures as SVG strings, drawn from plain dictionaries: label -> (x, y).

They are made to stand inside a page: transparent, with text and axes in the page's own colour, and the same input gives
the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np

Series = tuple[Sequence[float], Sequence[float]]
Curves = Mapping[str, Series]
Band = tuple[Any, Any, Any, Any]  # x, y, low, high; the last two are None where there is no band
Form = Literal["curve", "line", "points"]

INK = "#123457"  # stands for the page's text colour, and is replaced by it
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")  # Okabe and Ito 2008
MARKERS = "osD^vPX*"
DASHES = ("-", "--", ":", "-.")
FINE = 200  # points of a theory's line
DARK = "@media (prefers-color-scheme: dark) { svg { color: #e4e7ea; background: #1b1f23; } }"
ALONE = f"<style>svg {{ color: #1d2329; background: #fff; }} {DARK}</style>"
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
        yield label, COLOURS[i % len(COLOURS)], MARKERS[(i + i // len(COLOURS)) % len(MARKERS)]


def chart(
    lines: Mapping[tuple[str, str], Band], theories: Sequence[tuple[str, Callable[[float], float]]],
    x: str, y: str, x_scale: str, y_scale: str, form: Form,
) -> str:  # fmt: skip
    """Lines or points, a colour a series and a dash a name, each with its band, and functions of x as dashed lines.

    lines: (series, name of what is on y) -> its numbers; what is not finite, or has no place on a log axis, is left out.
    theories: (label, function); one whose label is a series' has that colour. A function that raises is the caller's.
    """
    log_x, log_y = x_scale == "log", y_scale == "log"
    series, names = (list(dict.fromkeys(key[place] for key in lines)) for place in (0, 1))
    styles = {label: (colour, marker) for label, colour, marker in _styles(dict.fromkeys(series))}
    with _drawing(x, y) as (axes, out):
        axes.set(xscale=x_scale, yscale=y_scale)
        reach: list[float] = []
        for (label, name), (xs, ys, low, high) in lines.items():
            colour, marker = styles[label]
            dash = DASHES[names.index(name) % len(DASHES)]
            shown = _safe(label) if name == names[0] else None
            px, py = _finite((xs, ys), log_x, log_y)
            reach += list(px)
            if form == "points":
                axes.plot(px, py, color=colour, marker=marker, linestyle="", alpha=0.8, label=shown)
                continue
            if low is not None:
                bx, bottom = _finite((xs, low), log_x, log_y)
                tx, top = _finite((xs, high), log_x, log_y)
                both = np.intersect1d(bx, tx)
                bottom, top = bottom[np.isin(bx, both)], top[np.isin(tx, both)]
                if form == "curve":
                    axes.fill_between(both, bottom, top, color=colour, alpha=0.15, linewidth=0)
                else:
                    axes.vlines(both, bottom, top, color=colour, alpha=0.4)
            axes.plot(px, py, color=colour, marker=marker if form == "line" else "", linestyle=dash, label=shown)
        for label, function in theories if reach else ():
            fine = np.geomspace(min(reach), max(reach), FINE) if log_x else np.linspace(min(reach), max(reach), FINE)
            points = _finite((list(fine), [function(float(one)) for one in fine]), log_x, log_y)
            known = label in styles
            colour = styles[label][0] if known else INK
            axes.plot(
                *points, color=colour, linestyle=(0, (4, 2)), linewidth=1.1, label=None if known else _safe(label)
            )
        for name, dash in zip(names, DASHES, strict=False) if len(names) > 1 else ():
            axes.plot([], [], color=INK, linestyle=dash, label=_safe(name))
    return out[0]


def alone(svg: str) -> str:
    """The figure as a file of its own: it brings ink and paper for light and for dark."""
    head, _, rest = svg.partition(">")
    return f"{head}>{ALONE}{rest}"
