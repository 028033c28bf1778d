"""Plots of what training can log, and of names that people give."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from piste.report.plots import Dot, lines_plot, loss_plot, scores_plot

SVG = "{http://www.w3.org/2000/svg}"
CURVES = {
    "one point": [(1, 2.0)],
    "constant": [(step, 0.5) for step in range(10)],
    "zero": [(step, 0.0) for step in range(10)],
    "huge": [(1000 * step, 1e30 * step) for step in range(5)],
    "negative": [(step, -0.1 * step) for step in range(9)],
    "tiny": [(step, 1e-9 * step) for step in range(9)],
}


def drawn(svg: bytes) -> tuple[list[str], ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return [text.text or "" for text in root.iter(f"{SVG}text")], root


def place_of(text: ElementTree.Element) -> tuple[float, float]:
    """Where its baseline begins; matplotlib moves lines of several by a transformation."""
    moved = re.search(r"translate\((\S+) (\S+)\)", text.attrib.get("transform", ""))
    x, y = moved.groups() if moved else (text.attrib["x"], text.attrib["y"])
    return float(x), float(y)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("curve", CURVES)
def test_any_curve_is_drawn_inside_the_picture(curve: str) -> None:
    points = CURVES[curve]
    texts, root = drawn(loss_plot("Training loss", points, points[-1:]))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert {"Training loss", "step", "training", "evaluation"} <= set(texts)
    for text in root.iter(f"{SVG}text"):
        x, y = place_of(text)
        assert 0 <= x <= width, text.text
        assert 8 <= y <= height, text.text
    assert b"nan" not in loss_plot("Training loss", points)


@pytest.mark.filterwarnings("error")
def test_names_are_drawn_as_they_are() -> None:
    """No mathematics between dollars, no rounding of digits, no tags, and no name is left out for its first letter."""
    names = ["a=$x^2$,b=$y$", "learning_rate=0.000312345", "_hidden=1", "<script>", "&amp;"]
    texts, _ = drawn(lines_plot("Training loss", {name: [(1, 2.0), (2, 1.0)] for name in names}))
    assert [text for text in texts if text.startswith("\N{EM DASH} ")] == [f"\N{EM DASH} {name}" for name in names]


def test_a_long_name_keeps_its_ends() -> None:
    texts, _ = drawn(
        scores_plot("Scores", [Dot("Plan.medication.instruction_17_of_the_day", 0.5)], "x" * 100 + "1", None)
    )
    assert any(text.startswith("Plan.med") and text.endswith("17_of_the_day") for text in texts)
    assert any(text.endswith("x1") and len(text) <= 60 for text in texts)


def test_a_score_beyond_one_widens_the_scale() -> None:
    texts, _ = drawn(scores_plot("Scores", [Dot("length", 7.5, 3.0)], "this", "other"))
    assert "1" not in texts
    assert "6" in texts or "5" in texts


def test_many_fields_stay_small() -> None:
    dots = [Dot(f"section.field_{place}", 0.5, 0.25, indent=True) for place in range(60)]
    assert len(scores_plot("Scores", dots, "this", "other")) < 40_000
