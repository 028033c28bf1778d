"""The quick yes beside jsonschema: whatever it says yes to, jsonschema accepts, and it says yes to what is right."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from piste import documents, shape
from piste.conforming import compiled, conforms
from piste.resources import schema
from test_schemas import INPUTS, nodes

TESTS = Path(__file__).parent
EXAMPLES = TESTS / "examples"
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 1.0, 10**30, 1e300, "", " ", "x", "x\n", "1h\n", "A" * 5000),
    *([], [1, True], [1, 1.0], ["a", "a"], [{}], [[]], {}, {"x": 1}, {"": {}}, {"name": "notes", "x": None}),
)


def read(kind: str) -> Iterator[Any]:
    """Every document of this kind that the repository and the examples have, right or wrong."""
    if kind == "settings":
        for file in (TESTS.parent / "pyproject.toml", *EXAMPLES.rglob("pyproject.toml")):
            try:
                yield tomllib.loads(file.read_text()).get("tool", {}).get("piste", {})
            except tomllib.TOMLDecodeError:
                continue
        return
    for home in (EXAMPLES, TESTS.parent / "experiments"):
        for file in sorted(home.rglob(f"{kind}.yaml")):
            yield documents.parse(file.read_bytes(), file.name).data


def accepted(kind: str, document: Any) -> bool:
    return not list(shape._validator(kind).iter_errors(document))


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in pairs:
        yield from paths(child, (*path, key))


def mutations(document: Any) -> Iterator[Any]:
    """Each value replaced by each odd one, taken away, and with a key or an item more."""
    for path in paths(document):
        if not path:
            yield from ODD
            continue
        for odd in (*ODD, "drop", "more"):
            changed = copy.deepcopy(document)
            parent = changed
            for part in path[:-1]:
                parent = parent[part]
            if odd == "drop":
                del parent[path[-1]]
            elif odd == "more" and isinstance(parent, dict):
                parent["more"] = parent[path[-1]]
            elif odd == "more":
                parent.append(parent[path[-1]])
            else:
                parent[path[-1]] = odd
            yield changed


def full(node: dict[str, Any]) -> Any:
    """A document with every key there is, each with an example of its own."""
    if "properties" in node:
        return {key: full(child) for key, child in node["properties"].items()}
    if isinstance(node.get("items"), dict) and "properties" in node["items"]:
        return [full(node["items"])]
    return copy.deepcopy(node["examples"][0])


@pytest.mark.parametrize("kind", INPUTS)
def test_all_documents_get_the_same_verdict(kind: str) -> None:
    found = [document for document in read(kind) if document is not None]
    verdicts = [(conforms(kind)(document), accepted(kind, document)) for document in found]
    assert [one for one in verdicts if one[0] != one[1]] == []
    assert {said for said, _ in verdicts} == {True, False}


@pytest.mark.parametrize("kind", INPUTS)
def test_mutations_get_the_same_verdict(kind: str) -> None:
    """A no to what jsonschema accepts would only cost time; 1.0 for a whole number and {} are the ones there are."""
    document = full(schema(kind))
    assert conforms(kind)(document) == accepted(kind, document)
    more = [one for one in mutations(document) if conforms(kind)(one) and not accepted(kind, one)]
    assert more == []


@pytest.mark.parametrize("kind", INPUTS)
def test_every_node_says_yes_to_its_examples(kind: str) -> None:
    for path, node in nodes(schema(kind), kind):
        for value in [*node["examples"], *([node["default"]] if "default" in node else [])]:
            assert compiled(node)(value), path


def test_an_unknown_keyword_makes_every_answer_a_no() -> None:
    assert compiled({"type": "string"})("x")
    assert not compiled({"type": "string", "format": "date"})("x")
    assert not compiled({"properties": {"a": {"oneOf": []}}})({"a": 1})
