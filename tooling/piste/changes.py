"""What differs between two runs' documents, key by key, and what each difference leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from piste.change_rules import Kind, rule_of
from piste.digest import is_default, normal
from piste.experiment import Document


@dataclass(frozen=True)
class Change:
    """One key: `path` as people write it (`recipe.optimizer.learning_rate`), `rule` what a change of it leads to."""

    path: str
    old: Any
    new: Any
    rule: str


def changes(old: Document, new: Document) -> tuple[Change, ...]:
    """Sorted by path; a key that is missing on one side has None there."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    different = [key for key in before.keys() | after.keys() if before.get(key, _MISSING) != after.get(key, _MISSING)]
    return tuple(sorted((_change(key, before, after) for key in different), key=lambda change: change.path))


_MISSING = object()
_Key = tuple[str, str]


def _change(key: _Key, before: Mapping[_Key, Any], after: Mapping[_Key, Any]) -> Change:
    path, rule = key
    return Change(path, before.get(key), after.get(key), rule)


def _leaves(spec: Document) -> Iterator[tuple[_Key, Any]]:
    documents: tuple[tuple[str, Kind], ...] = (("experiment", "experiment"), ("recipe", "recipe"), ("suite", "suite"))
    for name, kind in documents:
        prefix = "" if name == "experiment" else name
        document = spec.get(name) or {}
        for path, value in _walk(document, ()):
            if not is_default(kind, path, value):
                yield (_written(prefix, path), rule_of(path, kind, document)), normal(value)
    for file, sha256 in (spec.get("files") or {}).items():
        yield (f"files.{file}", "train"), sha256


def _walk(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    children: Sequence[tuple[str | int, Any]] = ()
    if isinstance(value, Mapping):
        children = list(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str):
        children = list(enumerate(value))
    for key, child in children:
        yield from _walk(child, (*path, key))
    if not children and path:
        yield path, value


def _written(prefix: str, path: tuple[str | int, ...]) -> str:
    text = prefix
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
