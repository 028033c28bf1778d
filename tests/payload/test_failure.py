"""Whose fault a Snowflake error is: what the same query meets again is not tried again."""

from __future__ import annotations

import pytest

from payload import failure


class SnowflakeError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__("Numeric value 'Anna Meier' is not recognized")
        self.errno = code


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (2003, "data", "does not exist, or the role may not see it"),
        (904, "data", "names no column (Snowflake error 000904)"),
        (1003, "data", "is not understood"),
        (100038, "data", "can't be done on its rows (Snowflake error 100038)"),
        (604, "platform", "Snowflake error 000604"),  # the query was cancelled
        (390114, "platform", "Snowflake error 390114"),  # the login ended
    ],
)
@pytest.mark.parametrize("phase", ["fetch", "generate"])
def test_an_error_of_snowflake(code: int, kind: str, said: str, phase: str) -> None:
    found = failure.unexpected(SnowflakeError(code), phase)
    assert (found.kind, found.phase) == (kind, phase)
    assert said in found.message
    assert "Meier" not in found.message


def test_one_that_caused_another_counts() -> None:
    later = ValueError("Anna Meier")
    later.__cause__ = SnowflakeError(100038)
    assert failure.unexpected(later, "score").kind == "data"
