"""Plots as SVG, drawn by matplotlib so that equal numbers give equal bytes.

Text stays text and is laid out with the font file that matplotlib brings, so installed fonts and the user's
matplotlibrc change nothing; the reader's own system font shows it. The background is transparent and every colour has
a contrast of at least 3.5 on GitHub's light and dark pages.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from piste.report.words import MINUS, loss_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Sequence[tuple[float, float]]

WIDTH = 6.4
"""Inches; 461 units of the picture, so that text of 11 units can be read on a phone."""
TEXT = "#747c86"
GRID = "#8c959f"
COLOURS = ("#1f7ae0", "#c4600c", "#2a8f43", "#8a5cd6", "#c9457f", "#0f8f8f", "#9a7b0a", "#747c86")
THIS, OTHER = COLOURS[0], COLOURS[1]
FAMILY = ["system-ui", "Segoe UI", "Helvetica", "Arial", "sans-serif"]
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "piste",
    "font.family": FAMILY,
    "font.size": 11,
    "axes.titlesize": 11,
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Dot:
    """A row of the score plot. `indent` marks a part of the row above it."""

    label: str
    this: float
    other: float | None = None
    low: float | None = None
    high: float | None = None
    indent: bool = False


def loss_plot(title: str, loss: Curve, eval_loss: Curve = ()) -> bytes:
    with _figure(2.7) as figure:
        axes = figure.add_axes((0.105, 0.17, 0.73, 0.70))
        axes.plot(*_columns(loss), color=THIS, linewidth=1.8, solid_joinstyle="round")
        ends = [(loss[-1], f"training {loss_value(loss[-1][1])}", THIS)]
        if eval_loss:
            axes.plot(*_columns(eval_loss), color=OTHER, marker="o", markersize=5, linewidth=1.2, linestyle="--")
            ends.append((eval_loss[-1], f"evaluation {loss_value(eval_loss[-1][1])}", OTHER))
        _frame(axes, title, "step")
        _label_ends(axes, ends)
        return _svg(figure, title)


def lines_plot(title: str, lines: Mapping[str, Curve]) -> bytes:
    """A line for each name, in the order of the legend."""
    with _figure(2.7 + 0.22 * len(lines)) as figure:
        height = figure.get_size_inches()[1]
        legend = (0.22 * len(lines) + 0.1) / height
        axes = figure.add_axes((0.105, legend + 0.48 / height, 0.86, 1 - legend - 0.86 / height))
        for place, (name, line) in enumerate(lines.items()):
            style = "-" if place < len(COLOURS) else "--"
            axes.plot(*_columns(line), color=COLOURS[place % len(COLOURS)], linewidth=1.6, linestyle=style, label=name)
        _frame(axes, title, "step")
        drawn = figure.legend(loc="lower left", bbox_to_anchor=(0.08, 0), frameon=False, borderaxespad=0)
        for text in drawn.get_texts():
            text.set_color(TEXT)
        return _svg(figure, title)


def scores_plot(title: str, dots: Sequence[Dot], this: str, other: str | None) -> bytes:
    height = 0.27 * len(dots) + 0.95
    with _figure(height) as figure:
        axes = figure.add_axes((0.31, 0.34 / height, 0.66, 1 - 0.92 / height))
        for place, dot in enumerate(dots):
            _draw_dot(axes, place, dot)
        _rows(axes, [dot.label for dot in dots])
        highest = max([1.0, *(dot.this for dot in dots), *(dot.other or 0.0 for dot in dots)])
        axes.set_xlim(min([0.0, *(dot.this for dot in dots)]) - 0.03 * highest, 1.03 * highest)
        _ticks(axes.xaxis, axes.get_xlim())
        _quiet(axes, "x")
        axes.text(-0.455, 1, title, transform=_above(figure, axes, 0.36), color=TEXT, weight="bold")
        _key(figure, axes, this, other)
        return _svg(figure, title)


def _draw_dot(axes: Axes, place: int, dot: Dot) -> None:
    small = 0.75 if dot.indent else 1.0
    if dot.other is not None:
        axes.plot([dot.other, dot.this], [place, place], color=GRID, linewidth=1.2 * small, solid_capstyle="butt")
        axes.plot(
            [dot.other],
            [place],
            color=OTHER,
            marker="D",
            markersize=6 * small,
            markerfacecolor="none",
            markeredgewidth=1.5,
        )
    if dot.low is not None and dot.high is not None:
        axes.plot(
            [dot.low, dot.high], [place, place], color=THIS, linewidth=4 * small, alpha=0.45, solid_capstyle="butt"
        )
    axes.plot([dot.this], [place], color=THIS, marker="o", markersize=7.5 * small, linestyle="none")


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _key(figure: Figure, axes: Axes, this: str, other: str | None) -> None:
    """Which mark is whose, under the title; a name may be long, so each has its own half."""
    place = _above(figure, axes, 0.13)
    names = [(this, THIS, "●")] if other is None else [(this, THIS, "●"), (other, OTHER, "◇")]
    for (name, colour, mark), x in zip(names, (-0.455, 0.3), strict=False):
        axes.text(x, 1, f"{mark} {name}", transform=place, color=colour)


def _above(figure: Figure, axes: Axes, inches: float) -> Any:
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, inches, figure.dpi_scale_trans)


def _columns(curve: Curve) -> tuple[list[float], list[float]]:
    return [x for x, _ in curve], [y for _, y in curve]


def _frame(axes: Axes, title: str, x_label: str) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0) if axes.dataLim.y0 < 0 else 0, high)
    _ticks(axes.xaxis, axes.get_xlim(), whole=True)
    _ticks(axes.yaxis, axes.get_ylim())
    _quiet(axes, "y")
    axes.set_title(title, loc="left", color=TEXT, weight="bold", pad=10)
    axes.set_xlabel(x_label, color=TEXT, labelpad=2)


def _ticks(axis: Any, limits: tuple[float, float], whole: bool = False) -> None:
    """Round numbers inside the limits, labelled by ourselves: matplotlib's own labels know locales and offsets."""
    from matplotlib.ticker import MaxNLocator

    low, high = sorted(limits)
    found = MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=whole).tick_values(low, high)
    places = [float(place) for place in found if low <= place <= high]
    axis.set_ticks(places, [f"{place + 0.0:.6g}".replace("-", MINUS) for place in places])


def _quiet(axes: Axes, grid: Literal["x", "y"]) -> None:
    axes.patch.set_visible(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.grid(axis=grid, color=GRID, linewidth=0.6, alpha=0.4)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, colors=TEXT, pad=5)


def _label_ends(axes: Axes, ends: Sequence[tuple[tuple[float, float], str, str]]) -> None:
    """Names to the right of the last points, moved apart where they would touch."""
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    heights = [(point[1] - low) / (high - low) for point, _, _ in ends]
    if len(heights) == 2 and abs(heights[0] - heights[1]) < 0.24:
        middle, above = sum(heights) / 2, heights[0] >= heights[1]
        heights = [middle + 0.12, middle - 0.12] if above else [middle - 0.12, middle + 0.12]
    for (_, name, colour), height in zip(ends, heights, strict=True):
        word, _, value = name.rpartition(" ")
        axes.text(right, low + height * (high - low), f"{word}\n{value}", color=colour, va="center", linespacing=1.1)


@contextmanager
def _figure(height: float) -> Iterator[Figure]:
    """A figure under settings of our own: matplotlib's defaults, none of the user's."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        figure = Figure(figsize=(WIDTH, height), dpi=72)
        FigureCanvasSVG(figure)
        figure.patch.set_visible(False)
        yield figure


def _svg(figure: Figure, title: str) -> bytes:
    from matplotlib.font_manager import FontProperties
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        weight = text.get_fontweight()
        font = FontProperties(
            family=FAMILY, weight=weight, size=text.get_fontsize(), fname=_font_file(weight == "bold")
        )
        text.set_fontproperties(font)
    for artist in figure.findobj():
        artist.set_clip_on(False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    return _tidy(buffer.getvalue()).encode()


def _font_file(bold: bool) -> str:
    import matplotlib

    return f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans{'-Bold' if bold else ''}.ttf"


def _tidy(svg: str) -> str:
    """Coordinates to a hundredth of a unit, which also hides how processors round; nothing that is empty."""
    svg = svg[svg.index("<svg ") :].replace("<svg ", '<svg role="img" ', 1)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", svg)
    svg = re.sub(r'<g id="[^"]*"/>\s*', "", svg)
    svg = re.sub(r"-?\d+\.\d{3,}", lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip() + "\n"
