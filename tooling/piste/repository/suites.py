"""The suites: remembered where nothing was wrong with them and nothing has changed since, else read."""

from __future__ import annotations

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
from piste.repository.entries import compact
from piste.repository.parsing import HOME, Reader
from piste.repository.scanning import Unchanged, folder_key
from piste.settings import Settings
from piste.sources import Known

SUITES: Final = "_suites"
FILE: Final = "suite.yaml"


@dataclass(frozen=True)
class Suites:
    """By name. `alone` is what is wrong with those that were read and that no experiment decides; `rows` is to be kept.

    With the others nothing was wrong when they were remembered.
    """

    parsed: Mapping[str, Parsed] = field(default_factory=dict)
    alone: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    rows: Sequence[Row] = ()

    def check(self, known: Known) -> list[Problem]:
        """All that is wrong with them."""
        found = [problem for problems in self.alone.values() for problem in problems]
        for name, suite in self.parsed.items():
            found += validation.check_suite_references(suite, known, self.alone.get(name, ()))
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
    begins = {folder: begun + folder.name.encode() for folder in folders.subfolders(home)}  # its name decides too
    keys = {folder: folder_key(str(folder), own) for folder, own in begins.items()}
    known = {key: told for key, _, told in cache.facts(sorted(key for key in keys.values() if key))}
    parsed: dict[str, Parsed] = {}
    alone: dict[str, list[Problem]] = {}
    rows: list[Row] = []
    for folder, key in keys.items():
        if key in known:
            file = folder / FILE
            parsed[folder.name] = documents.remembered(reader.place(file), known[key], partial(Path.read_bytes, file))
            continue
        unchanged, said = Unchanged(str(folder), begins[folder], key), len(reader.problems)
        suite = _read(reader, folder)
        if suite is None:
            continue
        parsed[folder.name] = suite
        alone[folder.name] = wrong = validation.check_suite_alone(suite, Known(settings))
        if key and not wrong and len(reader.problems) == said and unchanged.holds():
            rows.append(Row(key, b"", compact(suite.data), ""))
    return Suites(parsed, alone, rows)


def _read(reader: Reader, folder: Path) -> Parsed | None:
    parsed = reader.main_document(folder, FILE, "suite")
    reader.undeclared(folder, {FILE}, "Remove it; the rows to evaluate with stay in tables.")
    return parsed
