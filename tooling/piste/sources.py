"""Experiments and suites as they were read, right or wrong, and what an experiment's names can refer to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from piste.documents import Parsed
from piste.environment import Settings
from piste.problems import listed, sentences, suggestion


@dataclass(frozen=True)
class Source:
    """An experiment as read; `recipe` is None for a baseline, or when there is nothing to read.

    `files` are the paths that it declares, with those inside a declared folder.
    """

    name: str
    experiment: Parsed
    recipe: Parsed | None = None
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Known:
    """What an experiment's names can refer to."""

    settings: Settings = field(default_factory=Settings)
    suites: Mapping[str, Parsed] = field(default_factory=dict)
    experiments: Mapping[str, Source] = field(default_factory=dict)


def section(document: Any, key: str) -> Mapping[str, Any]:
    value = document.get(key) if isinstance(document, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def head(document: Any) -> dict[str, Any]:
    """The keys of an experiment by which it stands to others, and by which it is selected."""
    keys = ("compare", "gates", "waivers", "owner", "tags")
    kept = {key: document[key] for key in keys if key in document} if document else {}
    evaluate, train = section(document, "evaluate"), section(document, "train")
    kept["evaluate"] = {key: evaluate[key] for key in ("suite",) if key in evaluate}
    kept["train"] = {key: train[key] for key in ("recipe", "matrix", "seeds", "runtime") if key in train}
    return kept


def seeds_of(train: Mapping[str, Any]) -> list[int]:
    """Each once; that one is there twice is the schema's to say."""
    seeds = train.get("seeds")
    return list(dict.fromkeys(seed for seed in seeds if isinstance(seed, int))) if isinstance(seeds, list) else []


def matrix_of(train: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Its paths that have values; that others have none is the schema's to say."""
    return {path: value for path, value in section(train, "matrix").items() if isinstance(value, list) and value}


def choose(word: str, choices: Iterable[str], otherwise: str) -> str:
    every = sorted(choices)
    if not every:
        return f"{otherwise[0].upper()}{otherwise[1:]}."
    return sentences(suggestion(word, every), f"Choose one of {listed(every)}, or {otherwise}.")
