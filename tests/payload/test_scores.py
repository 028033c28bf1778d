from __future__ import annotations

import math
from typing import Any

import pytest

from payload import scores

NOTE = '{"S": {"complaint": "cough", "days": 3}, "A": "cold", "P": ["rest", "tea"]}'
FIELDS = ["S.complaint", "S.days", "A", "P"]


@pytest.mark.parametrize(
    ("prediction", "valid"),
    [
        (NOTE, 1),
        (f"\n  {NOTE} \n", 1),
        ("[1, 2]", 1),
        ("null", 1),
        ('"text"', 1),
        ("", 0),
        (NOTE[:-1], 0),
        (NOTE.replace("}", ",}"), 0),
        (NOTE.replace('"', "'"), 0),
        (f"```json\n{NOTE}\n```", 0),
        (f"Here it is: {NOTE}", 0),
        (f"{NOTE}\n{NOTE}", 0),
        ('{"a": NaN}', 0),
        ('{"a": 1, "a": 2}', 0),
        ("[" * 100_000, 0),
    ],
)
def test_json_valid_is_about_the_whole_text(prediction: str, valid: int) -> None:
    assert scores.json_valid(prediction, NOTE, {}) == {"": valid}


@pytest.mark.parametrize(
    ("prediction", "right"),
    [
        (NOTE, "S.complaint S.days A P"),
        ('{"P": ["rest", "tea"], "A": "cold", "S": {"days": 3, "complaint": "cough"}}', "S.complaint S.days A P"),
        (f"Here it is:\n```json\n{NOTE}\n```\nTake care {{!}}", "S.complaint S.days A P"),
        (f"{{see}} {NOTE}", "S.complaint S.days A P"),
        (f'{NOTE} {{"A": "flu"}}', "S.complaint S.days A P"),
        (NOTE.replace("3", '"3"'), "S.complaint A P"),
        (NOTE.replace("3", "3.0"), "S.complaint S.days A P"),
        (NOTE.replace("3", "true"), "S.complaint A P"),
        (NOTE.replace("cold", "Cold"), "S.complaint S.days P"),
        (NOTE.replace("cold", " cold"), "S.complaint S.days P"),
        (NOTE.replace('"rest", "tea"', '"tea", "rest"'), "S.complaint S.days A"),
        ('{"S": "cough", "A": "cold"}', "A"),
        ('{"S.complaint": "cough"}', ""),
        ('{"A": "cold", "more": 1}', "A"),
        ('["cold"]', ""),
        (NOTE[:-1], ""),
        ("", ""),
    ],
)
def test_json_fields_reads_the_first_object_and_compares_with_types(prediction: str, right: str) -> None:
    values = scores.json_fields(prediction, NOTE, {"fields": FIELDS})
    mean = values.pop("")
    assert [field for field in FIELDS if values[field]] == right.split()
    assert mean == pytest.approx(len(right.split()) / 4)


def test_json_fields_takes_the_references_fields_when_none_are_named() -> None:
    assert set(scores.json_fields(NOTE, NOTE, {})) == {"", *FIELDS}


def test_a_field_that_the_reference_lacks_is_never_right() -> None:
    assert scores.json_fields('{"A": 1}', '{"A": 1}', {"fields": ["A", "B"]}) == {"": 0.5, "A": 1.0, "B": 0.0}


@pytest.mark.parametrize(
    ("prediction", "reference", "equal"),
    [
        (" yes\n", "yes", 1),
        ("Yes", "yes", 0),
        ('{"b": 1, "a": 2}', '{"a":2,"b":1}', 1),
        ('{"a": "2"}', '{"a": 2}', 0),
        ('{"a": 2, "b": 1}', '{"a": 2}', 0),
        ("not json", '{"a": 2}', 0),
        ("", "", 1),
    ],
)
def test_exact_match(prediction: str, reference: str, equal: int) -> None:
    assert scores.exact_match(prediction, reference, {}) == {"": equal}


@pytest.mark.parametrize(
    ("prediction", "reference", "value"),
    [("the cat sat", "the cat sat", 1.0), ("dog", "cat", 0.0), ("the cat", "the cat sat down", 2 / 3), ("", "a", 0.0)],
)
def test_rouge_l(prediction: str, reference: str, value: float) -> None:
    assert scores.rouge_l(prediction, reference, {})[""] == pytest.approx(value)


def test_the_summary_averages_each_score_and_each_field() -> None:
    wanted: list[dict[str, Any]] = [{"name": "json_fields", "fields": ["A"]}, {"name": "json_valid"}]
    found = [scores.score(text, '{"A": 1}', wanted) for text in ('{"A": 1}', '{"A": 2}', "no", "{}")]
    assert scores.summary(found) == {
        "json_fields": {"mean": 0.25, "n": 4, "per_field": {"A": 0.25}},
        "json_valid": {"mean": 0.75, "n": 4},
    }


@pytest.mark.parametrize(
    ("prediction", "options", "value"),
    [
        ("5 mg daily", {"text": "mg"}, 1),
        ("5 MG daily", {"text": "mg"}, 0),
        ("5 MG daily", {"text": "mg", "ignore_case": True}, 1),
        ("STRASSE", {"text": "straße", "ignore_case": True}, 1),
        ("", {"text": "mg"}, 0),
        ("the cold, again", {}, 1),
        ("The Cold", {}, 0),
        ("a (b) c", {"text": "(b)"}, 1),
        ("5 mg", {"texts": ["mg"]}, 1),
    ],
)
def test_contains(prediction: str, options: dict[str, Any], value: int) -> None:
    assert scores.contains(prediction, " cold\n", options) == {"": value}


def test_of_several_texts_the_share_counts_and_each_is_told() -> None:
    found = scores.contains("5 mg daily", "", {"texts": ["mg", "daily", "weekly", "never"]})
    assert found == {"": 0.5, "mg": 1.0, "daily": 1.0, "weekly": 0.0, "never": 0.0}


@pytest.mark.parametrize(
    ("prediction", "options", "value"),
    [
        ("take 5 mg", {"pattern": r"\b\d+ mg\b"}, 1),
        ("take 5 MG", {"pattern": r"\b\d+ mg\b"}, 0),
        ("take 5 MG", {"pattern": r"\b\d+ mg\b", "ignore_case": True}, 1),
        ("a\nb", {"pattern": "^b"}, 0),
        ("a\nb", {"pattern": "(?m)^b"}, 1),
        ("", {"pattern": "^$"}, 1),
    ],
)
def test_regex(prediction: str, options: dict[str, Any], value: int) -> None:
    assert scores.regex(prediction, "", options) == {"": value}


@pytest.mark.parametrize(
    ("options", "value"), [({}, 12), ({"unit": "words"}, 3), ({"unit": "tokens"}, 7), ({"unit": "characters"}, 12)]
)
def test_length(options: dict[str, Any], value: int) -> None:
    assert scores.length(scores.numbers_of("one two\nfour", 7), options) == {"": value}


@pytest.mark.parametrize(("loss", "value"), [(0.0, 1.0), (math.log(8), 8.0), (1e9, math.exp(100))])
def test_perplexity(loss: float, value: float) -> None:
    assert scores.perplexity({"loss": loss}, {})[""] == pytest.approx(value)
    assert scores.reference_loss({"loss": loss}, {}) == {"": loss}


def test_two_scores_of_a_kind_have_names_of_their_own() -> None:
    wanted: list[dict[str, Any]] = [
        {"name": "contains", "text": "mg"},
        {"name": "contains", "text": "daily", "as": "says_when"},
        {"name": "similarity", "model": "@MODELS/a", "as": "alike"},
    ]
    found = scores.score("5 mg", "", wanted, {"alike": 0.25})
    assert found == {"contains": {"": 1.0}, "says_when": {"": 0.0}, "alike": {"": 0.25}}
    assert list(scores.summary([found])) == ["contains", "says_when", "alike"]
