"""experiments/ on disk to values."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from piste import settings, validation
from piste.documents import Parsed
from piste.errors import PisteError, Problem
from piste.experiment import Deferred, Document, Documents, Experiment, Remembered, Suite, Trainings
from piste.repository import folders
from piste.repository.cache import Cache, default_place
from piste.repository.entries import Entry, Maker, documents, has_error
from piste.repository.parsing import HOME, Reader
from piste.repository.recalling import Recall
from piste.repository.scanning import REPORT, Folder, scan
from piste.repository.suites import SUITES, Suites, read_suites
from piste.resources import fingerprint
from piste.settings import Settings
from piste.sources import Known, Source

MAX_REPORT: Final = 8 << 20
"""Bytes of a report.json; those that piste writes have some kilobytes."""


@dataclass(frozen=True)
class Repository:
    """`experiments` are those without a problem, by name; `count` has the others too.

    `reports` has the bytes of every committed report.json, by its path from the root.
    """

    experiments: tuple[Experiment, ...]
    problems: tuple[Problem, ...]
    count: int
    reports: Mapping[str, bytes] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)


def read(root: Path, settings_root: Path | None = None, cache: Path | None = None) -> Repository:
    """Everything under experiments/, with every problem of every file.

    `settings_root` is a repository whose settings count in place of the root's own: a pull request's experiments are
    judged by the policy of the branch that it is for. `cache` is the folder of what is remembered, in place of the
    user's own.
    """
    configured, problems = settings.load(settings_root or root)
    home = root / HOME
    if not home.is_dir():
        missing = Problem(HOME, 0, 0, "", "There is no such folder here.", "Give the repository's root with --root.")
        return Repository((), (*problems, missing), 0, settings=configured)
    reading = _Reading(root, configured, Cache(cache or default_place()))
    reading.reader.problems.extend(problems)
    return reading.repository()


def declared_files(root: Path, experiment: Experiment) -> dict[str, bytes]:
    """The bytes of an experiment's declared files, as they were when it was read."""
    files = {path: (root / HOME / experiment.name / path).read_bytes() for path in experiment.files}
    for path, content in files.items():
        if hashlib.sha256(content).hexdigest() != experiment.files[path]:
            raise PisteError(f"{HOME}/{experiment.name}/{path} changed while it was read.", "Run the command again.")
    return files


def report_files(root: Path, name: str) -> dict[str, bytes]:
    """Every report.json of an experiment, by its path from the root."""
    found = (root / HOME / name / REPORT).rglob("report.json")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(found)}


class _Reading:
    """One pass over experiments/: what was found, and what was wrong with it."""

    def __init__(self, root: Path, configured: Settings, cache: Cache) -> None:
        self.root = root
        self.settings = configured
        self.cache = cache
        self.reader = Reader(root)
        self.made_with = hashlib.sha256(fingerprint() + repr(configured).encode()).digest()

    def repository(self) -> Repository:
        found = scan(self._folders(), self.made_with)
        suites = read_suites(self.reader, self.settings, self.cache, self.made_with)
        entries = self._entries(found, suites)
        heads = _Heads({one.name: one.head for one in entries if one.head is not None})
        known = Known(self.settings, suites.parsed, heads)
        self.reader.problems += suites.check(known)
        sound = self._sound(suites.parsed)
        alike = _Alike(entries)
        checked = [self._checked(entry, known, alike) for entry in entries]
        self.reader.problems += [problem for entry in checked for problem in entry.problems]
        experiments = [self._experiment(one, one.trainings) for one in checked if one.trainings and one.suite in sound]
        reports = {path: content for one in found if one.reported for path, content in self._reports(one.name)}
        problems = tuple(sorted(set(self.reader.problems)))
        return Repository(tuple(experiments), problems, len(found), reports, self.settings)

    def _folders(self) -> Iterator[os.DirEntry[str]]:
        """The folders of experiments, sorted."""
        with os.scandir(self.root / HOME) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            place = f"{HOME}/{entry.name}"
            if entry.name.startswith(".") or entry.name in ("README.md", SUITES, "__pycache__"):
                continue
            if not entry.is_dir():
                if folders.ignored_file(entry.name):
                    continue
                self.reader.report(place, "This file belongs to no experiment.", "Move it into a folder, or remove it.")
            elif entry.name.startswith("_"):
                self.reader.report(place, "Only _suites begins with an underscore here.", "Rename the folder.")
            else:
                yield entry

    def _sound(self, suites: Iterable[str]) -> frozenset[str]:
        """The suites without an error so far."""
        home = f"{HOME}/{SUITES}/"
        wrong = {one.file.split("/")[2] for one in self.reader.problems if one.file.startswith(home) and _is_error(one)}
        return frozenset(suites) - wrong

    def _entries(self, found: Sequence[Folder], suites: Suites) -> list[Entry]:
        """From the cache where the content is known, else made and kept."""
        parsed = suites.parsed
        sound = self._sound(parsed) - {name for name, wrong in suites.alone.items() if has_error(wrong)}
        self.suites = {name: Suite(name, parsed[name].data) for name in sound}
        self.versions = {name: _version(parsed[name]) for name in sound}
        recall = Recall(self.cache, self.versions)
        known = recall.entries(found)
        missing = [folder for folder in found if folder.name not in known]
        self.cache.close()  # a process that is forked must not have it open
        self.maker = Maker(self.root, Known(self.settings, parsed), sound, self.made_with)
        known |= {one.name: one for one in self.maker.entries(missing)}
        every = [known[folder.name] for folder in found]
        rows, pages = recall.to_keep(every)
        self.kept = self.cache.keep([*suites.rows, *rows], pages)
        return every

    def _checked(self, entry: Entry, known: Known, alike: _Alike) -> Entry:
        """With what other experiments decide. Only then, and only if it is wrong, its positions are needed."""
        if entry.head is None or not validation.refers(entry.head) or alike.is_right(entry.name, entry.head):
            return entry
        if next(validation.check_references(known.experiments[entry.name], known), None) is None:
            alike.right(entry.name, entry.head)
            return entry
        reader = Reader(self.root)
        read = reader.source(self.root / HOME / entry.name)
        problems = (*reader.problems, *(validation.check_experiment(read[0], known) if read else ()))
        return entry._replace(problems=problems, trainings=None if has_error(problems) else entry.trainings)

    def _experiment(self, entry: Entry, found: Trainings) -> Experiment:
        if self.kept and entry.key:
            entry = entry._replace(documents="")  # the cache has them
        read = partial(self._documents, entry)
        return Remembered(entry.name, self.suites[entry.suite], entry.head or {}, found, Deferred(read))

    def _documents(self, entry: Entry) -> Documents:
        suite = self.versions[entry.suite]
        return documents(entry.documents or self.cache.documents(entry.key or b"", suite) or self._again(entry))

    def _again(self, entry: Entry) -> str:
        """Its documents, where the cache has lost them meanwhile."""
        made = self.maker.entry(Folder(entry.name, entry.key, False))
        if made.key != entry.key or not made.documents:
            raise PisteError(f"{HOME}/{entry.name} changed while it was read.", "Run the command again.")
        return made.documents

    def _reports(self, name: str) -> Iterator[tuple[str, bytes]]:
        folder = self.root / HOME / name
        if (folder / REPORT).is_symlink():
            return
        for relative in folders.entries(folder / REPORT):
            path = folder / REPORT / relative
            if path.name != "report.json" or path.is_symlink() or not path.is_file():
                continue
            place = path.relative_to(self.root).as_posix()
            if path.stat().st_size > MAX_REPORT:
                self.reader.report(place, "This report is larger than 8 MiB.", "Let `piste collect` write it again.")
            else:
                yield place, path.read_bytes()


def _is_error(problem: Problem) -> bool:
    return problem.severity == "error"


class _Heads(Mapping[str, Source]):
    """Experiments as others see them. Few are looked at, some by many others: each is made when it first is."""

    def __init__(self, heads: Mapping[str, Document]) -> None:
        self.heads = heads
        self._made: dict[str, Source] = {}

    def __getitem__(self, name: str) -> Source:
        if name not in self._made:
            self._made[name] = Source(name, Parsed(f"{HOME}/{name}/experiment.yaml", self.heads[name]))
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self.heads

    def __iter__(self) -> Iterator[str]:
        return iter(self.heads)

    def __len__(self) -> int:
        return len(self.heads)


class _Alike:
    """Experiments that say nothing of others but what they are compared with, most often the same few.

    Of one that no other is compared with only this pair counts: it can't be in a circle, nor be what it names.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._named = {str(one.head.get("compare")).partition("/")[0] for one in entries if one.head is not None}
        self._right: set[tuple[str, str]] = set()

    def is_right(self, name: str, head: Document) -> bool:
        return self._pair(name, head) in self._right

    def right(self, name: str, head: Document) -> None:
        if pair := self._pair(name, head):
            self._right.add(pair)

    def _pair(self, name: str, head: Document) -> tuple[str, str] | None:
        compare, suite = head.get("compare"), head["evaluate"].get("suite")
        if name in self._named or "gates" in head or "waivers" in head:
            return None
        return (compare, suite) if isinstance(compare, str) and isinstance(suite, str) else None


def _version(suite: Parsed) -> bytes:
    return hashlib.sha256(json.dumps(suite.data).encode()).digest()
