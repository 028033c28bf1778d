"""Which rows a model is shown, and how."""

from __future__ import annotations

from typing import Any

import pytest

from payload import examples
from payload.templates import DataError

SUITE: dict[str, Any] = {
    "data": {"sql": "SELECT 1", "key": "id"},
    "prompt": {"system": "Notes.", "user": "Ask: {Q}"},
    "reference": "{A}",
}
ROWS: list[dict[str, Any]] = [{"ID": number, "Q": f"q{number}", "A": f"a{number}"} for number in range(20)]


def test_the_choice_depends_on_keys_and_seed_alone() -> None:
    asked = {"sql": "SELECT 1", "count": 3}
    found = examples.chosen(asked, SUITE, ROWS, [])
    assert examples.chosen(asked, SUITE, ROWS[::-1], []) == found
    assert examples.chosen({**asked, "seed": 0}, SUITE, ROWS, []) == found
    assert examples.chosen({**asked, "seed": 1}, SUITE, ROWS, []) != found
    assert examples.chosen({**asked, "count": 2}, SUITE, ROWS, []) == found[:2]
    assert [row["ID"] for row in found] == PINNED


PINNED = [6, 14, 4]
"""Whoever changes this evaluates every few-shot baseline of every user in another way."""


@pytest.mark.parametrize(
    ("rows", "evaluated", "said"),
    [
        (ROWS[:2], [], "gives 2 rows, and 3 are asked for"),
        (ROWS, ["7", "99"], "1 of the 20 rows of evaluate.examples.sql are also among the evaluated samples"),
        ([{"ID": 1, "Q": "q"}] * 3, [], "no column A"),
        ([*ROWS, ROWS[0]], [], "1 of 21 rows repeat one"),
    ],
)
def test_rows_that_are_no_examples_are_refused_without_telling_them(
    rows: list[dict[str, Any]], evaluated: list[str], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        examples.chosen({"sql": "SELECT 1", "count": 3}, SUITE, rows, evaluated)


def test_examples_are_turns_before_the_question() -> None:
    assert examples.chat(SUITE, ROWS[5], ROWS[:2]) == [
        {"role": "system", "content": "Notes."},
        {"role": "user", "content": "Ask: q0"},
        {"role": "assistant", "content": "a0"},
        {"role": "user", "content": "Ask: q1"},
        {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "Ask: q5"},
    ]
    assert examples.chat(SUITE, ROWS[5], ()) == [
        {"role": "system", "content": "Notes."},
        {"role": "user", "content": "Ask: q5"},
    ]
