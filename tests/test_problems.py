"""Problems as text, JSON and GitHub annotations."""

from __future__ import annotations

import json

import pytest

from piste.errors import Problem
from piste.problems import dotted, listed, quoted, suggestion, to_github, to_json, to_text

RUNTIME = Problem(
    "experiments/soap/experiment.yaml",
    14,
    3,
    "train.runtime",
    '"cpu" is not a runtime of this repository.',
    "Choose one of cpu-2026.11, gpu-2026.11, or add it to [tool.piste.runtimes] in pyproject.toml.",
)
WHOLE = Problem("experiments/a,b:c", 0, 0, "", "100% wrong\nreally", severity="warning")


def test_text() -> None:
    assert to_text([]) == ""
    assert to_text([RUNTIME, WHOLE]) == (
        "experiments/soap/experiment.yaml:14:3  train.runtime\n"
        '  "cpu" is not a runtime of this repository.\n'
        "  Choose one of cpu-2026.11, gpu-2026.11, or add it to [tool.piste.runtimes] in pyproject.toml.\n"
        "\n"
        "experiments/a,b:c\n"
        "  100% wrong\n"
        "  really\n"
    )


def test_json() -> None:
    report = json.loads(to_json(2, [RUNTIME]))
    assert report["experiments"] == 2
    assert list(report["problems"][0]) == ["file", "line", "column", "path", "message", "hint", "severity"]
    assert report["problems"][0]["line"] == 14
    assert json.loads(to_json(0, [])) == {"experiments": 0, "problems": []}


def test_github() -> None:
    lines = to_github([RUNTIME, WHOLE]).splitlines()
    assert lines[0].startswith("::error file=experiments/soap/experiment.yaml,line=14,col=3,title=train.runtime::")
    assert lines[0].endswith("repository.%0AChoose one of cpu-2026.11, gpu-2026.11, or add it to "
                             "[tool.piste.runtimes] in pyproject.toml.")  # fmt: skip
    assert lines[1] == "::warning file=experiments/a%2Cb%3Ac::100%25 wrong%0Areally"


def test_paths() -> None:
    assert dotted(("data", "sources", 0, "sql")) == "data.sources[0].sql"
    assert dotted((0, "a")) == "[0].a"
    assert dotted(()) == ""


def test_nothing_of_a_user_s_commands_a_terminal() -> None:
    hostile = "\x1b[31m\u202e\x9b\n::error::"
    shown = quoted(hostile) + dotted((hostile,)) + suggestion(hostile, [hostile]) + listed([hostile])
    assert shown.isprintable()
    assert len(dotted(("x" * 500,))) <= 60


@pytest.mark.parametrize("value", ["x" * 10_000, ["x" * 500] * 500, {"k" * 500: 1}, "a\nb", 10**60])
def test_values_are_repeated_on_one_short_line(value: object) -> None:
    assert len(quoted(value)) <= 60
    assert "\n" not in quoted(value)


def test_suggestions() -> None:
    assert suggestion("learning_rat", ["lr", "learning_rate"]) == 'Did you mean "learning_rate"?'
    assert suggestion("Title", ["title"], quote=False) == "Did you mean title?"
    assert suggestion("wandb", ["title"]) == ""
    assert suggestion(5, ["5"]) == ""
    assert listed(map(str, range(20)), 3) == "0, 1, 2 and 17 more"
