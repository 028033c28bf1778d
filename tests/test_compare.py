"""`piste compare --scores`: two files of scores, and what they tell."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from piste.cli import main


def piste(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["compare", "--scores", *arguments])


def written(path: Path, rows: Iterable[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def rows(score: str, values: list[float], **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"s{place}", "score": score, "value": value, **more} for place, value in enumerate(values)]


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    chance = random.Random(1)
    base = [chance.betavariate(5, 2) for _ in range(120)]
    better = [min(1.0, value + 0.05 + chance.gauss(0, 0.05)) for value in base]
    passed = [float(chance.random() < 0.6) for _ in range(120)]
    a = written(tmp_path / "a.jsonl", [*rows("quality", better), *rows("passes", passed), *rows("only_a", [1.0])])
    b = written(tmp_path / "b.jsonl", [*rows("quality", base), *rows("passes", list(reversed(passed)))])
    return a, b


def test_the_contract(files: tuple[str, str]) -> None:
    done = piste(*files, "--format", "json")
    assert done.exit_code == 0, done.output
    scores = json.loads(done.stdout)["scores"]
    assert list(scores) == ["passes", "quality"]
    quality = scores["quality"]
    assert {"n", "mean_a", "mean_b", "difference", "interval", "p_value", "test", "verdict"} <= quality.keys()
    assert (quality["n"], quality["verdict"], quality["test"]) == (120, "improved", "paired permutation")
    assert quality["interval"][0] < quality["difference"] < quality["interval"][1]
    assert quality["difference"] == pytest.approx(quality["mean_a"] - quality["mean_b"])
    assert (scores["passes"]["test"], scores["passes"]["verdict"]) == ("McNemar, exact", "inconclusive")


def test_an_inconclusive_one_says_what_would_settle_it(tmp_path: Path) -> None:
    chance = random.Random(2)
    base = [chance.betavariate(5, 2) for _ in range(40)]
    a = written(tmp_path / "a", rows("quality", [value + 0.02 + chance.gauss(0, 0.2) for value in base]))
    b = written(tmp_path / "b", rows("quality", base))
    found = json.loads(piste(a, b, "--format", "json").stdout)["scores"]["quality"]
    assert found["verdict"] == "inconclusive"
    assert found["samples_needed"] > 40
    assert f"about {found['samples_needed']:,} samples would tell" in piste(a, b).stdout


def test_a_minimum_makes_the_rest_equivalent(files: tuple[str, str]) -> None:
    found = json.loads(piste(*files, "--minimum", "0.2", "--format", "json").stdout)["scores"]
    assert found["quality"]["verdict"] == "equivalent"


def test_groups_count_as_one(tmp_path: Path) -> None:
    values = [place // 10 % 2 * 0.5 + 0.1 for place in range(60)]
    grouped = [{**row, "group": place // 10} for place, row in enumerate(rows("quality", values))]
    zero = written(tmp_path / "b", rows("quality", [0.0] * 60))
    alone = json.loads(piste(written(tmp_path / "a", rows("quality", values)), zero, "--format", "json").stdout)
    together = json.loads(piste(written(tmp_path / "c", grouped), zero, "--format", "json").stdout)
    wide, narrow = (one["scores"]["quality"]["interval"] for one in (together, alone))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    assert together["scores"]["quality"]["test"] == "permutation of groups"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nothing", "This is not JSON."),
        ("[1]", "A line needs id, score and value."),
        ('{"id": 1, "score": "a"}', "A line needs id, score and value."),
        ('{"id": 1, "score": "a", "value": "high"}', "value a finite number"),
        ('{"id": 1, "score": "a", "value": NaN}', "value a finite number"),
        ('{"id": 1, "score": "a", "value": 1, "vlaue": 2}', "vlaue is not a key here."),
        ('{"id": "s0", "score": "quality", "value": 1}', "The sample 's0' has a value of quality already."),
    ],
)
def test_a_line_that_is_none_is_told_with_its_number(files: tuple[str, str], line: str, said: str) -> None:
    a, b = files
    with Path(a).open("a") as file:
        file.write(line + "\n")
    done = piste(a, b)
    assert done.exit_code == 1
    assert f"{a}:242:1" in done.stderr
    assert said in done.stderr


def test_files_with_nothing_in_common_are_refused(files: tuple[str, str], tmp_path: Path) -> None:
    other = written(tmp_path / "c.jsonl", rows("another", [1.0]))
    done = piste(files[0], other)
    assert done.exit_code == 1
    assert "No score is in both files." in done.stderr


def test_markdown_is_a_table(files: tuple[str, str]) -> None:
    lines = piste(*files, "--format", "markdown").stdout.splitlines()
    assert lines[0] == "| score | a | b | difference (95% interval) | verdict |"
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| passes", "| quality"]
