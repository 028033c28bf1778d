"""The data of YAML text that holds nothing unusual, as nearly all does: without positions, in half the time.

What is unusual is left to the careful reader, `marked_documents`, which also says what is wrong and where. So this one
never explains: it gives up on tags, odd keys, anchored scalars and whatever has a problem.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from piste.scalars import SHORT, UnreadableError, core, read_differently

MAX_CHARACTERS: Final = 16_384
"""A text that is longer may have more values than a document may have."""
MAX_DEPTH: Final = 20
MAX_VALUES: Final = 20_000
"""With aliases written out."""


def plain_data(text: str, recipe: bool) -> dict[str, Any] | None:
    """None where the careful reader has to say what it is."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        return _Plain(text, recipe).document()
    except (_UnusualError, UnreadableError, yaml.YAMLError):
        return None


class _UnusualError(Exception):
    pass


class _Plain:
    def __init__(self, text: str, recipe: bool) -> None:
        self._next = cast(Callable[[], Event], CParser(text).get_event)
        self._most = len(text) // 2 + 1  # values, for each has a character and something beside it
        self._scalar = _of_recipe if recipe else core
        self._anchors: dict[str, Any] = {}
        self._anchored = False
        self._aliases = 0

    def document(self) -> dict[str, Any]:
        self._next()
        start = self._next()
        if type(start) is not DocumentStartEvent or start.version or start.tags:
            raise _UnusualError
        event = self._next()
        if type(event) is not MappingStartEvent or event.anchor or event.tag:
            raise _UnusualError
        data = self._mapping(0)
        if type(self._next()) is not DocumentEndEvent or type(self._next()) is not StreamEndEvent:
            raise _UnusualError
        return data

    def _mapping(self, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        following, value = self._next, self._value
        while type(event := following()) is not MappingEndEvent:
            key = value(event, depth)
            if type(key) is not str or type(event) is not ScalarEvent or key == "<<" or key in data:
                raise _UnusualError
            data[key] = value(following(), depth)
        return data

    def _sequence(self, depth: int) -> list[Any]:
        data: list[Any] = []
        while type(event := self._next()) is not SequenceEndEvent:
            data.append(self._value(event, depth))
        return data

    def _value(self, event: Event, depth: int) -> Any:
        if type(event) is ScalarEvent and not event.anchor and not event.tag:
            return self._scalar(event.value) if event.implicit[0] else event.value
        if type(event) is AliasEvent:
            return self._alias(event)
        if type(event) not in (MappingStartEvent, SequenceStartEvent) or depth == MAX_DEPTH:
            raise _UnusualError
        if event.tag:  # type: ignore[attr-defined]
            raise _UnusualError
        anchor, inside = event.anchor, self._anchored  # type: ignore[attr-defined]
        self._anchored = inside or bool(anchor)
        value = self._mapping(depth + 1) if type(event) is MappingStartEvent else self._sequence(depth + 1)
        self._anchored = inside
        if anchor:
            self._anchors[anchor] = value
        return value

    def _alias(self, event: AliasEvent) -> Any:
        """Not within what another alias may stand for: so what they say together grows with their number only."""
        self._aliases += 1
        if self._anchored or event.anchor not in self._anchors or self._most * (self._aliases + 1) > MAX_VALUES:
            raise _UnusualError
        return self._anchors[event.anchor]


def _of_recipe(text: str) -> Any:
    """The value of a scalar that both versions of YAML read alike."""
    return _alike_known(text) if len(text) <= SHORT else _alike(text)


def _alike(text: str) -> Any:
    value = core(text)
    if read_differently(text, value):
        raise _UnusualError
    return value


_alike_known = lru_cache(maxsize=8192)(_alike)
