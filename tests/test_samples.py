"""Which samples a report may show, and what of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from builders import experiment, run
from piste import samples
from piste.experiment import Variant
from piste.measures import GROUP, LENGTH
from piste.report.files import render
from piste.variants import variants

WANTED = {"columns": ["NOTE"], "count": 3}


def asking(**changes: Any) -> Variant:
    (found,) = variants(experiment(**{"suite.samples": copy.deepcopy(WANTED), **changes}))
    return found


def scored(n: int, group: int = 0) -> dict[str, dict[str, float]]:
    values = {f"s{number:03}": number / n for number in range(n)}
    groups = {key: float(place // group) for place, key in enumerate(values)} if group else {}
    return {"json_valid": values, LENGTH: dict.fromkeys(values, 7.0), **({GROUP: groups} if groups else {})}


@pytest.mark.parametrize(
    ("n", "group", "count", "expected"),
    [
        (50, 0, 3, ["s000", "s024", "s049"]),
        (50, 0, 1, ["s025"]),
        (10, 0, 20, [f"s{number:03}" for number in range(10)]),
        (9, 0, 3, []),  # too few to hide among
        (40, 4, 3, []),  # visits of four to a patient
        (25, 10, 2, ["s000", "s019"]),  # the last group has five
    ],
)
def test_they_are_taken_evenly_and_never_from_few(n: int, group: int, count: int, expected: list[str]) -> None:
    suite = asking(**{"suite.samples": {**WANTED, "count": count}}).spec["suite"]
    assert list(samples.chosen(scored(n, group), suite)) == expected


def test_they_are_read_once_and_again_when_the_suite_asks_for_something_else() -> None:
    one = asking()
    (due,) = samples.missing([one], [run(one)])
    assert due.run == run(one)
    body = samples.body(one.spec["suite"], {"s001": 0.5}, [{"SAMPLE_ID": "s001", "ANSWER": "a", "C0": "n"}])
    told = run(one, shown=body)
    assert samples.missing([one], [told]) == ()
    other = asking(**{"suite.samples.columns": ["NOTE", "DIALOGUE"]})
    assert samples.missing([other], [told]) != ()
    assert samples.shown(told, other.spec["suite"]) == {}
    assert samples.missing([variants(experiment())[0]], [run(one)]) == ()


def test_the_statement_reads_the_named_columns_of_the_chosen_samples_alone() -> None:
    said = samples.statement("RUN_A_1", asking().spec["suite"], ["s1", "it's"])
    assert 'TO_VARCHAR(S."NOTE") AS C0' in said
    assert "DIALOGUE" not in said
    assert "P.SAMPLE_ID IN ('s1', 'it\\'s')" in said


def page(**changes: Any) -> str:
    one = experiment(**changes)
    (asked,) = variants(one)
    row = {"SAMPLE_ID": "PATIENT-7", "ANSWER": "```\n<b>{}</b>", "C0": "x" * 3000}
    body = samples.body(asking().spec["suite"], {"PATIENT-7": 0.25, "gone": 1.0}, [row])
    results = {"evaluation": {"samples": 50, "scores": {"json_valid": {"mean": 0.5, "n": 50}}}}
    shown = replace(run(asked), shown=body, results=results)
    return render([one], [asked], [shown], {})["experiments/notes-lora/report/README.md"].decode()


def test_a_page_shows_them_folded_cut_and_without_their_keys() -> None:
    text = page(**{"suite.samples": WANTED})
    assert "<summary>Samples</summary>" in text
    assert "**1. valid JSON 0.250**" in text
    assert f"```text\n{'x' * 2000}…\n```" in text
    assert "````text\n```\n<b>{}</b>\n````" in text
    assert "PATIENT-7" not in text


def test_a_suite_that_asks_no_more_shows_nothing() -> None:
    assert "Samples" not in page()
