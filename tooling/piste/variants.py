"""From an experiment to its variants, each with the documents that a run of it is made from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from piste.digest import digests
from piste.experiment import Document, Experiment, Variant
from piste.matrix import expand

_NOT_OF_A_VARIANT = ("recipe", "files", "matrix", "seeds")
"""Keys of `train` that say how to find or multiply what the spec holds resolved."""


def variants(experiment: Experiment) -> tuple[Variant, ...]:
    return tuple(_variant(experiment, name, settings, recipe) for name, settings, recipe in expand(experiment))


def all_variants(experiments: Iterable[Experiment]) -> tuple[Variant, ...]:
    return tuple(variant for experiment in experiments for variant in variants(experiment))


def _variant(experiment: Experiment, name: str, settings: Document, recipe: Document | None) -> Variant:
    document: dict[str, Any] = dict(experiment.document)
    document["train"] = {key: value for key, value in document["train"].items() if key not in _NOT_OF_A_VARIANT}
    spec = {
        "experiment": document,
        "recipe": recipe,
        "suite": experiment.suite.document,
        "files": dict(experiment.files),
        "settings": dict(settings),
    }
    return Variant(experiment.name, name, spec, digests(spec))
