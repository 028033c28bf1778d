"""What snowglobe says to plain text: nothing that could be taken for a language model."""

from __future__ import annotations

from typing import Any

import pytest

from snowglobe.completion import complete

SHOWN = "Notes.\n\nUser: One?\n\nAssistant: {1}\n\nUser: Two?\n\nAssistant: {2}\n\nUser: Three?\n\nAssistant:"


@pytest.mark.parametrize(
    ("prompt", "parameters", "answer"),
    [
        ("Who?", {}, "[nobody, asked as m] Who?"),
        ("Who are you?", {"max_tokens": 5}, "[nobody, asked as m] Who"),
        (SHOWN, {}, "{2}"),
        ("User: One?\n\nAssistant: a b c\n\nUser: Two?\n\nAssistant:", {"max_tokens": 2}, "a b"),
        ("Is the Assistant: here?", {}, "[nobody, asked as m] Is the Assistant: here?"),
    ],
)
def test_the_answer(prompt: str, parameters: dict[str, Any], answer: str) -> None:
    assert complete("m", prompt, parameters, "nobody") == answer
