"""YAML text to plain data, with the position of every key.

Scalars follow YAML 1.2's core rules: `1e-5` is a number, `on` and `yes` are text, `010` is ten. What reads YAML
(`plain_documents`, `marked_documents`) is imported when there is something to read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

from piste.errors import Problem
from piste.problems import Path, dotted

Position = tuple[int, int]
"""Line and column, from 1."""

MAX_BYTES: Final = 1 << 20

_UNPRINTABLE: Final = "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"


@dataclass(frozen=True)
class Parsed:
    """`data` is None when the text can't be read at all. `marks` has the position of every key and list item."""

    file: str
    data: Any
    marks: Mapping[Path, Position] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    def position(self, path: Path) -> Position:
        """Of the key or item at `path`, else of the nearest one around it."""
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path, (1, 1))

    def problem(self, path: Path, message: str, hint: str = "") -> Problem:
        return Problem(self.file, *self.position(path), dotted(path), message, hint)


class RefusedError(ValueError):
    """A text that can't be read at all."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def parse(text: bytes, file: str, *, recipe: bool = False) -> Parsed:
    """Read one document whose top level is a mapping.

    In a recipe, scalars that ArcticTraining's YAML 1.1 reader would read differently are problems.
    """
    from piste.plain_documents import plain_data

    try:
        decoded = _decoded(text, file)
    except RefusedError as refused:
        return Parsed(file, None, problems=(refused.problem,))
    plain = plain_data(decoded, recipe)
    return _with_care(decoded, file, recipe) if plain is None else remembered(file, plain, partial(bytes, text))


def _with_care(text: str, file: str, recipe: bool) -> Parsed:
    from piste.marked_documents import Reader

    reader = Reader(file, recipe)
    try:
        return Parsed(file, reader.document(text), reader.marks, tuple(reader.problems))
    except RefusedError as refused:
        return Parsed(file, None, problems=(*reader.problems, refused.problem))


def remembered(file: str, data: Any, read: Callable[[], bytes]) -> Parsed:
    """What there is in a text that has no problem; `read` brings the text if a position is asked for."""
    return Parsed(file, data, _Marks(read))


class _Marks(Mapping[Path, Position]):
    """The positions in a text that has no problem: read when somebody asks, which is when another has found one."""

    def __init__(self, text: Callable[[], bytes]) -> None:
        self._text = text

    @cached_property
    def _read(self) -> Mapping[Path, Position]:
        from piste.marked_documents import Reader

        reader = Reader("", recipe=False)
        with suppress(OSError, UnicodeError, RefusedError):  # the file may have changed since
            reader.document(self._text().decode())
        return reader.marks

    def __getitem__(self, path: Path) -> Position:
        return self._read[path]

    def __iter__(self) -> Iterator[Path]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def _decoded(text: bytes, file: str) -> str:
    def refused(place: Position, message: str, hint: str) -> RefusedError:
        return RefusedError(Problem(file, *place, "", message, hint))

    if len(text) > MAX_BYTES:
        raise refused((0, 0), "This file is larger than 1 MiB.", "Keep data in tables.")
    if text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise refused((1, 1), "This file begins with a byte order mark.", "Save it as plain UTF-8.")
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        place = _place(text[: error.start].decode(), error.start)
        message = f"This file is not UTF-8: byte 0x{text[error.start]:02x} has no meaning here."
        raise refused(place, message, "Save it as UTF-8.") from None
    if odd := re.search(_UNPRINTABLE, decoded):
        message = f"The control character U+{ord(odd.group()):04X} is not allowed in YAML."
        raise refused(_place(decoded, odd.start()), message, 'Remove it, or write it as "\\u…" in double quotes.')
    return decoded


def _place(text: str, offset: int) -> Position:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - before.rfind("\n")
