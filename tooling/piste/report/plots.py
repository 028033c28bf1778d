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

WIDTH = 5.6
"""Inches; 403 units of the picture, so that text of 11 units can be read on a phone."""
MOST_LETTERS = 60
"""Of a line of text across the picture."""
TEXT = "#747c86"
GRID = "#8c959f"
COLOURS = ("#1f7ae0", "#c4600c", "#2a8f43", "#8a5cd6", "#c9457f", "#0f8f8f", "#9a7b0a", "#747c86")
THIS, OTHER = COLOURS[0], COLOURS[1]
VERDICTS = {"improved": COLOURS[2], "regressed": COLOURS[4], "equivalent": COLOURS[0]}
FONT_RULE = "text{font-family: system-ui, 'Segoe UI', Helvetica, Arial, sans-serif} "
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "piste",
    "font.size": 11,
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


@dataclass(frozen=True)
class Difference:
    """A row of a forest plot: a difference with its interval, None where there is none, and what follows from it."""

    label: str
    value: float
    low: float | None
    high: float | None
    verdict: str


def loss_plot(title: str, loss: Curve, eval_loss: Curve = ()) -> bytes:
    with _figure(2.7) as figure:
        axes = _axes(figure, left=0.6, right=0.95, top=0.45, bottom=0.45)
        alone = "o" if len(loss) == 1 else None
        axes.plot(*_columns(loss), color=THIS, marker=alone, markersize=5, linewidth=1.8, solid_joinstyle="round")
        ends = [(loss[-1][1], "training", THIS)]
        if eval_loss:
            axes.plot(*_columns(eval_loss), color=OTHER, marker="o", markersize=5, linewidth=1.2, linestyle="--")
            ends.append((eval_loss[-1][1], "evaluation", OTHER))
        _frame(axes)
        _label_ends(axes, ends)
        _headline(figure, title)
        return _svg(figure, title)


def lines_plot(title: str, lines: Mapping[str, Curve]) -> bytes:
    """A line for each name, in the order of the legend."""
    legend = 0.23 * len(lines)
    with _figure(2.8 + legend) as figure:
        axes = _axes(figure, left=0.6, right=0.15, top=0.45, bottom=0.6 + legend)
        for place, (name, line) in enumerate(lines.items()):
            style = "-" if place < len(COLOURS) else "--"
            axes.plot(*_columns(line), color=_colour(place), linewidth=1.6, linestyle=style)
            _under(figure, legend - 0.23 * place, f"\N{EM DASH} {_short(name, MOST_LETTERS)}", _colour(place))
        _frame(axes)
        _headline(figure, title)
        return _svg(figure, title)


def scores_plot(title: str, dots: Sequence[Dot], this: str, other: str | None) -> bytes:
    """With the names of both under the title, each beside its mark."""
    names = [(f"\N{BLACK CIRCLE} {this}", THIS)] + ([(f"\N{WHITE DIAMOND} {other}", OTHER)] if other else [])
    top = 0.42 + 0.22 * len(names)
    with _figure(0.27 * len(dots) + top + 0.35) as figure:
        labels = [_short(dot.label, 30) for dot in dots]
        axes = _axes(figure, left=0.3 + 0.085 * max(map(len, labels)), right=0.2, top=top, bottom=0.35)
        for indent, size in ((False, 1.0), (True, 0.75)):
            _draw_dots(axes, [(place, dot) for place, dot in enumerate(dots) if dot.indent is indent], size)
        _scale(axes, labels, [value for dot in dots for value in (dot.this, dot.other) if value is not None])
        _headline(figure, title)
        height = figure.get_size_inches()[1]
        for place, (name, colour) in enumerate(names):
            _under(figure, height - 0.42 - 0.22 * place, _short(name, MOST_LETTERS), colour)
        return _svg(figure, title)


def differences_plot(title: str, rows: Sequence[Difference], minimum: float = 0.0) -> bytes:
    """A forest plot: right of the line in the middle is better. `minimum` shades what is of no interest."""
    with _figure(0.3 * len(rows) + 0.9) as figure:
        labels = [_short(row.label, 30) for row in rows]
        left, right = 0.3 + 0.085 * max(map(len, labels)), 0.3 + 0.085 * max(len(row.verdict) for row in rows)
        axes = _axes(figure, left=left, right=right, top=0.42, bottom=0.38)
        axes.axvline(0, color=GRID, linewidth=1.2)
        if minimum:
            axes.axvspan(-minimum, minimum, color=GRID, alpha=0.2, linewidth=0)
        for place, row in enumerate(rows):
            colour = VERDICTS.get(row.verdict, TEXT)
            if row.low is not None and row.high is not None:
                axes.hlines([place], [row.low], [row.high], color=colour, linewidth=1.6)
                axes.plot([row.low, row.high], [place, place], "|", color=colour, markersize=9, markeredgewidth=1.6)
            axes.plot([row.value], [place], "o", color=colour, markersize=5)
        _around_zero(axes, labels, rows)
        for place, row in enumerate(rows):
            axes.text(
                axes.get_xlim()[1],
                place,
                f"  {row.verdict}",
                color=VERDICTS.get(row.verdict, TEXT),
                va="center_baseline",
            )
        _headline(figure, title)
        return _svg(figure, title)


def _around_zero(axes: Axes, labels: Sequence[str], rows: Sequence[Difference]) -> None:
    """As far as any interval goes, with 0 always in it."""
    ends = [end for row in rows for end in (row.low, row.high, row.value) if end is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 0.1
    axes.set_xlim(low - room, high + room)
    _ticks(axes.xaxis, axes.get_xlim())
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    _quiet(axes, "x")


def _axes(figure: Figure, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes with these margins, in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height))


def _headline(figure: Figure, title: str) -> None:
    height = figure.get_size_inches()[1]
    figure.text(0.05 / WIDTH, 1 - 0.2 / height, _short(title, MOST_LETTERS), color=TEXT, weight="bold")


def _under(figure: Figure, inches: float, text: str, colour: str) -> None:
    """A line of text at this height."""
    figure.text(0.05 / WIDTH, inches / figure.get_size_inches()[1], text, color=colour)


def _short(text: str, most: int) -> str:
    """Without its middle, where it is too long: names differ at their ends."""
    end = most // 2
    return text if len(text) <= most else f"{text[: most - end - 1]}\N{HORIZONTAL ELLIPSIS}{text[-end:]}"


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _draw_dots(axes: Axes, dots: Sequence[tuple[int, Dot]], size: float) -> None:
    """This and the other of each row, with a line between them and this one's interval."""
    pairs = [(place, dot.this, dot.other) for place, dot in dots if dot.other is not None]
    spans = [(place, dot.low, dot.high) for place, dot in dots if dot.low is not None and dot.high is not None]
    for rows, colour, width, alpha in ((pairs, GRID, 1.2 * size, 1.0), (spans, THIS, 4 * size, 0.45)):
        places, starts, ends = ([row[part] for row in rows] for part in range(3))
        axes.hlines(places, starts, ends, color=colour, linewidth=width, alpha=alpha)
    diamond: Any = {"markersize": 6 * size, "markerfacecolor": "none", "markeredgewidth": 1.5}
    axes.plot([other for _, _, other in pairs], [place for place, _, _ in pairs], "D", color=OTHER, **diamond)
    axes.plot([dot.this for _, dot in dots], [place for place, _ in dots], "o", color=THIS, markersize=7.5 * size)


def _scale(axes: Axes, labels: Sequence[str], values: Sequence[float]) -> None:
    """From 0 to 1, where scores lie, and further where one doesn't."""
    low, high = min(0.0, *values), max(1.0, *values)
    axes.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    _ticks(axes.xaxis, axes.get_xlim())
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    _quiet(axes, "x")


def _columns(curve: Curve) -> tuple[list[float], list[float]]:
    return [x for x, _ in curve], [y for _, y in curve]


def _frame(axes: Axes) -> None:
    low, high = axes.get_ylim()
    axes.set_ylim(low if axes.dataLim.y0 < 0 else 0, high)
    if axes.dataLim.width == 0:
        axes.set_xlim(axes.dataLim.x0 - 1, axes.dataLim.x0 + 1)
    _ticks(axes.xaxis, axes.get_xlim(), whole=True)
    _ticks(axes.yaxis, axes.get_ylim())
    _quiet(axes, "y")
    axes.set_xlabel("step", color=TEXT, labelpad=2)


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


def _label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names and values to the right of the last points, moved apart where they would touch."""
    low, high = axes.get_ylim()
    ends = sorted(ends)
    places = [max(0.06, (value - low) / (high - low)) for value, _, _ in ends]
    for upper in range(1, len(places)):
        places[upper] = max(places[upper], places[upper - 1] + 0.25)
    above = max(0.0, places[-1] - 0.94)
    for (value, name, colour), place in zip(ends, places, strict=True):
        text, y = f"{name}\n{loss_value(value)}", low + (place - above) * (high - low)
        axes.text(axes.get_xlim()[1], y, text, color=colour, va="center", linespacing=1.1)


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
        font = FontProperties(weight=weight, size=text.get_fontsize(), fname=_font_file(weight == "bold"))
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
    svg = re.sub(r" font-family: [^;]*;", "", svg).replace('<style type="text/css">', f"<style>{FONT_RULE}", 1)
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"-?\d+\.\d{3,}", _hundredth, tag[0]), svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip() + "\n"


def _hundredth(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
