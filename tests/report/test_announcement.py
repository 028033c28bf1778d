from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from piste.report import announcement

ROOT = Path(__file__).parents[2]


def report(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "experiment": "notes-lora",
        "variant": "",
        "status": "done",
        "scores": {"json_fields": {"mean": 0.9583, "n": 50}},
        "comparison": {"scores": {"json_fields": {"difference": 0.3121}}},
        "failure": None,
        "spec": {"suite": {"primary": "json_fields", "scores": [{"name": "json_valid"}, {"name": "json_fields"}]}},
    }
    return made | changes


FAILED = report(status="failed", scores={}, comparison=None, failure={"kind": "recipe", "hint": "Mend model.dtype."})


def test_a_commit_says_what_came_of_it() -> None:
    assert announcement.message([report()], ["notes-lora"]) == (
        "report: notes-lora field accuracy 0.96 (+0.31)\n\nPiste-Reports: notes-lora\n"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "notes-lora field accuracy 0.96 (+0.31)"),
        ({"comparison": None}, "notes-lora field accuracy 0.96"),
        ({"variant": "seed=1"}, "notes-lora/seed=1 field accuracy 0.96 (+0.31)"),
        ({"scores": {}}, "notes-lora trained"),
        ({"status": "failed", "failure": {"kind": "recipe"}}, "notes-lora failed (recipe)"),
        ({"status": "cancelled", "failure": {"kind": "cancelled"}}, "notes-lora cancelled"),
    ],
)
def test_the_headline_of_one_report(changes: dict[str, Any], said: str) -> None:
    assert announcement.plain(report(**changes)) == said


def test_several_reports_are_named_and_told_below() -> None:
    said = announcement.message([report(), FAILED | {"experiment": "notes-base"}], ["notes-base", "notes-lora"])
    assert said.splitlines() == [
        "report: notes-base, notes-lora",
        "",
        "notes-lora field accuracy 0.96 (+0.31)",
        "notes-base failed (recipe)",
        "",
        "Piste-Reports: notes-base, notes-lora",
    ]


def test_many_reports_are_counted() -> None:
    names = [f"experiment-{number}" for number in range(40)]
    subject, *_ = announcement.message([report(experiment=name) for name in names], names).splitlines()
    assert subject == "report: 40 experiments"


def test_the_index_alone_is_a_report_too() -> None:
    assert announcement.message([], []) == "report: index\n\nPiste-Reports: index\n"


def test_a_subject_is_never_longer_than_git_shows() -> None:
    long = report(experiment="e" * 63, variant="learning_rate=0.001,seed=1")
    subject, *_ = announcement.message([long], [long["experiment"]]).splitlines()
    assert len(subject) == announcement.LONGEST_SUBJECT


def test_whoever_asked_hears_the_result() -> None:
    said = announcement.comment([report()], "https://example.org/report")
    assert said == "**notes-lora: field accuracy 0.96 (+0.31)**\n\n[The report](https://example.org/report)\n"


def test_whoever_asked_hears_what_to_do_about_a_failure() -> None:
    said = announcement.comment([FAILED], "https://example.org/report")
    assert said.splitlines()[0] == "**notes-lora: failed (recipe)**"
    assert "Mend model.dtype. `piste logs notes-lora` shows the log." in said


def test_whoever_asked_hears_how_it_stands_to_the_gates() -> None:
    report = next(one for one in golden("gates") if one["experiment"] == "gated-lora")
    said = announcement.comment([report], "https://example.org/report").splitlines()
    start = said.index("Gates:")
    assert said[start + 2] == "- **passed** valid JSON at least 0.9: 1.000 (0.969 to 1.000)"
    assert any("waived by @ana until" in line for line in said[start:])
    assert said[-1] == "[The report](https://example.org/report)"


def golden(case: str) -> tuple[dict[str, Any], ...]:
    found = (ROOT / "tests/golden/report" / case).rglob("report.json")
    return announcement.reports({str(path): path.read_bytes() for path in found})


def test_the_least_loss_is_told_first() -> None:
    suite = {"suite": {"scores": [{"name": "perplexity"}]}}
    found = [
        report(variant=name, scores={"perplexity": {"mean": mean, "n": 50}}, comparison=None, spec=suite)
        for name, mean in {"seed=1": 9.0, "seed=2": 3.0}.items()
    ]
    said = announcement.comment(found, "https://example.org/report")
    assert said.index("seed=2") < said.index("seed=1")


def test_variants_are_told_best_first() -> None:
    values = {"seed=1": 0.2, "seed=2": 0.9}
    found = [
        report(variant=name, scores={"json_fields": {"mean": mean, "n": 50}}, comparison=None)
        for name, mean in values.items()
    ]
    said = announcement.comment([*found, FAILED | {"variant": "seed=3"}], "https://example.org/report")
    assert said.startswith("**notes-lora: 2 of 3 variants done**\n")
    assert said.index("seed=2") < said.index("seed=1")


def test_the_shipped_reports_can_be_announced() -> None:
    files = {str(path): path.read_bytes() for path in ROOT.glob("experiments/*/report/report.json")}
    assert len(files) >= 2
    for one in announcement.reports(files):
        assert json.dumps(announcement.plain(one))
        assert announcement.comment([one], "https://example.org").startswith("**")


def test_the_pull_request_that_brings_reports_says_so() -> None:
    title, text = announcement.pull_request([report()], ["notes-lora"])
    assert title == "report: notes-lora field accuracy 0.96 (+0.31)"
    assert "| notes-lora | field accuracy 0.96 (+0.31) |" in text
    assert text.endswith("Piste-Reports: notes-lora\n")
