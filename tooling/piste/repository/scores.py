"""Files of scores: a JSON object per line, {"id", "score", "value"} and, where samples belong together, "group"."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from piste.errors import InvalidInput, Problem

FORM = 'Write e.g.  {"id": "visit-1", "score": "exact_match", "value": 1}'
MOST_PROBLEMS = 20


@dataclass
class Scores:
    """Values by score and sample, and the groups of samples that belong together."""

    values: dict[str, dict[str, float]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


def read(path: Path) -> Scores:
    """Raises InvalidInput with every line that is none, each with what to write instead."""
    scores, problems = Scores(), list[Problem]()
    for number, line in enumerate(_lines(path), 1):
        if line.strip() and (wrong := _take(scores, line)):
            problems.append(Problem(str(path), number, 1, "", *wrong))
    if problems:
        more = len(problems) - MOST_PROBLEMS
        rest = [Problem(str(path), 0, 0, "", f"And {more} more lines like these.")] if more > 0 else []
        raise InvalidInput([*problems[:MOST_PROBLEMS], *rest])
    if not scores.values:
        raise InvalidInput([Problem(str(path), 0, 0, "", "There is no score in this file.", FORM)])
    return scores


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InvalidInput([Problem(str(path), 0, 0, "", "This file can't be read as UTF-8.", FORM)]) from None


def _take(scores: Scores, line: str) -> tuple[str, str] | None:
    """What is wrong with a line, and what to write instead; None if its value was taken."""
    try:
        found = json.loads(line)
    except ValueError:
        return "This is not JSON.", FORM
    if not isinstance(found, dict) or not {"id", "score", "value"} <= found.keys():
        return "A line needs id, score and value.", FORM
    if unknown := found.keys() - {"id", "score", "value", "group"}:
        return f"{', '.join(sorted(unknown))} is not a key here.", FORM
    sample, name, value = str(found["id"]), found["score"], found["value"]
    if not isinstance(name, str) or not _is_number(value):
        return "score must be text, and value a finite number (true and false count as 1 and 0).", FORM
    of_score = scores.values.setdefault(name, {})
    if sample in of_score:
        return f"The sample {sample!r} has a value of {name} already.", "Keep one of the two lines."
    of_score[sample] = float(value)
    if found.get("group") is not None:
        scores.groups[sample] = str(found["group"])
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
