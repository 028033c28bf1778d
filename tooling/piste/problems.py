"""Problems as text, JSON and GitHub annotations, and the small words that problems are made of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from piste.errors import Problem

Path = tuple[str | int, ...]
"""Where a value is in a document: keys of mappings, indices of lists."""

LONGEST_ECHO = 60
"""Characters of a user's value that a message repeats; logs and pull requests are no place for data."""


def to_text(problems: Iterable[Problem]) -> str:
    return "\n".join(_paragraph(problem) for problem in problems)


def to_json(count: int, problems: Iterable[Problem]) -> str:
    """`count` is the number of experiments that were looked at."""
    report = {"experiments": count, "problems": [asdict(problem) for problem in problems]}
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def to_github(problems: Iterable[Problem]) -> str:
    """Workflow commands: GitHub shows each as an annotation on its line of the pull request."""
    return "".join(_annotation(problem) + "\n" for problem in problems)


def annotation(message: str, hint: str = "", severity: str = "error") -> str:
    """One that belongs to no file."""
    return f"::{severity} title=piste::{_escaped(' '.join(filter(None, (message, hint))))}\n"


def dotted(path: Sequence[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_short(part)}" for part in path)
    return text.removeprefix(".")


def quoted(value: Any) -> str:
    """A user's value as a message shows it: one line, bounded, text in quotes."""
    return _short(json.dumps(_bounded(value), ensure_ascii=False, default=str))


def printable(text: str) -> str:
    """Without what a terminal or a log would obey: control characters, escapes, direction marks."""
    return text if text.isprintable() else "".join(one if one.isprintable() else "?" for one in text)


def suggestion(word: Any, choices: Iterable[str], quote: bool = True) -> str:
    """`Did you mean "x"?`, or nothing when no choice is close."""
    if not isinstance(word, str):
        return ""
    from difflib import get_close_matches

    by_case = {choice.casefold(): choice for choice in choices}
    close = get_close_matches(word[:LONGEST_ECHO].casefold(), by_case, n=1)
    if not close:
        return ""
    found = quoted(by_case[close[0]])
    return f"Did you mean {found if quote else found[1:-1]}?"


def listed(words: Iterable[str], most: int = 12) -> str:
    every = [_short(word) for word in words]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _short(text: str) -> str:
    return printable(text if len(text) <= LONGEST_ECHO else f"{text[: LONGEST_ECHO - 1]}…")


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[: LONGEST_ECHO + 2]
    if isinstance(value, list):
        return [_bounded(item) for item in value[:LONGEST_ECHO]]
    if isinstance(value, dict):
        return {str(key)[:LONGEST_ECHO]: _bounded(value[key]) for key in list(value)[:LONGEST_ECHO]}
    return value


def _paragraph(problem: Problem) -> str:
    place = problem.file + (f":{problem.line}:{problem.column}" if problem.line else "")
    first = f"{place}  {problem.path}" if problem.path else place
    lines = [*problem.message.splitlines(), *problem.hint.splitlines()]
    return "\n".join([first, *(f"  {line}" for line in lines)]) + "\n"


def _annotation(problem: Problem) -> str:
    place = f"file={_property(problem.file)}"
    if problem.line:
        place += f",line={problem.line},col={problem.column}"
    if problem.path:
        place += f",title={_property(problem.path)}"
    body = problem.message + (f"\n{problem.hint}" if problem.hint else "")
    return f"::{problem.severity} {place}::{_escaped(body)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
