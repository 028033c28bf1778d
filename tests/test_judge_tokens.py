"""What a judge would read and write that nobody has asked yet: questions, their length, and what earlier runs tell."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builders import run, variant
from piste.experiment import Variant
from piste.judge import Judge, judge_of, question, response_schema
from piste.judge_tokens import COLUMN_CHARACTERS, Rows, rows, tokens

TOLD: dict[str, Any] = {"model": "claude-4-5-sonnet", "rubric": "As {NOTE} says.", "scale": "pass_fail"}
GOLD = {"sql": "SELECT * FROM GOLD LIMIT 7", "answer": "ANSWER", "verdict": "VERDICT"}
ANSWER = 160


def judged(sql: str = "SELECT * FROM NOTES", **told: Any) -> tuple[Judge, Variant]:
    one = variant(**{"suite.judge": {**TOLD, **told}, "suite.data": {"sql": sql, "key": "ID"}})
    judge = judge_of(one.spec["suite"], one.digests.judge)
    assert judge is not None
    return judge, one


@pytest.mark.parametrize(
    ("told", "pairs", "questions", "longest_reply"),
    [
        ({}, False, 50, 300),
        ({"sections": ["facts", "style"]}, False, 50, 600),
        ({"pairwise": True}, True, 150, 300),
        ({"canaries": 10}, False, 60, 300),
        ({"canaries": 200}, False, 100, 300),
        ({"gold": GOLD}, False, 57, 300),
        ({"gold": {**GOLD, "sql": "SELECT * FROM GOLD"}}, False, 50, 300),
    ],
)
def test_every_question_has_its_row_and_its_reply(
    told: dict[str, Any], pairs: bool, questions: int, longest_reply: int
) -> None:
    judge, one = judged(**told)
    found = [tokens(judge, one.spec["suite"], Rows(50, text), ANSWER, pairs) for text in (1000.0, 1001.0)]
    (read, written), (more, _) = (two for two in found if two)
    assert (more - read, written) == (pytest.approx(questions), questions * longest_reply)


def whole(judge: Judge, one: Variant, pairwise: bool) -> str:
    """A question as it would be put, with columns and answers as long as they are assumed to be."""
    column, answer = "x" * COLUMN_CHARACTERS, "y" * ANSWER * 4
    parts = question(judge, one.spec["suite"], pairwise)
    filled = [text.replace("{NOTE}", column).replace("{DIALOGUE}", column) for _, text in parts]
    put = (answer if kind == "answer" else text for (kind, _), text in zip(parts, filled, strict=True))
    return "".join(put) + json.dumps(response_schema(judge, pairwise))


def test_a_question_is_as_long_as_it_would_be_put() -> None:
    judge, one = judged(pairwise=True)
    alone, both = (len(whole(judge, one, pairwise)) / 4 for pairwise in (False, True))
    assert tokens(judge, one.spec["suite"], Rows(10), ANSWER, False) == (pytest.approx(10 * alone), 3000)
    assert tokens(judge, one.spec["suite"], Rows(10), ANSWER, True) == (pytest.approx(10 * alone + 20 * both), 9000)
    assert tokens(judge, one.spec["suite"], Rows(None), ANSWER, True) is None


def outcomes(answers: int, read: float, rival: str = "") -> dict[str, Any]:
    told = {"judged": answers - 3, "required": 1, "unparsed": 1, "refused": 1, "estimated_tokens": [read, 9.0]}
    return {"other-judge": {"rival": rival, "judge": told}}


@pytest.mark.parametrize(
    ("sql", "seen", "before", "expected"),
    [
        ("SELECT * FROM NOTES", 0, {}, Rows(None)),
        ("SELECT * FROM NOTES LIMIT 50", 0, {}, Rows(50)),
        ("SELECT * FROM NOTES", 20, {}, Rows(20)),
        ("SELECT * FROM NOTES LIMIT 50", 20, {}, Rows(20)),
        ("SELECT * FROM NOTES", 20, outcomes(20, 6000), Rows(20, 300)),
        ("SELECT * FROM NOTES", 20, outcomes(20, 18_000, rival="RUN_A_1"), Rows(20, 300)),
        ("SELECT * FROM NOTES", 20, outcomes(20, 0), Rows(20)),
        ("SELECT * FROM NOTES", 20, {"other-judge": {"judge": {}}}, Rows(20)),
    ],
)
def test_rows_and_their_length_are_as_they_were_seen(
    sql: str, seen: int, before: dict[str, Any], expected: Rows
) -> None:
    _, one = judged(sql)
    past = [run(one, results={"evaluation": {"samples": seen}}, judged=before)] if seen else []
    assert rows(one.spec["suite"], past) == expected
