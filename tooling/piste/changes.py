"""What differs between two runs' documents, key by key, and what each difference leads to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    """Sorted by path; a key that is missing on one side has None there. The rule is the one that the new side gives."""
    old, new = _apart(old, new)
    before, after = dict(_leaves(old)), dict(_leaves(new))
    pairs = ((path, before.get(path), after.get(path)) for path in sorted(before.keys() | after.keys()))
    return tuple(_change(path, was, now) for path, was, now in pairs if _seen(was) != _seen(now))


def _apart(old: Document, new: Document) -> tuple[Document, Document]:
    """Without the documents that are the same in both, most often all of them."""
    same = [name for name in ("experiment", "recipe", "suite", "files") if _equal(old.get(name), new.get(name))]
    before, after = ({name: value for name, value in spec.items() if name not in same} for spec in (old, new))
    return before, after


def _equal(old: Any, new: Any) -> bool:
    """As JSON has it: `true` is not `1`."""
    return bool(old == new) and json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def leaves(spec: Document) -> Iterator[tuple[str, Any, str]]:
    """Every key that is written and no default: its path as people write it, its value, and what a change leads to."""
    return ((path, leaf.value, leaf.rule) for path, leaf in _leaves(spec))


class _Leaf(NamedTuple):
    value: Any
    rule: str


def _change(path: str, was: _Leaf | None, now: _Leaf | None) -> Change:
    known = now or was
    assert known is not None
    return Change(path, was.value if was else None, now.value if now else None, known.rule)


def _seen(leaf: _Leaf | None) -> str | None:
    """As the digest sees it: `true` is not `1`."""
    return None if leaf is None else json.dumps(leaf.value, sort_keys=True)


def _leaves(spec: Document) -> Iterator[tuple[str, _Leaf]]:
    documents: tuple[tuple[str, Kind], ...] = (("experiment", "experiment"), ("recipe", "recipe"), ("suite", "suite"))
    for name, kind in documents:
        prefix = "" if name == "experiment" else name
        document = spec.get(name) or {}
        for path, value in _walk(document, ()):
            if not is_default(kind, path, value):
                yield _written(prefix, path), _Leaf(normal(value), rule_of(path, kind, document))
    for file, sha256 in (spec.get("files") or {}).items():
        yield f"files.{file}", _Leaf(sha256, "train")


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
