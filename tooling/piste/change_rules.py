"""What a change to a key triggers: train, generate, score, judge, report, placement or prose.

The rules stand in the schemas (`x-change`), beside the keys they are for; the recipe's in `piste.recipe`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, Final, Literal, cast

from piste import recipe
from piste.experiment import Document
from piste.problems import Path
from piste.resources import schema

Rule = Literal["train", "generate", "score", "judge", "report", "placement", "prose"]
Kind = Literal["experiment", "suite", "recipe"]

RULES: Final[tuple[Rule, ...]] = ("train", "generate", "score", "judge", "report", "placement", "prose")
"""From what triggers most to what triggers nothing."""


def rule_of(path: Path, kind: Kind, document: Document | None = None) -> Rule:
    """The rule of the key at `path`, or of the nearest key around it that has one.

    `document` is the recipe the key is in: a few of its keys can change the weights only beside certain others.
    """
    if kind == "recipe":
        return cast(Rule, recipe.rule(path, document))
    return _schema_rule(kind, path)


@lru_cache(maxsize=8192)
def _schema_rule(kind: Kind, path: Path) -> Rule:
    node: Mapping[str, Any] = schema(kind)
    rule = node["x-change"]
    for part in path:
        node = _below(node, "*" if isinstance(part, int) else part)
        rule = node.get("x-change", rule)
    return cast(Rule, rule)


def _below(node: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    if key == "*":
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
