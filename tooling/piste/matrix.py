"""An experiment's matrix and seeds to variants."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from piste.experiment import Document, Experiment

MAX_VARIANTS: Final = 256
MAX_NAME: Final = 120
"""Characters of a variant's name; it is a folder of the report."""


class Point(NamedTuple):
    """One variant: its name, the recipe values that make it, and the recipe with them."""

    name: str
    settings: dict[str, Any]
    recipe: Document | None


def expand(experiment: Experiment) -> tuple[Point, ...]:
    """Every variant, ordered by the matrix's sorted paths, then values as written, then seeds."""
    train = experiment.document["train"]
    every = named(train.get("matrix", {}), train.get("seeds", ()))
    return tuple(Point(name, settings, _with(experiment.recipe, settings)) for name, settings in every)


def named(matrix: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name and the recipe values of each variant."""
    paths = sorted(matrix)
    labels = _labels([*paths, "seed"] if seeds else paths)
    for values in itertools.product(*(matrix[path] for path in paths), seeds or (None,)):
        *chosen, seed = values
        settings = dict(zip(paths, chosen, strict=True))
        parts = [f"{labels[path]}={_shown(value)}" for path, value in settings.items()]
        if seed is not None:
            settings |= {"seed": seed, "data.seed": seed}
            parts.append(f"seed={seed}")
        yield ",".join(parts), settings


def size(matrix: Mapping[str, Sequence[Any]], seeds: Sequence[int]) -> int:
    """How many variants there would be, without making them."""
    return math.prod(len(values) for values in matrix.values()) * max(1, len(seeds))


def value(recipe: Any, path: str) -> Any:
    """What `exists` found."""
    for part in path.split("."):
        recipe = recipe[int(part)] if isinstance(recipe, list) else recipe[part]
    return recipe


def exists(recipe: Any, path: str) -> bool:
    """Whether a dotted path (`data.sources.0.sql`) names a value of the recipe."""
    for part in path.split("."):
        if isinstance(recipe, Mapping) and part in recipe:
            recipe = recipe[part]
        elif isinstance(recipe, list) and part.isdecimal() and int(part) < len(recipe):
            recipe = recipe[int(part)]
        else:
            return False
    return True


def _with(recipe: Document | None, settings: Mapping[str, Any]) -> Document | None:
    for path, value in settings.items():
        recipe = _replaced(recipe, path.split("."), value)
    return recipe


def _replaced(node: Any, parts: Sequence[str], value: Any) -> Any:
    """A copy of `node` with `value` at `parts`; what lies beside the path is shared."""
    if not parts:
        return value
    first, *rest = parts
    if isinstance(node, list):
        index = int(first)
        return [*node[:index], _replaced(node[index], rest, value), *node[index + 1 :]]
    return {**node, first: _replaced(node.get(first, {}), rest, value)}


def _labels(paths: Sequence[str]) -> dict[str, str]:
    """The shortest ending of each path that no other path has."""
    return {path: next((end for end in _endings(path) if _owners(end, paths) == 1), path) for path in paths}


def _endings(path: str) -> Iterator[str]:
    parts = path.split(".")
    return (".".join(parts[start:]) for start in reversed(range(len(parts))))


def _owners(ending: str, paths: Sequence[str]) -> int:
    return sum(f".{path}".endswith(f".{ending}") for path in paths)


def _shown(value: Any) -> str:
    """A value in a variant's name; equal numbers look equal however they are written."""
    if isinstance(value, list):
        return "+".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < 1e16 else value
    return re.sub(r"[^A-Za-z0-9._=,+-]", "-", str(value))
