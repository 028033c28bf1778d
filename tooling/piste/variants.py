"""From an experiment to its variants, each with the documents that a run of it is made from.

Choosing and reporting are kept apart where a suite has a validation split: the variants of a matrix are scored on
validation, and so is whatever is tried before it is merged; the test split is for what is on main and chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from piste.digest import digests
from piste.experiment import TEST, VALIDATION, Document, Experiment, Variant
from piste.matrix import expand

_NOT_OF_A_VARIANT = ("recipe", "files", "matrix", "seeds")
"""Keys of `train` that say how to find or multiply what the spec holds resolved."""


def has_splits(experiment: Experiment) -> bool:
    return VALIDATION in experiment.suite.document["data"]


def chooses(experiment: Experiment) -> bool:
    """Whether it looks at several recipes, to take one of them."""
    return any(len(values) > 1 for values in experiment.document["train"].get("matrix", {}).values())


def variants(experiment: Experiment, split: str = "", aside: bool = False) -> tuple[Variant, ...]:
    """As scored on a split; by default on validation where there is something to choose, else on test."""
    split = (split or (VALIDATION if chooses(experiment) else TEST)) if has_splits(experiment) else ""
    return tuple(
        _variant(experiment, name, settings, recipe, split, aside) for name, settings, recipe in expand(experiment)
    )


def on_every_split(experiment: Experiment) -> tuple[Variant, ...]:
    splits = (TEST, VALIDATION) if has_splits(experiment) else ("",)
    return tuple(variant for split in splits for variant in variants(experiment, split))


def all_variants(experiments: Iterable[Experiment]) -> tuple[Variant, ...]:
    """What main asks for before any result is known.

    What a matrix is compared with is scored on validation too: there it is where its variants are.
    """
    known = tuple(experiments)
    compared = {compared_with(one) for one in known if chooses(one)}
    found: list[Variant] = []
    for experiment in known:
        found += variants(experiment)
        if has_splits(experiment) and experiment.name in compared and not chooses(experiment):
            found += variants(experiment, VALIDATION, aside=True)
    return tuple(found)


def for_trying(experiments: Iterable[Experiment], names: Collection[str] = ()) -> tuple[Variant, ...]:
    """These experiments (or experiment/variant; all without a name), and what they are compared with, on validation."""
    known = {experiment.name: experiment for experiment in experiments}
    asked = {name.partition("/")[0] for name in names} & known.keys() if names else known.keys()
    asked = asked | {compared_with(known[name]) for name in asked}
    return tuple(
        variant
        for name, experiment in known.items()
        if name in asked
        for variant in variants(experiment, VALIDATION, aside=not chooses(experiment))
    )


def compared_with(experiment: Experiment) -> str:
    """The experiment that it names in `compare`; "" without one."""
    return str(experiment.document.get("compare") or "").partition("/")[0]


def _variant(
    experiment: Experiment, name: str, settings: Document, recipe: Document | None, split: str, aside: bool
) -> Variant:
    document: dict[str, Any] = dict(experiment.document)
    document["train"] = {key: value for key, value in document["train"].items() if key not in _NOT_OF_A_VARIANT}
    spec = {
        "experiment": document,
        "recipe": recipe,
        "suite": _on(experiment.suite.document, split),
        **({"split": split} if split else {}),
        "files": dict(experiment.files),
        "settings": dict(settings),
    }
    return Variant(experiment.name, name, spec, digests(spec), aside)


def _on(suite: Document, split: str) -> Document:
    """The suite with the rows of one split, so that what is done with the other changes no digest."""
    if not split:
        return suite
    data = {key: value for key, value in suite["data"].items() if key != VALIDATION}
    rows = {"sql": suite["data"][VALIDATION]} if split == VALIDATION else {}
    return {**suite, "data": data | rows}
