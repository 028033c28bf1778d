"""What a hosted model is asked, and what is made of its replies."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from payload import hosted
from payload.failure import RunError

QUESTION = [{"role": "system", "content": "Notes."}, {"role": "user", "content": "What?"}]
SHOWN = [*QUESTION[:1], {"role": "user", "content": "One?"}, {"role": "assistant", "content": "1"}, QUESTION[1]]


class Account:
    """Answers each prompt with its last word, those in `deaf` only from the given round on."""

    def __init__(self, deaf: dict[str, int] | None = None) -> None:
        self.deaf, self.asked = deaf or {}, list[tuple[str, list[str]]]()

    def rows(self, sql: str, parameters: Sequence[str]) -> list[dict[str, Any]]:
        prompts = dict(zip(parameters[::2], parameters[1::2], strict=True))
        self.asked.append((sql, list(prompts)))
        return [{"SAMPLE_ID": sample, "ANSWER": self._answer(sample, text)} for sample, text in prompts.items()]

    def _answer(self, sample: str, text: str) -> str | None:
        self.deaf[sample] = self.deaf.get(sample, 0) - 1
        if self.deaf[sample] >= 0:
            return None
        usage = {"prompt_tokens": len(text.split()), "completion_tokens": 1}
        return json.dumps({"choices": [{"messages": text.split()[-1]}], "model": "m", "usage": usage})


def ask(account: Account, count: int, seen: list[int] | None = None, **options: Any) -> dict[str, Any]:
    store: Any = account
    messages = {f"s{place}": [{"role": "user", "content": f"say {place}"}] for place in range(count)}
    return hosted.answers(store, "a-model", messages, options, (seen if seen is not None else []).append)


def test_every_sample_is_asked_once_some_at_a_time() -> None:
    account, seen = Account(), list[int]()
    found = ask(account, 70, seen)
    assert [len(samples) for _, samples in account.asked] == [32, 32, 6]
    assert seen == [0, 32, 64, 70]
    assert list(found) == [f"s{place}" for place in range(70)]
    assert {key: found["s3"][key] for key in ("PREDICTION", "TOKENS", "READ")} == {
        "PREDICTION": "3", "TOKENS": 1, "READ": 2,
    }  # fmt: skip


def test_no_prompt_is_in_a_statement() -> None:
    account = Account()
    ask(account, 2, max_new_tokens=9, temperature=0.5)
    sql, _ = account.asked[0]
    assert "say" not in sql
    assert sql.count("(?, ?)") == 2
    assert "model => 'a-model'" in sql
    assert "{'temperature': 0.5, 'max_tokens': 9}" in sql


def test_a_sample_without_an_answer_is_asked_for_again_alone() -> None:
    account = Account({"s1": 2})
    assert ask(account, 3)["s1"]["PREDICTION"] == "1"
    assert [samples for _, samples in account.asked] == [["s0", "s1", "s2"], ["s1"], ["s1"]]


def test_answers_that_never_come_are_no_wrong_answers() -> None:
    with pytest.raises(RunError, match="a-model gave no answer to 2 of 3 samples, asked 3 times") as raised:
        ask(Account({"s1": 9, "s2": 9}), 3)
    assert raised.value.failure.kind == "evaluation"


@pytest.mark.parametrize(
    ("turns", "text"),
    [
        (QUESTION, "Notes.\n\nWhat?"),
        (QUESTION[1:], "What?"),
        (SHOWN, "Notes.\n\nUser: One?\n\nAssistant: 1\n\nUser: What?\n\nAssistant:"),
    ],
)
def test_messages_become_one_text(turns: list[dict[str, str]], text: str) -> None:
    assert hosted.prompt(turns) == text
