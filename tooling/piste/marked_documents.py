"""YAML text to plain data with the position of every key, and with everything that is wrong: the careful reader.

libyaml delivers the events, so reading costs well under a millisecond; everything that could surprise or exhaust is
refused with its place: duplicate keys, tags, merge keys, NaN, alias bombs, deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

import yaml
from yaml._yaml import CParser
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)

from piste.documents import Position, RefusedError
from piste.errors import Problem
from piste.plain_documents import MAX_VALUES
from piste.problems import Path, dotted, quoted
from piste.scalars import UnreadableError, core, read_differently

MAX_DEPTH: Final = 40

_GLUED = re.compile(r" *([a-z_]{1,40}):([A-Za-z0-9.]+) *\r?")
_SYNTAX_HINT = "Look at the indentation, quotes and brackets here and just above."
_SYNTAX_HINTS = {
    "mapping values are not allowed in this context": "Put text that has a colon in quotes, or mend the indentation.",
}


class Reader:
    """Builds the data of one document from libyaml's events."""

    def __init__(self, file: str, recipe: bool) -> None:
        self.file = file
        self.recipe = recipe
        self.marks: dict[Path, Position] = {}
        self.problems: list[Problem] = []
        self.anchors: dict[str, tuple[Any, int] | None] = {}
        self.values = 0

    def document(self, text: str) -> Any:
        self.text = text
        self._next = cast(Callable[[], Event], CParser(text).get_event)  # nobody reads past the end
        try:
            return self._document()
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except yaml.YAMLError as error:
            raise RefusedError(Problem(self.file, 0, 0, "", f"This is not YAML: {quoted(str(error))}")) from None

    def _document(self) -> Any:
        beginning, start = self._next(), self._next()
        if isinstance(start, StreamEndEvent):
            self._refuse(beginning, (), "This file is empty.", "Write  key: value  lines.")
        if isinstance(start, DocumentStartEvent) and (start.version or start.tags):
            self._report(start, (), "YAML directives (%YAML, %TAG) are not read here.", "Remove the line.")
        event = self._next()
        data = self._value(event, (), 0)
        if data is None:
            self._refuse(beginning, (), "This file is empty.", "Write  key: value  lines.")
        if not isinstance(event, MappingStartEvent):
            message = "The top level of this file must be keys and values."
            self._refuse(event, (), message, "Write  key: value  lines.")
        self._next()
        after = self._next()
        if not isinstance(after, StreamEndEvent):
            self._refuse(after, (), "A second document begins here.", "Keep one document in the file; remove the ---.")
        return data

    def _value(self, event: Event, path: Path, depth: int) -> Any:
        self._count(event, path, 1)
        if type(event) is ScalarEvent and event.anchor is None and event.tag is None:  # as nearly all are
            return self._scalar(event, path)
        if isinstance(event, AliasEvent):
            return self._alias(event, path)
        before = self.values
        anchor: str | None = getattr(event, "anchor", None)
        if anchor:
            self.anchors[anchor] = None
        value = self._fresh(event, path, depth)
        if anchor:
            self.anchors[anchor] = (value, self.values - before + 1)
        return value

    def _fresh(self, event: Event, path: Path, depth: int) -> Any:
        if getattr(event, "tag", None):
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")  # type: ignore[attr-defined]
            self._report(event, path, f"The tag {quoted(tag)[1:-1]} is not read here.", "Write the value without it.")
        if isinstance(event, ScalarEvent):
            return self._scalar(event, path)
        if depth >= MAX_DEPTH:
            self._refuse(event, path[:3], f"This is nested more than {MAX_DEPTH} levels deep.", "Write it flatter.")
        return self._mapping(path, depth) if isinstance(event, MappingStartEvent) else self._sequence(path, depth)

    def _mapping(self, path: Path, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        while type(event := self._next()) is not MappingEndEvent:
            key = self._key(event, path)
            here = (*path, key)
            if key in data:
                self._duplicate(event, here)
                self._value(self._next(), here, depth + 1)
                continue
            self.marks[here] = _position(event)
            data[key] = self._value(self._next(), here, depth + 1)
        return data

    def _duplicate(self, event: Event, path: Path) -> None:
        first, second = self.marks[path][0], _position(event)[0]
        lines = f"on line {first}" if first == second else f"on lines {first} and {second}"
        self._report(event, path, f"{quoted(path[-1])} is written twice, {lines}.", "Keep one of them.")

    def _sequence(self, path: Path, depth: int) -> list[Any]:
        data: list[Any] = []
        while type(event := self._next()) is not SequenceEndEvent:
            here = (*path, len(data))
            self.marks[here] = _position(event)
            data.append(self._value(event, here, depth + 1))
        return data

    def _key(self, event: Event, path: Path) -> str:
        self._count(event, path, 1)
        if not isinstance(event, ScalarEvent):
            self._refuse(event, path, "A key must be text, not a list, a mapping or an alias.", "Write the key out.")
        if event.value == "<<" and event.implicit[0]:
            hint = "Write the keys out; an alias (*name) may stand for a whole value."
            self._report(event, (*path, "<<"), "Merge keys (<<) belong to YAML 1.1 and are not read here.", hint)
            return "<<"
        value = self._scalar(event, path, event.value)
        if not isinstance(value, str):
            here = (*path, event.value)
            self._report(event, here, f"A key must be text, and {quoted(value)} is not.", "Put it in quotes.")
        return event.value

    def _scalar(self, event: ScalarEvent, path: Path, *key: str) -> Any:
        """The value at `path`, or the `key` there."""
        text = event.value
        if not event.implicit[0]:
            return text
        try:
            value = core(text)
        except UnreadableError as unreadable:
            self._report(event, (*path, *key), unreadable.message, unreadable.hint)
            return 0
        if self.recipe and (difference := read_differently(text, value)):
            self._report(event, (*path, *key), *difference)
        return value

    def _alias(self, event: AliasEvent, path: Path) -> Any:
        name = quoted(f"*{event.anchor}")[1:-1]
        if event.anchor not in self.anchors:
            hint = f"Write  &{name[1:]}  before a value."
            self._refuse(event, path, f"The alias {name} has no anchor above it.", hint)
        known = self.anchors[event.anchor]
        if known is None:
            self._refuse(event, path, f"The alias {name} stands inside its own value.", "Write the value out.")
        self._count(event, path, known[1] - 1)
        return known[0]

    def _count(self, event: Event, path: Path, values: int) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            message = f"With its aliases written out, this file has more than {MAX_VALUES:,} values."
            self._refuse(event, path[:3], message, "Write fewer values or aliases.")

    def _syntax(self, error: yaml.MarkedYAMLError) -> NoReturn:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        row = [*self.text.split("\n"), ""][line - 1]
        if row[: max(column, 1)].strip() == "" and "\t" in row[: len(row) - len(row.lstrip())]:
            message, hint = "A tab indents this line; YAML allows only spaces there.", "Use two spaces for each level."
            raise RefusedError(Problem(self.file, line, row.index("\t") + 1, "", message, hint)) from None
        if error.problem == "found character that cannot start any token":
            message, hint = f"A plain value can't begin with {row[column - 1 : column]}.", "Put it in quotes."
        else:
            what = ", ".join(part for part in (error.problem, error.context) if part)
            message, hint = f"This is not YAML: {what}.", _SYNTAX_HINTS.get(str(error.problem), _SYNTAX_HINT)
            first = error.context_mark.line if error.context_mark else mark.line if mark else 0
            for near in self.text.split("\n")[max(first - 1, 0) : line]:
                if glued := _GLUED.fullmatch(near):
                    hint = f"A colon needs a space after it. Write  {glued[1]}: {quoted(glued[2])[1:-1]}"
        raise RefusedError(Problem(self.file, line, column, "", message, hint)) from None

    def _report(self, event: Event, path: Path, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.file, *_position(event), dotted(path), message, hint))

    def _refuse(self, event: Event, path: Path, message: str, hint: str = "") -> NoReturn:
        raise RefusedError(Problem(self.file, *_position(event), dotted(path), message, hint))


def _position(event: Event) -> Position:
    mark = event.start_mark
    assert mark is not None, "libyaml marks every event"
    return mark.line + 1, mark.column + 1
