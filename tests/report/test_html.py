"""The page of all runs, as bytes; test_browser.py opens it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from world import World

from piste.report.html import runs_page
from piste.resources import page_file
from report import runs

BASE = "https://github.com/example/training/blob/HEAD/"


def page(reports: dict[str, bytes], base: str = BASE) -> str:
    content, problems = runs_page(reports, base)
    assert problems == ()
    return content.decode()


def data(content: str) -> Any:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', content, re.DOTALL)
    return json.loads(found)


def test_each_report_is_a_row() -> None:
    reports = runs.committed("matrix")
    rows = data(page(reports))["runs"]
    assert [row["page"] for row in rows] == [path.replace("report.json", "README.md") for path in sorted(reports)]
    row = next(row for row in rows if row["variant"] == "learning_rate=0.001,seed=1")
    assert (row["experiment"], row["suite"], row["status"], row["primary"]) == (
        "soap-smollm2-rates",
        "soap-notes",
        "done",
        "json_fields",
    )
    assert row["scores"]["json_fields"] | {"fields": {}} == {
        "mean": 0.86,
        "low": 0.828766,
        "high": 0.888765,
        "n": 50,
        "fields": {},
    }
    assert row["against"]["scores"]["json_fields"]["verdict"] == "improved"
    assert (row["credits"], row["date"][:10]) == (0.00857083, "2026-11-20")


def test_settings_are_those_that_may_change_a_result() -> None:
    content = data(page(runs.committed("matrix")))
    row = next(row for row in content["runs"] if row["variant"] == "learning_rate=0.001,seed=1")
    settings = {path: (rule, value) for path, rule, value in (content["settings"][place] for place in row["settings"])}
    assert settings["recipe.optimizer.learning_rate"] == ("train", "0.001")
    assert settings["suite.prompt.user"] == ("generate", "{DIALOGUE}")
    assert not {"title", "question", "owner", "suite.title"} & settings.keys()


def test_equal_reports_give_equal_bytes() -> None:
    reports = runs.committed()
    assert runs_page(reports, BASE) == runs_page(dict(reversed(reports.items())), BASE)


def test_the_policy_lets_nothing_run_but_the_pages_own_script() -> None:
    content = page(runs.committed())
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', content)
    (script,) = re.findall(r"<script>(.*?)</script>", content, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", content, re.DOTALL)
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert policy.startswith("default-src 'none'")
    assert re.findall(r"'sha256-([^']*)'", policy) == hashes
    assert "unsafe" not in policy


def test_hostile_text_stays_within_the_data() -> None:
    content = page(runs.hostile())
    assert content.count("</script>") == page(runs.committed()).count("</script>")
    assert "<img" not in content
    (row,) = data(content)["runs"]
    assert row["title"] == runs.HOSTILE
    assert row["page"] == "experiments/bad%27%22%3E%3Ci%3E/report/README.md"


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"schema": "report/v2"}', b'{"schema": "report/v1", "run": NaN}'],
)
def test_what_is_no_report_is_told_and_left_out(content: bytes) -> None:
    path = "experiments/other/report/report.json"
    found, problems = runs_page({**runs.committed("pair"), path: content}, BASE)
    assert [problem.file for problem in problems] == [path]
    assert len(data(found.decode())["runs"]) == 2


@pytest.mark.parametrize("broken", ["scores", "comparison", "cost", "spec"])
def test_a_report_with_a_part_of_another_kind_is_told_and_left_out(broken: str) -> None:
    made = runs.document()
    made[broken] = 7
    _, problems = runs_page({"experiments/a/report/report.json": json.dumps(made).encode()}, BASE)
    assert len(problems) == 1


def test_numbers_that_are_none_are_left_out() -> None:
    made = runs.document()
    made["scores"]["rouge_l"]["mean"], made["scores"]["json_valid"]["mean"] = "0.9", True
    text = json.dumps(made).replace('"credits": 0.00857083', '"credits": 1e999')
    (row,) = data(page({"experiments/a/report/report.json": text.encode()}))["runs"]
    assert (list(row["scores"]), row["credits"]) == (["json_fields"], None)


COLOURS = {
    scheme: dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
    for scheme, block in zip(("light", "dark"), re.findall(r":root \{([^}]*)\}", page_file("page.css")), strict=True)
}


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return sum(part * weight for part, weight in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", COLOURS)
@pytest.mark.parametrize("ground", ["page", "panel", "chosen"])
def test_text_can_be_read(scheme: str, ground: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 for text."""
    colours = COLOURS[scheme]
    weak = [
        (name, round(contrast(colours[name], colours[ground]), 2))
        for name in ("text", "quiet", "link", "good", "bad", "unsure", "a", "b")
        if contrast(colours[name], colours[ground]) < 4.5
    ]
    assert weak == []


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A repository of committed reports alone: no account, and no experiment that asks for them any more."""
    made = World(tmp_path, tmp_path, "none")
    shutil.copytree(runs.GOLDEN / "matrix" / "experiments", tmp_path / "experiments")
    return made


def test_the_command_writes_the_page(world: World) -> None:
    done = world.piste("report", "--html", str(world.root / "site"))
    assert (done.code, done.out.strip()) == (0, str(world.root / "site" / "index.html"))
    content = (world.root / "site" / "index.html").read_text()
    assert len(data(content)["runs"]) == 6
    assert data(content)["base"] == "../"
    before = (world.root / "site" / "index.html").read_bytes()
    world.piste("report", "--html", str(world.root / "site"))
    assert (world.root / "site" / "index.html").read_bytes() == before


def test_links_lead_to_where_the_repository_is(world: World) -> None:
    world.piste("report", "--html", str(world.root / "site"), "--links", "https://git.example.com/t/blob/main")
    content = data((world.root / "site" / "index.html").read_text())
    assert content["base"] == "https://git.example.com/t/blob/main/"


def test_the_command_tells_what_is_no_report(world: World) -> None:
    (world.root / "experiments" / "soap-smollm2-base" / "report" / "report.json").write_text("{}")
    done = world.piste("report", "--html", str(world.root / "site"))
    assert done.code == 0
    assert "experiments/soap-smollm2-base/report/report.json" in done.err


def test_nothing_is_written_among_experiments(world: World) -> None:
    done = world.piste("report", "--html", str(world.root / "experiments" / "site"))
    assert done.code == 1
    assert "inside experiments/" in done.err
    assert not (world.root / "experiments" / "site").exists()
