"""Checks of a suite beyond its schema: scores, and the columns that its templates name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from piste.documents import Parsed
from piste.environment import FILE, Policy
from piste.errors import Problem
from piste.experiment import JUDGE, PAIRWISE
from piste.judge import is_on_pool
from piste.problems import Path, quoted
from piste.scores import BETTER, OPTIONS, Better
from piste.sources import choose, section
from piste.templates import columns, selected, unknown_columns


def check(suite: Parsed, name: str, policy: Policy) -> Iterator[Problem]:
    """`policy` is that of the settings: it says of which suites text may be shown."""
    scores = suite.data.get("scores")
    scores = [score for score in scores if isinstance(score, Mapping)] if isinstance(scores, list) else []
    labels = [score.get("as", score.get("name")) for score in scores]
    for index, score in enumerate(scores):
        yield from _options(suite, score, index)
        yield from _label(suite, score, index, labels[:index])
    yield from _judge(suite, labels)
    if judge := section(suite.data, "judge"):
        made = [{"name": JUDGE}, *([{"name": PAIRWISE}] if judge.get("pairwise") else [])]
        scores, labels = [*scores, *made], [*labels, *(score["name"] for score in made)]
    yield from _primary(suite, scores, labels)
    yield from _suite_templates(suite)
    yield from _samples(suite, name, policy)


def _samples(suite: Parsed, name: str, policy: Policy) -> Iterator[Problem]:
    samples, data = section(suite.data, "samples"), section(suite.data, "data")
    if not samples:
        return
    if name not in policy.samples:
        message = "Text of these rows would be shown in reports, which the settings don't allow for this suite."
        hint = f'Remove it, or write  samples = ["{name}"]  in [tool.piste.policy] of {FILE}: whoever may approve that.'
        yield suite.problem(("samples",), message, hint)
    listed = samples.get("columns")
    known = selected(data["sql"]) if isinstance(data.get("sql"), str) else None
    for index, wanted in enumerate(listed if isinstance(listed, list) else ()):
        if known is not None and isinstance(wanted, str) and wanted.upper() not in known:
            hint = choose(wanted, known, "add it to the query")
            yield suite.problem(("samples", "columns", index), f"The query has no column {wanted}.", hint)


def _label(suite: Parsed, score: Mapping[str, Any], index: int, before: Sequence[Any]) -> Iterator[Problem]:
    key = "as" if "as" in score else "name"
    if score.get(key) in before:
        message = f"{quoted(score[key])} is in this list already."
        hint = "Keep one of them, or give this another name:  as: NAME" if key == "name" else "Choose another name."
        yield suite.problem(("scores", index, key), message, hint)


def _primary(suite: Parsed, scores: Sequence[Mapping[str, Any]], labels: Sequence[Any]) -> Iterator[Problem]:
    primary = suite.data.get("primary")
    if isinstance(primary, str) and primary not in labels:
        hint = choose(primary, [label for label in labels if isinstance(label, str)], "add it to scores")
        yield suite.problem(("primary",), f"{quoted(primary)} is not one of this suite's scores.", hint)
        return
    heads = [*labels].index(primary) if primary in labels else 0
    if scores and scores[heads].get("better", BETTER.get(str(scores[heads].get("name")))) == Better.NEITHER:
        message = f"{quoted(labels[heads])} has no better and worse, so it can't be the score that decides."
        hint = "Name another score as primary, or say what is better:  better: lower"
        yield suite.problem(("primary",), message, hint)


NEEDED = {
    "json_fields": ("fields", "the fields that it compares", "{name: json_fields, fields: [S.complaint]}"),
    "regex": ("pattern", "the pattern that it looks for", "{name: regex, pattern: 'mg$'}"),
    "similarity": ("model", "an embedding model", '{name: similarity, model: "@MODELS/all-minilm-l6-v2"}'),
}
"""By score the option that it can't do without, what it is, and how it is written."""


def _options(suite: Parsed, score: Mapping[str, Any], index: int) -> Iterator[Problem]:
    name = score.get("name")
    key, what, written = NEEDED.get(str(name), ("", "", ""))
    if key and key not in score:
        yield suite.problem(("scores", index, key), f'"{name}" needs {what}.', f"Write e.g.  {written}")
    for option, readers in OPTIONS.items():
        if option in score and name not in readers:
            yield suite.problem(("scores", index, option), *_unread(option, name, readers))
    if "text" in score and "texts" in score:
        message = '"texts" says which texts are looked for, and "text" names another.'
        yield suite.problem(("scores", index, "text"), message, "Keep one of the two keys.")
    if isinstance(score.get("pattern"), str):
        yield from _pattern(suite, score["pattern"], index)


def _unread(option: str, name: Any, readers: Sequence[str]) -> tuple[str, str]:
    if option == "fields":
        return f"Only json_fields has fields; {quoted(name)} compares whole answers.", "Remove them."
    return f"Only {' and '.join(readers)} {'has' if len(readers) == 1 else 'have'} {option}.", "Remove it."


def _pattern(suite: Parsed, pattern: str, index: int) -> Iterator[Problem]:
    try:
        re.compile(pattern)
    except re.error as error:
        place = "" if error.pos is None else f" at character {error.pos + 1}"
        message = f"This is no regular expression: {error.msg}{place}."
        hint = "Write it as Python's re module reads it; put a backslash before a character that stands for itself."
        yield suite.problem(("scores", index, "pattern"), message, hint)


def _judge(suite: Parsed, names: Sequence[Any]) -> Iterator[Problem]:
    judge = section(suite.data, "judge")
    if is_on_pool(judge.get("model", "")):
        yield from _on_pool(suite, judge)
    required = judge.get("require")
    for index, name in enumerate(required if isinstance(required, list) else ()):
        if isinstance(name, str) and name not in names:
            hint = choose(name, [known for known in names if isinstance(known, str)], "add it to scores")
            message = f"{quoted(name)} is not one of this suite's scores."
            yield suite.problem(("judge", "require", index), message, hint)


def _on_pool(suite: Parsed, judge: Mapping[str, Any]) -> Iterator[Problem]:
    """It judges within the run's own job: the other of a pair may not have answered yet."""
    if judge.get("pairwise"):
        message = "A judge on a stage judges each answer by itself, in the job of its run: there is no pair there."
        yield suite.problem(("judge", "pairwise"), message, "Remove it, or name a model that Cortex has.")
    if judge.get("canaries"):
        message = "A judge on a stage changes only when somebody puts another there, so it needs no canaries."
        yield suite.problem(("judge", "canaries"), message, "Remove it; put another model into another folder.")


def _suite_templates(suite: Parsed) -> Iterator[Problem]:
    prompt, data = section(suite.data, "prompt"), section(suite.data, "data")
    every: dict[Path, Any] = {("prompt", key): prompt.get(key) for key in ("system", "user")}
    every[("reference",)] = suite.data.get("reference")
    every[("judge", "rubric")] = section(suite.data, "judge").get("rubric")
    texts = {path: text for path, text in every.items() if isinstance(text, str)}
    for path, text in texts.items():
        if path not in (("prompt", "system"), ("judge", "rubric")) and not columns(text):
            message = "This names no column, so it would be the same for every row."
            yield suite.problem(path, message, "Write the name of a column in braces, e.g. {DIALOGUE}.")
    queries = {"sql": "The query", "validation": "The query of validation"}
    key, group = (data.get(name) for name in ("key", "group"))
    missing = (
        [
            *unknown_columns(suite, data.get(sql), key, ("data", "key"), texts, name),
            *unknown_columns(suite, data.get(sql), group, ("data", "group"), {}, name),
        ]
        for sql, name in queries.items()
    )
    yield from next(filter(None, missing), [])
    yield from _same_rows(suite, data)


def _same_rows(suite: Parsed, data: Mapping[str, Any]) -> Iterator[Problem]:
    test, validation = (str(data.get(key) or "").split() for key in ("sql", "validation"))
    if test and test == validation:
        message = "These are the rows of data.sql, so what is chosen by them is not judged by others."
        yield suite.problem(("data", "validation"), message, "Write a query that gives other rows, or remove it.")
