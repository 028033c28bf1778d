"""Checks of a suite beyond its schema: scores, and the columns that its templates name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from piste.documents import Parsed
from piste.errors import Problem
from piste.problems import Path, quoted
from piste.sources import choose, section
from piste.templates import columns, unknown_columns


def check(suite: Parsed) -> Iterator[Problem]:
    scores = suite.data.get("scores")
    scores = [score for score in scores if isinstance(score, Mapping)] if isinstance(scores, list) else []
    names = [score.get("name") for score in scores]
    for index, score in enumerate(scores):
        yield from _score(suite, score, index, names[:index])
    primary = suite.data.get("primary")
    if isinstance(primary, str) and primary not in names:
        hint = choose(primary, [name for name in names if isinstance(name, str)], "add it to scores")
        yield suite.problem(("primary",), f"{quoted(primary)} is not one of this suite's scores.", hint)
    yield from _suite_templates(suite)


def _score(suite: Parsed, score: Mapping[str, Any], index: int, before: Sequence[Any]) -> Iterator[Problem]:
    name = score.get("name")
    if name == "json_fields" and "fields" not in score:
        hint = "Write e.g.  {name: json_fields, fields: [S.complaint]}"
        yield suite.problem(("scores", index, "fields"), '"json_fields" needs the fields that it compares.', hint)
    if name != "json_fields" and "fields" in score:
        message = f"Only json_fields has fields; {quoted(name)} compares whole answers."
        yield suite.problem(("scores", index, "fields"), message, "Remove them.")
    if name in before:
        yield suite.problem(("scores", index, "name"), f"{quoted(name)} is in this list already.", "Keep one of them.")


def _suite_templates(suite: Parsed) -> Iterator[Problem]:
    prompt, data = section(suite.data, "prompt"), section(suite.data, "data")
    every: dict[Path, Any] = {("prompt", key): prompt.get(key) for key in ("system", "user")}
    every[("reference",)] = suite.data.get("reference")
    texts = {path: text for path, text in every.items() if isinstance(text, str)}
    for path, text in texts.items():
        if path != ("prompt", "system") and not columns(text):
            message = "This names no column, so it would be the same for every row."
            yield suite.problem(path, message, "Write the name of a column in braces, e.g. {DIALOGUE}.")
    queries = {"sql": "The query", "validation": "The query of validation"}
    key, path = data.get("key"), ("data", "key")
    missing = ([*unknown_columns(suite, data.get(sql), key, path, texts, name)] for sql, name in queries.items())
    yield from next(filter(None, missing), [])
    yield from _same_rows(suite, data)


def _same_rows(suite: Parsed, data: Mapping[str, Any]) -> Iterator[Problem]:
    test, validation = (str(data.get(key) or "").split() for key in ("sql", "validation"))
    if test and test == validation:
        message = "These are the rows of data.sql, so what is chosen by them is not judged by others."
        yield suite.problem(("data", "validation"), message, "Write a query that gives other rows, or remove it.")
