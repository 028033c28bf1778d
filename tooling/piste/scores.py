"""What is known of scores without computing one: names, directions, options. The payload computes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final

from piste.experiment import JUDGE, PAIRWISE, Document
from piste.judge import is_on_pool


class Better(StrEnum):
    """The direction of a score. NEITHER is shown, and never judged as better or worse."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


BETTER: Final[Mapping[str, Better]] = {
    "json_valid": Better.HIGHER,
    "json_fields": Better.HIGHER,
    "exact_match": Better.HIGHER,
    "rouge_l": Better.HIGHER,
    "contains": Better.HIGHER,
    "regex": Better.HIGHER,
    "length": Better.NEITHER,
    "similarity": Better.HIGHER,
    "reference_loss": Better.LOWER,
    "perplexity": Better.LOWER,
}
"""Every score that there is, with the direction that it has where a suite says nothing else."""

OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "fields": ("json_fields",),
    "text": ("contains",),
    "texts": ("contains",),
    "ignore_case": ("contains", "regex"),
    "pattern": ("regex",),
    "unit": ("length",),
    "model": ("similarity",),
}
"""The scores that read each option; `name`, `as`, `better` and `minimum` are for all."""

UNBOUNDED: Final = ("length", "reference_loss", "perplexity")
"""They have a unit of their own, so they share no axis with scores from 0 to 1."""

OF_THE_MODEL: Final = ("reference_loss", "perplexity")
"""They ask the model itself, so they are made where its answers are."""


def label(score: Mapping[str, Any]) -> str:
    """The name of its values: `as`, or that of the score."""
    return str(score.get("as") or score["name"])


def named(suite: Document) -> dict[str, Mapping[str, Any]]:
    """The suite's scores by label, in its order; the judge's, which no job makes, at the end."""
    judge = suite.get("judge") or {}
    judges = (JUDGE, PAIRWISE) if judge.get("pairwise") else (JUDGE,) if judge else ()
    return {label(score): score for score in suite.get("scores", ())} | {name: {"name": name} for name in judges}


def better(suite: Document, name: str) -> Better:
    """Of the score with this label; of one that the suite doesn't have, what its name says."""
    score = named(suite).get(name, {"name": name})
    return Better(score.get("better") or BETTER.get(str(score["name"]), Better.HIGHER))


def rank(suite: Document, name: str, mean: float | None) -> float:
    """A number that is the greater the better: for choosing and sorting. A run without a mean comes last."""
    if mean is None:
        return float("-inf")
    return -mean if better(suite, name) is Better.LOWER else mean


def minimum(suite: Document, name: str) -> float:
    """The smallest difference that is of interest."""
    return float(named(suite).get(name, {}).get("minimum") or 0.0)


def bounded(suite: Document, name: str) -> bool:
    return named(suite).get(name, {"name": name})["name"] not in UNBOUNDED


def need_the_model(suite: Document) -> bool:
    """Whether a score asks the model itself, so that it is made where the answers are."""
    return any(score["name"] in OF_THE_MODEL for score in suite["scores"])


def of_samples(names: Iterable[str]) -> set[str]:
    """Without the rows beside the scores, such as groups and lengths."""
    return {name for name in names if not name.startswith("_")}


def models(suite: Document) -> set[str]:
    """Stage paths of the models that scores read, and of the judge where it is on a stage."""
    judge = (suite.get("judge") or {}).get("model", "")
    similar = {str(score["model"]) for score in suite["scores"] if score["name"] == "similarity"}
    return similar | ({judge} if is_on_pool(judge) else set())
