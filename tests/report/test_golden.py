"""Whole repositories of reports against their expected bytes; `--update` writes them anew."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from report.cases import CASES, rendered

GOLDEN = Path(__file__).parents[1] / "golden" / "report"
ROOT = Path(__file__).parents[2]


def expected(case: str) -> dict[str, bytes]:
    folder = GOLDEN / case
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("case", CASES)
def test_reports_are_as_expected(case: str, request: pytest.FixtureRequest) -> None:
    found = rendered(case)
    if request.config.getoption("--update", default=False):
        shutil.rmtree(GOLDEN / case, ignore_errors=True)
        for path, content in found.items():
            (GOLDEN / case / path).parent.mkdir(parents=True, exist_ok=True)
            (GOLDEN / case / path).write_bytes(content)
    wanted = expected(case)
    assert sorted(found) == sorted(wanted)
    for path, content in found.items():
        assert content.decode() == wanted[path].decode(), path


@pytest.mark.parametrize("case", CASES)
def test_links_lead_to_what_is_rendered(case: str) -> None:
    """Those to reports; suites, experiments and commits are elsewhere."""
    found = rendered(case)
    for path, content in found.items():
        targets = re.findall(r"\]\(([^)]+)\)", content.decode()) if path.endswith(".md") else []
        for target in targets:
            reached = (Path("/") / path).parent.joinpath(target)
            inside = Path(*_resolved(reached)).as_posix()
            if target.endswith((".svg", "README.md")):
                assert inside in found, f"{path}: {target}"


def _resolved(path: Path) -> list[str]:
    parts: list[str] = []
    for part in path.parts[1:]:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return parts


@pytest.mark.parametrize("case", CASES)
def test_plots_are_small_pictures(case: str) -> None:
    plots = {path: content for path, content in rendered(case).items() if path.endswith(".svg")}
    for path, content in plots.items():
        assert ElementTree.fromstring(content).tag.endswith("}svg"), path
        assert len(content) < 40_000, path
        assert not re.search(rb"\d\.\d{3,}", re.sub(rb">[^<]*<", b"><", content)), f"{path}: long coordinates"


@pytest.mark.parametrize("case", CASES)
def test_report_json_follows_its_schema(case: str) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((ROOT / "schemas" / "report.schema.json").read_text())
    for path, content in rendered(case).items():
        if path.endswith("report.json"):
            errors = [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(content))]
            assert not errors, path
