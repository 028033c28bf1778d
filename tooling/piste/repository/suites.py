"""The suites: remembered where nothing was wrong with them and nothing has changed since, else read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from piste import documents, validation
from piste.documents import Parsed
from piste.errors import Problem
from piste.repository import folders
from piste.repository.cache import Cache, Row
from piste.repository.parsing import HOME, Reader
from piste.repository.scanning import folder_key, stamp
from piste.settings import Settings
from piste.sources import Known

SUITES: Final = "_suites"
FILE: Final = "suite.yaml"


@dataclass(frozen=True)
class Suites:
    """By name. `problems` are those that no experiment decides, of those that are not `right`.

    `right` are the suites that nothing was wrong with when they were remembered; `rows` are for the cache.
    """

    parsed: Mapping[str, Parsed] = field(default_factory=dict)
    problems: Sequence[Problem] = ()
    right: frozenset[str] = frozenset()
    rows: Sequence[Row] = ()

    def check(self, known: Known) -> list[Problem]:
        """All that is wrong with them. Of what was right alone only what experiments decide is looked at."""
        found: list[Problem] = []
        for name, suite in self.parsed.items():
            right = name in self.right
            found += validation.check_suite_references(suite, known) if right else validation.check_suite(suite, known)
        return found


def read_suites(reader: Reader, settings: Settings, cache: Cache, begun: bytes) -> Suites:
    """What is wrong with the folders goes to the reader. `begun` is what the keys of what is remembered begin with."""
    home = reader.root / HOME / SUITES
    if home.is_symlink():
        reader.report(f"{HOME}/{SUITES}", "The folder of suites is a link.", "Put the folder itself here.")
    if not home.is_dir() or home.is_symlink():
        return Suites()
    for name in folders.loose_files(home):
        reader.report(f"{HOME}/{SUITES}/{name}", "This file belongs to no suite.", "Move it into a folder.")
    found = {folder.name: _Folder(folder, begun) for folder in folders.subfolders(home)}
    known = {key: told for key, _, told in cache.facts(sorted(one.key for one in found.values() if one.key))}
    right = {name: one.remembered(reader, known[one.key]) for name, one in found.items() if one.key in known}
    read = {name: one.read(reader) for name, one in found.items() if name not in right}
    fresh = {name: parsed for name, parsed in read.items() if parsed is not None}
    wrong = {name: validation.check_suite_alone(parsed, Known(settings)) for name, parsed in fresh.items()}
    rows = [found[name].row(parsed) for name, parsed in fresh.items() if not wrong[name]]
    return Suites(
        {name: right.get(name) or fresh[name] for name in found if name in right or name in fresh},
        [problem for every in wrong.values() for problem in every],
        frozenset(right),
        [row for row in rows if row],
    )


class _Folder:
    """A suite's, with the hash of all that is in it and of its name, which decides too; None for what is odd."""

    def __init__(self, path: Path, begun: bytes) -> None:
        self.path = path
        self.begun = begun + path.name.encode()
        self.key = folder_key(str(path), self.begun)
        self._stamp = stamp(str(path)) if self.key else []

    def remembered(self, reader: Reader, document: object) -> Parsed:
        file = self.path / FILE
        return documents.remembered(reader.place(file), document, partial(Path.read_bytes, file))

    def read(self, reader: Reader) -> Parsed | None:
        before = len(reader.problems)
        parsed = reader.main_document(self.path, FILE, "suite")
        reader.undeclared(self.path, {FILE}, "Remove it; the rows to evaluate with stay in tables.")
        self._sound = len(reader.problems) == before
        return parsed

    def row(self, parsed: Parsed) -> Row | None:
        """What is to be remembered; None if there was something, or it has changed meanwhile."""
        same = (folder_key(str(self.path), self.begun), stamp(str(self.path))) == (self.key, self._stamp)
        if self.key is None or not (self._sound and same):
            return None
        return Row(self.key, b"", json.dumps(parsed.data, separators=(",", ":")), "")
