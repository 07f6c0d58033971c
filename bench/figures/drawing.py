"""Charts of lines, points and theories as SVG strings: transparent, in the page's own colour, the same bytes for one input."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bench.claims.claim import called
from bench.planning.files import FigureFile

Band = tuple[Any, Any, Any, Any]  # x, y, low, high; the last two are None where there is no band
Theory = tuple[str, Callable[[float], float]]  # label and function of x

INK = "#123457"  # a placeholder that is replaced by the page's text colour
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")  # Okabe and Ito 2008
MARKERS = "osD^vPX*"
DASHES = ("-", "--", ":", "-.")
FINE = 200  # points of a theory's line
DARK = "@media (prefers-color-scheme: dark) { svg { color: #e4e7ea; background: #1b1f23; } }"
ALONE = f"<style>svg {{ color: #1d2329; background: #fff; }} {DARK}</style>"
STYLE: dict[Any, Any] = (
    dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    | dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False)
    | {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "board", "lines.linewidth": 1.6, "lines.markersize": 5}
)


def _safe(label: str) -> str:
    """A label that matplotlib shows unchanged: it reads mathematics between dollars and hides labels with a leading `_`."""
    text = label.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def chart(lines: Mapping[tuple[str, str], Band], theories: Sequence[Theory], file: FigureFile) -> str:
    """Lines or points, a colour for each series and a dash for each name, with their bands, and functions of x as dashed lines.

    lines: (series, name of the quantity on y) -> its numbers; points that are not finite, or not positive on a log axis, are
    left out. A theory has the colour of the series with its label if there is one; BenchError, naming it and x, if it raises.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure  # pyplot would keep every figure in memory

    series, names = (list(dict.fromkeys(key[place] for key in lines)) for place in (0, 1))
    colours = {label: COLOURS[place % len(COLOURS)] for place, label in enumerate(series)}

    def drawable(xs: Any, *ys: Any) -> np.ndarray:
        points = np.array([xs, *ys], dtype=float)
        any_sign = np.array([file.x_scale != "log", *[file.y_scale != "log"] * len(ys)])[:, None]
        return points[:, (np.isfinite(points) & ((points > 0) | any_sign)).all(axis=0)]

    with rc_context(STYLE):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        axes.set(xlabel=file.x_label or file.x.rpartition(".")[2], xscale=file.x_scale, yscale=file.y_scale)
        axes.set_ylabel(file.y_label or ", ".join(name.rpartition(".")[2] for name in file.quantities))
        axes.grid(alpha=0.25, linewidth=0.5)
        reach: list[float] = []
        for (label, name), (xs, ys, low, high) in lines.items():
            place, colour = series.index(label), colours[label]
            marker = MARKERS[(place + place // len(COLOURS)) % len(MARKERS)]
            dash = DASHES[names.index(name) % len(DASHES)]
            shown = _safe(label) if name == names[0] else None
            points = drawable(xs, ys)
            reach += [*points[0]]
            if file.draw == "points":
                axes.plot(*points, color=colour, marker=marker, linestyle="", alpha=0.8, label=shown)
                continue
            if low is not None and file.x == "step":
                axes.fill_between(*drawable(xs, low, high), color=colour, alpha=0.15, linewidth=0)
            elif low is not None:
                axes.vlines(*drawable(xs, low, high), color=colour, alpha=0.4)
            axes.plot(*points, color=colour, marker="" if file.x == "step" else marker, linestyle=dash, label=shown)
        for label, function in theories if reach else ():
            fine = (np.geomspace if file.x_scale == "log" else np.linspace)(min(reach), max(reach), FINE)
            points = drawable(fine, [called(function, f"theory {label!r} at {at:g}", at) for at in fine.tolist()])
            colour, legend = (colours[label], None) if label in colours else (INK, _safe(label))
            axes.plot(*points, color=colour, linestyle=(0, (4, 2)), linewidth=1.1, label=legend)
        for name, dash in zip(names, DASHES, strict=False) if len(names) > 1 else ():
            axes.plot([], [], color=INK, linestyle=dash, label=_safe(name))
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best", fontsize=8)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    _, tag, svg = out.getvalue().partition("<svg")
    return (tag + svg).replace(INK, "currentColor")


def alone(svg: str) -> str:
    """The figure as a file of its own, with colours of text and background for light and dark mode."""
    head, _, rest = svg.partition(">")
    return f"{head}>{ALONE}{rest}"
