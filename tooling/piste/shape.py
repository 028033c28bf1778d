"""One document against its schema: what jsonschema finds, said for people."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from piste import recipe
from piste.conforming import anchored, conforms
from piste.documents import Parsed
from piste.errors import Problem
from piste.problems import LONGEST_ECHO, Path, dotted, listed, quoted, sentences, suggestion
from piste.resources import schema
from piste.scalars import core

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

Finding = tuple[Path, str, str]
"""Where, what, and what to write instead."""

_TYPES: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "keys and values",
    "null": "nothing",
}


def check(parsed: Parsed, kind: str) -> list[Problem]:
    """Problems of a document whose `kind` is the name of its schema."""
    if conforms(kind)(parsed.data):
        return []
    findings = dict.fromkeys(
        finding for error in _validator(kind).iter_errors(parsed.data) for finding in _findings(error, kind)
    )
    return [parsed.problem(path, message, hint) for path, message, hint in findings]


def example(key: str | int, node: Mapping[str, Any]) -> str:
    """`Write e.g.  key: value`, from the first example of a schema's node."""
    if not node.get("examples"):
        return ""
    value = flow(node["examples"][0])
    return f"Write e.g.  {value}" if isinstance(key, int) else f"Write e.g.  {key}: {value}"


def flow(value: Any) -> str:
    """A value as one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._/-]*(?<! )", value)
    return value if plain and core(value) == value else json.dumps(value, ensure_ascii=False)


@cache
def _validator(kind: str) -> Validator:
    from jsonschema import Draft202012Validator, validators  # 70 ms to import: only when there is something to check

    kinds: type[Validator] = validators.extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
    return kinds(schema(kind))


def _pattern(_: Validator, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    from jsonschema import ValidationError

    if isinstance(instance, str) and not re.search(anchored(pattern), instance):
        yield ValidationError("does not match")


def _findings(error: ValidationError, kind: str) -> Iterator[Finding]:
    path = tuple(error.absolute_path)
    if "propertyNames" in error.absolute_schema_path:
        yield (*path, str(error.instance)), *_key_form(error)
        return
    explain = _EXPLAIN.get(str(error.validator))
    if error.validator == "additionalProperties":
        yield from _unknown_keys(path, error, kind)
    elif explain is None:
        yield path, f"{quoted(error.instance)} is not allowed here.", example(_last(path), _node(error))
    else:
        yield from explain(path, error)


def _last(path: Path) -> str | int:
    return path[-1] if path else 0


def _node(error: ValidationError) -> Mapping[str, Any]:
    return error.schema if isinstance(error.schema, Mapping) else {}


def _found(error: ValidationError) -> Any:
    return error.instance


def _wanted(error: ValidationError) -> Any:
    return error.validator_value


def _key_form(error: ValidationError) -> tuple[str, str]:
    node = _node(error)
    return f"{quoted(_found(error))} is no name here: {node.get('x-form', '')}.", f"Write e.g.  {node['examples'][0]}"


def meant(train: Mapping[str, Any], key: str) -> str | None:
    """The unknown key of `train` that was probably meant to be `key`."""
    known = schema("experiment")["properties"]["train"]["properties"]
    unknown = (other for other in train if other not in known)
    return next((other for other in unknown if suggestion(other, known) == suggestion(key, [key])), None)


def _unknown_keys(path: Path, error: ValidationError, kind: str) -> Iterator[Finding]:
    known = _node(error).get("properties", {})
    for key in _found(error):
        if key not in known:
            of = f" of {dotted(path)}" if path else ""
            yield (*path, key), f"{quoted(key)} is not a key{of}.", _unknown_key_hint(key, known, kind)


def _unknown_key_hint(key: str, known: Mapping[str, Any], kind: str) -> str:
    word, colon, rest = key.partition(":")
    if colon and word in known:
        return f"A colon needs a space after it. Write  {word}: {listed([rest])}"
    if homes := list(_homes(key, known, kind)):
        return f"{quoted(key)} belongs {' or '.join(homes)}."
    return sentences(suggestion(key, known, quote=False), f"Keys here are {listed(known, 20)}.")


def _homes(key: str, known: Mapping[str, Any], kind: str) -> Iterator[str]:
    """Where a key is known that is none of those `known` at its place."""
    for other in ("experiment", "suite") if kind in ("experiment", "suite") else ():
        file, properties = "" if other == kind else f" in {other}.yaml", schema(other)["properties"]
        if key in properties:
            yield f"in {other}.yaml" if file else "at the top of this file"
        yield from (f"under {name}{file}" for name, node in properties.items() if key in node.get("properties", ()))
    if kind == "experiment" and not suggestion(key, known):
        if key in recipe.KEYS | recipe.DPO_KEYS:
            yield "in the recipe"
        yield from (f"under {name} in the recipe" for name in ("model", "optimizer") if key in recipe.SECTIONS[name])


def _missing_keys(path: Path, error: ValidationError) -> Iterator[Finding]:
    """But not those that an unknown key was probably meant to be: that is said where the key stands."""
    known, found = _node(error).get("properties", {}), _found(error)
    meant = {suggestion(key, known) for key in found if key not in known}
    for key in _wanted(error):
        if key not in found and suggestion(key, [key]) not in meant:
            yield (*path, key), f"{quoted(key)} is missing.", example(key, known.get(key, {}))


def _wrong_type(path: Path, error: ValidationError) -> Iterator[Finding]:
    wanted = _wanted(error) if isinstance(_wanted(error), list) else [_wanted(error)]
    *others, last = (_TYPES[name] for name in wanted)
    names = f"{', '.join(others)} or {last}" if others else last
    names = _node(error).get("x-form", names) if wanted == ["string"] else names
    hint = example(_last(path), _node(error))
    if path[:2] == ("train", "matrix") and len(path) == 3 and isinstance(_found(error), dict):
        hint = _with_dots(str(path[2]), _found(error)) or hint
    yield path, f"This must be {names}, not {_described(_found(error))}.", hint


def _with_dots(path: str, value: Any) -> str:
    """What to write in a matrix instead of keys inside keys."""
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        path = f"{path}.{key}"
    shown = flow(value) if isinstance(value, list) and value else "[…]"
    return f"Write the path with dots:  {listed([path])}: {shown if len(shown) <= LONGEST_ECHO else '[…]'}"


def _described(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    return "a list" if isinstance(value, list) else quoted(value)


def _not_a_choice(path: Path, error: ValidationError) -> Iterator[Finding]:
    choices = [str(choice) for choice in _wanted(error)]
    hint = sentences(suggestion(_found(error), choices), f"Choose one of {listed(choices)}.")
    yield path, f"{quoted(_found(error))} is not a {_last(path)} that piste knows.", hint


def _not_the_constant(path: Path, error: ValidationError) -> Iterator[Finding]:
    message = f"{quoted(_found(error))} is not a format that this version of piste reads."
    yield path, message, f"Write  {_last(path)}: {flow(_wanted(error))}"


def _wrong_form(path: Path, error: ValidationError) -> Iterator[Finding]:
    if path[:2] == ("train", "inputs") and _found(error).startswith("snow://"):
        message = "A dataset can't be an input; only what lies on a stage is fetched into ./inputs."
        yield path, message, "Name it in the recipe as a source's  dataset_uri  or copy its files to a stage."
        return
    if _node(error).get("writeOnly"):  # perhaps the secret itself: not to be repeated in anybody's log
        yield path, f"What stands here must be {_node(error)['x-form']}.", example(_last(path), _node(error))
        return
    yield path, f"{quoted(_found(error))} must be {_node(error)['x-form']}.", example(_last(path), _node(error))


def _duplicate(path: Path, error: ValidationError) -> Iterator[Finding]:
    for index, item in enumerate(_found(error)):
        if item in _found(error)[:index]:
            yield (*path, index), f"{quoted(item)} is in this list already.", "Keep one of them."


def _bound(text: str) -> Callable[[Path, ValidationError], Iterator[Finding]]:
    def explain(path: Path, error: ValidationError) -> Iterator[Finding]:
        message = f"This must be {text} {_wanted(error):,}, not {_described(_found(error))}."
        yield path, message, example(_last(path), _node(error))

    return explain


def _size(text: str, unit: str) -> Callable[[Path, ValidationError], Iterator[Finding]]:
    def explain(path: Path, error: ValidationError) -> Iterator[Finding]:
        count = f"{len(_found(error)):,} {unit}" if _found(error) else "nothing"
        message = f"This has {count}; it needs {text} {_wanted(error):,}."
        yield path, message, example(_last(path), _node(error))

    return explain


_EXPLAIN: Final[Mapping[str, Callable[[Path, ValidationError], Iterator[Finding]]]] = {
    "required": _missing_keys,
    "type": _wrong_type,
    "enum": _not_a_choice,
    "const": _not_the_constant,
    "pattern": _wrong_form,
    "uniqueItems": _duplicate,
    "minimum": _bound("at least"),
    "maximum": _bound("at most"),
    "exclusiveMinimum": _bound("more than"),
    "minLength": _size("at least", "characters"),
    "maxLength": _size("at most", "characters"),
    "minItems": _size("at least", "items"),
    "maxItems": _size("at most", "items"),
    "maxProperties": _size("at most", "keys"),
}
