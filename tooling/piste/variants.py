"""From an experiment to its variants, each with the documents that a run of it is made from.

Choosing and reporting are kept apart where a suite has a validation split: the variants of a matrix are scored on
validation, and so is whatever is tried before it is merged; the test split is for what is on main and chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from piste.digest import suite_digests, training_digest
from piste.experiment import TEST, VALIDATION, Deferred, Digests, Document, Experiment, Suite, Trainings, Variant
from piste.matrix import Point, expand

_NOT_OF_A_VARIANT = ("recipe", "files", "matrix", "seeds")
"""Keys of `train` that say how to find or multiply what the spec holds resolved."""


def has_splits(experiment: Experiment) -> bool:
    return VALIDATION in experiment.suite.document["data"]


def chooses(experiment: Experiment) -> bool:
    """Whether it looks at several recipes, to take one of them."""
    matrix = experiment.head["train"].get("matrix")
    return bool(matrix) and any(len(values) > 1 for values in matrix.values())


def variants(
    experiment: Experiment, split: str = "", aside: bool = False, suites: SuiteDigests | None = None
) -> tuple[Variant, ...]:
    """As scored on a split; by default on validation where there is something to choose, else on test.

    `suites` are digests that were made before.
    """
    split = (split or (VALIDATION if chooses(experiment) else TEST)) if has_splits(experiment) else ""
    evaluated = (suites or SuiteDigests()).on(experiment.suite, split)
    specs = Deferred(lambda: _specs(experiment, split))
    of, trains = experiment.name, experiment.trains
    return tuple(
        [
            _variant(of, name, split, trains, specs, index, Digests(training, **evaluated), aside)
            for index, (name, training) in enumerate(trainings(experiment))
        ]
    )


def trainings(experiment: Experiment) -> Trainings:
    """The name and the training digest of each variant."""
    if experiment.trainings is not None:
        return experiment.trainings
    points = expand(experiment)
    return tuple((point.name, training_digest(_spec(experiment, point, ""))) for point in points)


class SuiteDigests:
    """Of each suite on each split, made once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, str], tuple[Suite, dict[str, str]]] = {}

    def on(self, suite: Suite, split: str) -> dict[str, str]:
        key = (id(suite), split)
        if key not in self._made:
            self._made[key] = suite, suite_digests(_on(suite.document, split))
        return self._made[key][1]


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
    suites = SuiteDigests()
    for experiment in known:
        found += variants(experiment, suites=suites)
        if experiment.name in compared and has_splits(experiment) and not chooses(experiment):
            found += variants(experiment, VALIDATION, aside=True, suites=suites)
    return tuple(found)


def for_trying(experiments: Iterable[Experiment], names: Collection[str] = ()) -> tuple[Variant, ...]:
    """These experiments (or experiment/variant; all without a name), and what they are compared with, on validation."""
    known = {experiment.name: experiment for experiment in experiments}
    asked = {name.partition("/")[0] for name in names} & known.keys() if names else known.keys()
    asked = asked | {compared_with(known[name]) for name in asked}
    suites = SuiteDigests()
    return tuple(
        variant
        for name, experiment in known.items()
        if name in asked
        for variant in variants(experiment, VALIDATION, aside=not chooses(experiment), suites=suites)
    )


def compared_with(experiment: Experiment) -> str:
    """The experiment that it names in `compare`; "" without one."""
    return str(experiment.head.get("compare") or "").partition("/")[0]


def _variant(
    experiment: str,
    name: str,
    split: str,
    trains: bool,
    specs: Deferred[list[Document]],
    index: int,
    digests: Digests,
    aside: bool,
) -> Variant:
    return Variant(experiment, name, split, trains, Deferred(lambda: specs.value[index]), digests, aside)


def _specs(experiment: Experiment, split: str) -> list[Document]:
    return [_spec(experiment, point, split) for point in expand(experiment)]


def _spec(experiment: Experiment, point: Point, split: str) -> Document:
    document: dict[str, Any] = dict(experiment.document)
    document["train"] = {key: value for key, value in document["train"].items() if key not in _NOT_OF_A_VARIANT}
    return {
        "experiment": document,
        "recipe": point.recipe,
        "suite": _on(experiment.suite.document, split),
        **({"split": split} if split else {}),
        "files": dict(experiment.files),
        "settings": dict(point.settings),
    }


def _on(suite: Document, split: str) -> Document:
    """The suite with the rows of one split, so that what is done with the other changes no digest."""
    if not split:
        return suite
    data = {key: value for key, value in suite["data"].items() if key != VALIDATION}
    rows = {"sql": suite["data"][VALIDATION]} if split == VALIDATION else {}
    return {**suite, "data": data | rows}
