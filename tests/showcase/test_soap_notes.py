"""The visits: deterministic, grounded, and no dialogue in two splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from payload import scores, templates
from showcase import soap_notes

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
VISITS = soap_notes.visits()


def values(note: Any) -> Iterator[str]:
    for value in note.values():
        yield from values(value) if isinstance(value, dict) else [value]


def test_every_value_of_a_note_stands_in_its_dialogue() -> None:
    missing = [
        (visit.id, value) for visit in VISITS for value in values(json.loads(visit.note)) if value not in visit.dialogue
    ]
    assert missing == []


def test_splits_have_their_sizes_and_share_no_dialogue() -> None:
    dialogues = {split: {visit.dialogue for visit in VISITS if visit.split == split} for split in soap_notes.SPLITS}
    assert {split: len(found) for split, found in dialogues.items()} == dict(soap_notes.SPLITS)
    assert len(set().union(*dialogues.values())) == len(VISITS)
    assert len({visit.id for visit in VISITS}) == len(VISITS)


def test_the_rows_are_the_same_everywhere() -> None:
    """Committed reports rest on these rows. A change here means: train again and commit new reports."""
    text = "\n".join(f"{visit.id}\t{visit.split}\t{visit.dialogue}\t{visit.note}" for visit in VISITS)
    assert hashlib.sha256(text.encode()).hexdigest() == (Path(__file__).with_name("visits.sha256")).read_text().strip()


def test_a_longer_last_split_leaves_the_others_alone() -> None:
    longer = soap_notes.visits({**soap_notes.SPLITS, "test": 120})
    assert longer[: len(VISITS)] == VISITS


def test_the_drug_does_not_follow_from_the_diagnosis() -> None:
    notes = [json.loads(visit.note) for visit in VISITS]
    drugs: dict[str, set[str]] = {}
    for note in notes:
        drugs.setdefault(note["A"], set()).add(note["P"]["drug"])
    assert min(map(len, drugs.values())) > 3


def test_the_suite_asks_for_exactly_the_fields_that_notes_have() -> None:
    suite = yaml.safe_load((EXPERIMENTS / "_suites/soap-notes/suite.yaml").read_text())
    fields = next(score["fields"] for score in suite["scores"] if score["name"] == "json_fields")
    assert {tuple(scores.leaves(json.loads(visit.note))) for visit in VISITS} == {tuple(fields)}
    asked = templates.fill(suite["prompt"]["user"], {"DIALOGUE": ""}).strip().splitlines()[-1]
    assert list(scores.leaves(json.loads(asked))) == fields


def test_both_models_are_asked_in_the_same_words() -> None:
    suite = yaml.safe_load((EXPERIMENTS / "_suites/soap-notes/suite.yaml").read_text())
    recipe = yaml.safe_load((EXPERIMENTS / "soap-smollm2-lora/recipe.yaml").read_text())
    for source in [*recipe["data"]["sources"], *recipe["data"]["eval_sources"]]:
        assert {**suite["prompt"], "assistant": suite["reference"]} == source["messages"]
        assert "'test'" not in source["sql"]
