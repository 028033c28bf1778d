"""Whether a document surely fits its schema: a quick yes, so that jsonschema is asked only for what is wrong.

A schema is compiled once into functions. It may say no to what jsonschema accepts, never yes to what it refuses: a
keyword that is not known here makes every answer a no.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from piste.resources import schema

Check = Callable[[Any], bool]
_Sized = type[str] | type[list[Any]] | type[dict[str, Any]]


@cache
def conforms(kind: str) -> Check:
    """The check of documents whose `kind` is the name of their schema."""
    return compiled(schema(kind))


def compiled(node: Mapping[str, Any]) -> Check:
    """A schema's node as a function."""
    if not node.keys() <= _MAKERS.keys() | _PROSE:
        return _never
    return _all([_MAKERS[key](value, node) for key, value in node.items() if key in _MAKERS])


def anchored(pattern: str) -> str:
    """As JSON Schema means it, where $ is the end and not, as in Python, also the place before a last newline."""
    return re.sub(r"\$(?=$|\|)", r"\\Z", pattern)


def _never(_: Any) -> bool:
    return False


def _all(checks: Sequence[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(value: Any) -> bool:
        for one in checks:  # noqa: SIM110  all() costs twice as much
            if not one(value):
                return False
        return True

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: Final[Mapping[str, Check]] = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": _is_number,
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def _type(wanted: Any, _: Mapping[str, Any]) -> Check:
    if isinstance(wanted, str):
        return _TYPES[wanted]
    either = [_TYPES[name] for name in wanted]
    return lambda value: any(check(value) for check in either)


def _enum(choices: Any, _: Mapping[str, Any]) -> Check:
    """Text only: that true is not 1 is jsonschema's to know."""
    words = {choice for choice in choices if isinstance(choice, str)}
    return lambda value: isinstance(value, str) and value in words


def _pattern(pattern: Any, _: Mapping[str, Any]) -> Check:
    wanted = anchored(pattern)
    return lambda value: not isinstance(value, str) or _searched(wanted)(value) is not None


@cache
def _searched(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Compiled when there is something to look at: most documents have few of the keys that a schema knows."""
    return re.compile(pattern).search


def _properties(known: Any, _: Mapping[str, Any]) -> Check:
    checks: dict[str, Check] = {}

    def check(value: Any) -> bool:
        if isinstance(value, dict):
            for key, child in value.items():
                if key in known:
                    if key not in checks:
                        checks[key] = compiled(known[key])
                    if not checks[key](child):
                        return False
        return True

    return check


def _others(other: Any, node: Mapping[str, Any]) -> Check:
    known = node.get("properties", {}).keys()
    if other is False:
        return lambda value: not isinstance(value, dict) or value.keys() <= known
    each = compiled(other) if isinstance(other, Mapping) else _never
    return lambda value: (
        not isinstance(value, dict) or all(each(child) for key, child in value.items() if key not in known)
    )


def _required(keys: Any, _: Mapping[str, Any]) -> Check:
    wanted = frozenset(keys)
    return lambda value: not isinstance(value, dict) or wanted <= value.keys()


def _names(node: Any, _: Mapping[str, Any]) -> Check:
    each = compiled(node)
    return lambda value: not isinstance(value, dict) or all(map(each, value))


def _items(node: Any, _: Mapping[str, Any]) -> Check:
    each = compiled(node)
    return lambda value: not isinstance(value, list) or all(map(each, value))


def _unique(wanted: Any, _: Mapping[str, Any]) -> Check:
    """Of texts and of numbers alone."""

    def check(value: Any) -> bool:
        if not wanted or not isinstance(value, list):
            return True
        plain = all(isinstance(item, str) for item in value) or all(map(_is_number, value))
        return plain and len(set(value)) == len(value)

    return check


def _bound(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Mapping[str, Any]], Check]:
    return lambda bound, _: lambda value: not _is_number(value) or holds(value, bound)


def _size(
    kind: type[str] | type[list[Any]] | type[dict[str, Any]], holds: Callable[[int, Any], bool]
) -> Callable[[Any, Mapping[str, Any]], Check]:
    return lambda bound, _: lambda value: not isinstance(value, kind) or holds(len(value), bound)


def _at_least(value: Any, bound: Any) -> bool:
    return bool(value >= bound)


def _at_most(value: Any, bound: Any) -> bool:
    return bool(value <= bound)


_PROSE: Final = {"$schema", "title", "description", "examples", "default", "writeOnly", "x-change", "x-form"}
_MAKERS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Check]]] = {
    "type": _type,
    "enum": _enum,
    "const": lambda wanted, node: _enum([wanted], node),
    "pattern": _pattern,
    "properties": _properties,
    "additionalProperties": _others,
    "required": _required,
    "propertyNames": _names,
    "items": _items,
    "uniqueItems": _unique,
    "minimum": _bound(_at_least),
    "maximum": _bound(_at_most),
    "exclusiveMinimum": _bound(lambda value, bound: bool(value > bound)),
    "minLength": _size(str, _at_least),
    "maxLength": _size(str, _at_most),
    "minItems": _size(list, _at_least),
    "maxItems": _size(list, _at_most),
    "maxProperties": _size(dict, _at_most),
}
