"""What was wrong with answers, by kind, in so many of them: what is wrong often is where to look first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from piste import scores
from piste.experiment import Document
from piste.report import words

Evaluation = Mapping[str, Any]
"""The `evaluation` of a run's results."""

FORMS = {"json_valid": "not valid JSON", "regex": "no match", "contains": "misses what it has to hold"}
"""Scores of a form, which an answer has or has not."""


def faults(evaluation: Evaluation, suite: Document) -> dict[str, int]:
    """Kind -> answers; without the kinds that no run of this piste counts. One answer may have several."""
    told = evaluation.get("answers") or {}
    counted = {"empty": told.get("empty"), "cut off at `max_new_tokens`": told.get("cut_off")}
    found = {kind: int(count) for kind, count in counted.items() if count is not None}
    return found | dict(_forms(evaluation.get("scores") or {}, suite))


def _forms(means: Mapping[str, Mapping[str, Any]], suite: Document) -> list[tuple[str, int]]:
    found = []
    for name, score in scores.named(suite).items():
        kind, told = FORMS.get(str(score["name"])), means.get(name, {})
        if kind and told.get("mean") is not None and scores.better(suite, name) is scores.Better.HIGHER:
            named = kind if name == score["name"] else f"{kind} ({words.score_name(name)})"
            found.append((named, round(told["n"] * (1 - told["mean"]))))
    return found


def fault_table(ours: Mapping[str, int], theirs: Mapping[str, int] | None, n: int, other: str) -> list[str]:
    """Nothing where no answer has a fault. `n` is how many answers there are, `other` links to the comparison."""
    kinds = [kind for kind in ours if ours[kind] or (theirs or {}).get(kind)]
    if not kinds:
        return []
    columns = [ours] if theirs is None else [ours, theirs]
    head = ("answers that are", f"of {n:,}", *([] if theirs is None else [other]))
    rows = [[kind, *(str(column.get(kind, words.UNKNOWN)) for column in columns)] for kind in kinds]
    return ["### Failures by kind", "", *words.table(head, rows, len(columns))]
