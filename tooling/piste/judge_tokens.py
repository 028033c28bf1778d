"""What a judge of Cortex would read and write, before anybody has asked it: tokens, by assumptions. Pure.

Answers and replies count at full length. How long a row's text is cannot be known without asking Snowflake: it counts
as another judge's questions about these rows did, else by `COLUMN_CHARACTERS`. So the sum is high, but no bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from piste.data_access import most_rows
from piste.experiment import Document
from piste.judge import CHARACTERS_PER_TOKEN, Judge, question, response_schema
from piste.run import Run
from piste.templates import COLUMN

COLUMN_CHARACTERS: Final = 4000
"""Assumed of the text that a row has in a column, where no judge was asked about these rows before."""


@dataclass(frozen=True)
class Rows:
    """How many rows a suite has, and the tokens of a row's text in a question; None where that is not known."""

    count: int | None
    text: float | None = None


def rows(suite: Document, before: Iterable[Run]) -> Rows:
    """As earlier runs of the suite's generation saw them, else at most as many as its query's own LIMIT allows."""
    runs = list(before)
    seen = max((int(run.evaluated.get("samples") or 0) for run in runs), default=0)
    asked = [found for run in runs for body in run.judged.values() if (found := _a_question(body))]
    return Rows(seen or most_rows(suite["data"]["sql"]), max(asked, default=None))


def _a_question(body: Mapping[str, Any]) -> float:
    """Tokens that one had on average, all of it: at least the text of its row. 0 where nobody counted."""
    told = body.get("judge") or {}
    answers = sum(int(told.get(outcome) or 0) for outcome in ("judged", "required", "unparsed", "refused"))
    read = float((told.get("estimated_tokens") or [0])[0])
    return read / (answers * (3 if body.get("rival") else 1)) if answers else 0.0


def tokens(judge: Judge, suite: Document, found: Rows, answer: int, pairs: bool) -> tuple[float, float] | None:
    """Read and written; None without a number of rows. An `answer` has so many tokens, `pairs` are asked both ways."""
    if found.count is None:
        return None
    alone = found.count + min(found.count, judge.canaries) + (gold_rows(judge) or 0)
    both = 2 * found.count if pairs else 0
    read = alone * _length(judge, suite, found, answer, False) + both * _length(judge, suite, found, answer, True)
    return read, float((alone + both) * judge.parameters["max_tokens"])


def gold_rows(judge: Judge) -> int | None:
    """How many answers of people there are at most; None where that is not known."""
    return most_rows(judge.gold["sql"]) if judge.gold else 0


def _length(judge: Judge, suite: Document, found: Rows, answer: int, pairwise: bool) -> float:
    """Tokens of a question, with the schema of its reply."""
    parts = question(judge, suite, pairwise)
    texts = [COLUMN.sub("", text) for kind, text in parts if kind != "answer"]
    own = sum(map(len, texts)) + len(json.dumps(response_schema(judge, pairwise)))
    columns = sum(len(COLUMN.findall(text)) for kind, text in parts if kind == "template")
    row = columns * COLUMN_CHARACTERS / CHARACTERS_PER_TOKEN if found.text is None else found.text
    return own / CHARACTERS_PER_TOKEN + row + answer * sum(kind == "answer" for kind, _ in parts)
