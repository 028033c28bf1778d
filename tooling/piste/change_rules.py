"""What a change to a key triggers: train, generate, score, judge, report, placement or prose.

The rules stand in the schemas (`x-change`), beside the keys they are for; the recipe's in `piste.recipe`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, Literal, cast

from piste import recipe
from piste.experiment import Document
from piste.problems import Path
from piste.resources import schema

Rule = Literal["train", "generate", "score", "judge", "report", "placement", "prose"]
Kind = Literal["experiment", "suite", "recipe"]

RULES: Final[tuple[Rule, ...]] = ("train", "generate", "score", "judge", "report", "placement", "prose")
"""From what triggers most to what triggers nothing."""


ABSENT: Final = object()
"""In place of a default where there is none."""

_MOST_BELOW: Final = 1000


class Place:
    """A place in documents of a kind, with what holds there; all items of a list are in one place.

    `rule` is "" where other keys of the document decide. `standard` is the schema's default, or ABSENT.
    """

    __slots__ = ("_below", "_kind", "_path", "rule", "standard")

    def __init__(self, kind: Kind, path: Path = ()) -> None:
        self._kind, self._path = kind, path
        self._below: dict[str | int, Place] = {}
        self.rule = recipe.rule_alone(path) if kind == "recipe" else _schema_rule(kind, path)
        self.standard = defaults(kind).get(tuple("*" if part == 0 else part for part in path), ABSENT)

    def below(self, part: str | int) -> Place:
        key = part if isinstance(part, str) else 0
        found = self._below.get(key)
        if found is None:
            found = Place(self._kind, (*self._path, key))
            if len(self._below) < _MOST_BELOW:
                self._below[key] = found
        return found


top = cache(Place)


def place(kind: Kind, path: Path) -> Place:
    found = top(kind)
    for part in path:
        found = found.below(part)
    return found


def rule_of(path: Path, kind: Kind, document: Document | None = None) -> Rule:
    """The rule of the key at `path`, or of the nearest key around it that has one.

    `document` is the recipe the key is in: a few of its keys can change the weights only beside certain others.
    """
    return cast(Rule, place(kind, path).rule or recipe.rule_beside_others(document))


def _schema_rule(kind: Kind, path: Path) -> str:
    node: Mapping[str, Any] = schema(kind)
    rule = node["x-change"]
    for part in path:
        node = _below(node, part)
        rule = node.get("x-change", rule)
    return str(rule)


def _below(node: Mapping[str, Any], key: str | int) -> Mapping[str, Any]:
    if key in (0, "*"):
        return cast(Mapping[str, Any], node.get("items", {}))
    other = node.get("additionalProperties")
    return cast(Mapping[str, Any], node.get("properties", {}).get(key, other if isinstance(other, Mapping) else {}))


@cache
def defaults(kind: Kind) -> Mapping[Path, Any]:
    """The schema's defaults by path, with * for the places of a list.

    None for recipes: ArcticTraining's defaults are never filled in.
    """
    return {} if kind == "recipe" else dict(_defaults(schema(kind), ()))


def compute(experiment: Document, key: str) -> Any:
    """What an experiment says of where it runs, else what the schema's default says."""
    return experiment.get("compute", {}).get(key, defaults("experiment")["compute", key])


def _defaults(node: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, child in node.get("properties", {}).items():
        if "default" in child:
            yield (*path, key), child["default"]
        yield from _defaults(child, (*path, key))
        yield from _defaults(child.get("items", {}), (*path, key, "*"))
