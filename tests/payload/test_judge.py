"""What is taken of a judge's reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from payload.judge import reply


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"reason": "Good", "verdict": "pass"}', {"reason": "Good", "verdict": "pass"}),
        ('Sure:\n```json\n{"reason": "Good", "verdict": " Pass"}\n```', {"reason": "Good", "verdict": "pass"}),
        ('{"reason": "Good", "verdict": 4}', {"reason": "Good", "verdict": "4"}),
        (
            '{"sections": {"facts": {"reason": "A", "verdict": "FAIL"}}, "reason": "B", "verdict": "fail"}',
            {"sections": {"facts": {"reason": "A", "verdict": "fail"}}, "reason": "B", "verdict": "fail"},
        ),
        ("pass", None),
        ('{"reason": "cut of', None),
        ('{"verdict": ["pass"]}', {"verdict": None}),
    ],
)
def test_a_reply_is_read_as_far_as_it_is_one(text: str, message: Any) -> None:
    told = json.loads(reply(text, 7))
    assert told["choices"][0]["structured_output"][0]["raw_message"] == message
    assert told["usage"] == {"completion_tokens": 7}
