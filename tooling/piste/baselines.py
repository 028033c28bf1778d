"""Checks of baselines, experiments without a recipe: which model answers, and which examples it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from piste.documents import Parsed
from piste.errors import Problem
from piste.problems import Path, quoted
from piste.scores import OF_THE_MODEL
from piste.sources import Known, Source, section
from piste.templates import unknown_columns

_KEYS: Final = ("inputs",)
_HOSTED: Final = ("train", "hosted")
_EXAMPLES: Final = ("evaluate", "examples")


def check(experiment: Parsed, train: Mapping[str, Any]) -> Iterator[Problem]:
    """Of one whose `train` has no recipe."""
    if "hosted" in train:
        for key in (key for key in train if key != "hosted"):
            message = f"A hosted model answers where it is, so {quoted(key)} has no meaning."
            yield experiment.problem(("train", key), message, "Remove this key, or  hosted.")
        return
    for key in train:
        if key not in _KEYS:
            message = f"Without a recipe nothing is trained, so {quoted(key)} has no meaning."
            yield experiment.problem(("train", key), message, "Add  recipe: recipe.yaml  or remove this key.")
    if "base-model" not in section(train, "inputs"):
        message = "A baseline, an experiment without a recipe, needs the model that it evaluates."
        hint = 'Write  inputs: {base-model: "@MODELS/…"}  or add  recipe: recipe.yaml'
        yield experiment.problem(("train", "inputs", "base-model"), message, hint)


def check_examples(source: Source, known: Known) -> Iterator[Problem]:
    """That they are shown to a baseline, fit the suite's prompt and are not what is evaluated."""
    experiment, evaluate = source.experiment, section(source.experiment.data, "evaluate")
    if "examples" not in evaluate:
        return
    if "recipe" in section(experiment.data, "train"):
        message = "A model that is trained has learned from its examples; only a baseline is shown some."
        yield experiment.problem(_EXAMPLES, message, "Remove them, or write an experiment without a recipe.")
    sql, suite = section(evaluate, "examples").get("sql"), evaluate.get("suite")
    if isinstance(sql, str) and isinstance(suite, str) and suite in known.suites:
        yield from _fitting(experiment, sql, known.suites[suite].data)


def check_hosted(source: Source, known: Known) -> Iterator[Problem]:
    """That nothing is asked of a hosted model that it can't do: be trained, or tell how surprised it is."""
    experiment, train = source.experiment, section(source.experiment.data, "train")
    if "hosted" not in train:
        return
    if "recipe" in train:
        message = "A model that Snowflake hosts can't be trained by a recipe."
        yield experiment.problem(_HOSTED, message, "Remove  hosted  or  recipe.")
    suite = known.suites.get(str(section(experiment.data, "evaluate").get("suite")))
    listed = suite.data.get("scores") if suite is not None and isinstance(suite.data, Mapping) else None
    named = [score for score in listed if isinstance(score, Mapping)] if isinstance(listed, list) else []
    if asked := next((str(score["name"]) for score in named if score.get("name") in OF_THE_MODEL), ""):
        message = f"The suite asks for {asked}, which a model that answers through Cortex doesn't tell."
        yield experiment.problem(_HOSTED, message, "Evaluate it with a suite without that score.")


def _fitting(experiment: Parsed, sql: str, suite: Any) -> Iterator[Problem]:
    path: Path = (*_EXAMPLES, "sql")
    data, prompt = section(suite, "data"), section(suite, "prompt")
    texts = (prompt.get("user"), suite.get("reference") if isinstance(suite, Mapping) else None)
    templates: dict[Path, str] = {path: " ".join(text for text in texts if isinstance(text, str))}
    yield from unknown_columns(experiment, sql, data.get("key"), path, templates, "This query")
    if sql.split() in [str(data.get(split) or "").split() for split in ("sql", "validation")]:
        message = "These are the samples that are evaluated: the model would be shown the answers."
        yield experiment.problem(path, message, "Write a query of rows of the training split.")
