"""The local scorer behind AI_COMPLETE: right by the words in common, and wrong exactly as often as it is told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from snowflake.snowpark import Row

from snowglobe import ControlError, Globe
from snowglobe.judge import MODEL, Judge

Query = Callable[..., list[Row]]


def form(*verdicts: str) -> dict[str, Any]:
    properties = {"reason": {"type": "string"}, "verdict": {"type": "string", "enum": list(verdicts)}}
    return {"type": "json", "schema": {"type": "object", "properties": properties}}


def alone(answer: str, number: int = 0) -> str:
    return f"Judge {number}.\n<reference>\na b c d\n</reference>\n<answer>\n{answer}\n</answer>"


def pair(first: str, second: str, number: int = 0) -> str:
    texts = f"<answer_1>\n{first}\n</answer_1>\n<answer_2>\n{second}\n</answer_2>"
    return f"Judge {number}.\n<reference>\na b c d\n</reference>\n{texts}"


def told(judge: Judge, prompt: str, *verdicts: str) -> str:
    answer = judge.answer("m", prompt, {}, form(*verdicts))
    return str(answer["verdict"]) if isinstance(answer, dict) else ""


PASS, FIVE, PAIR = ("fail", "pass"), ("1", "2", "3", "4", "5"), ("first", "second", "tie")


def test_it_is_right_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    judge = Judge(tmp_path / "judge.json")
    assert [told(judge, alone(text), *PASS) for text in ("a b c d", "x y")] == ["pass", "fail"]
    assert [told(judge, alone(text), *FIVE) for text in ("a b c d", "a b", "x")] == ["5", "4", "1"]
    assert [told(judge, pair(*texts), *PAIR) for texts in (("a", "x"), ("x", "a"), ("a", "a"))] == [
        "first",
        "second",
        "tie",
    ]
    assert judge.asked == 8
    assert MODEL in judge.answer("m", alone("a"), {}, form(*PASS))["reason"]
    assert "not an LLM" in MODEL


def test_it_errs_as_often_as_it_is_told_and_the_same_way_each_time(tmp_path: Path) -> None:
    judge = Judge(tmp_path / "judge.json")
    judge.change({"accuracy": 0.85, "unparsable": 0.1})
    said = [told(judge, alone("a b c d", number), *PASS) for number in range(2000)]
    shares = {verdict: count / 2000 for verdict, count in Counter(said).items()}
    assert shares == {
        "": pytest.approx(0.1, abs=0.03),
        "fail": pytest.approx(0.135, abs=0.03),
        "pass": pytest.approx(0.765, abs=0.03),
    }
    again = Judge(tmp_path / "judge.json")
    assert [told(again, alone("a b c d", number), *PASS) for number in range(2000)] == said
    again.change({"seed": 1})
    assert [told(again, alone("a b c d", number), *PASS) for number in range(2000)] != said


def test_a_biased_one_takes_what_comes_first(tmp_path: Path) -> None:
    judge = Judge(tmp_path / "judge.json")
    judge.change({"position_bias": 0.4})
    said = [told(judge, pair("x", "a b c d", number), *PAIR) for number in range(1000)]
    assert said.count("first") / 1000 == pytest.approx(0.4, abs=0.05)


def test_it_is_moved_from_outside_and_refuses_as_null(globe: Globe, query: Query) -> None:
    before = globe.judge(refused=1)
    sql = "SELECT AI_COMPLETE(model => 'm', prompt => ?, response_format => {0}) AS A"
    asked = sql.replace(
        "{0}", "{'type': 'json', 'schema': {'type': 'object', 'properties': {'verdict': {'enum': ['fail', 'pass']}}}}"
    )
    assert query(asked, alone("a b c d"))[0]["A"] is None
    assert globe.judge(refused=0) == before + 1
    assert json.loads(query(asked, alone("a b c d"))[0]["A"]) == {"verdict": "pass"}
    with pytest.raises(ControlError, match="cannot be pulled so"):
        globe.judge(mood=1)
