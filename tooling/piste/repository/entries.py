"""What is to be known of one experiment: made from its files, or from what the cache remembers of the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from piste import validation
from piste.errors import Problem
from piste.experiment import Document, Documents, Experiment, Suite, Trainings
from piste.repository.parsing import HOME, Reader
from piste.repository.scanning import Folder, Unchanged
from piste.sources import Known, Source, head
from piste.variants import trainings

MANY: Final = 128
"""From so many folders on, parsing in several processes is faster than beginning them."""

_AT_ONCE = 32
compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Entry(NamedTuple):
    """`head` is what others look at (`sources.head`), None where there is no experiment to speak of.

    `problems` are those that its own files, the settings and its suite decide. `trainings` are None and `documents`,
    as JSON, empty where one of them is an error. `key` is that of the folder's content while it was read; None where
    the content alone doesn't tell, or where it changed meanwhile. `facts` are for the cache, where there is a key.
    """

    name: str
    head: Document | None
    problems: tuple[Problem, ...] = ()
    trainings: Trainings | None = None
    documents: str = ""
    key: bytes | None = None
    facts: str = ""

    @property
    def suite(self) -> str:
        return str(self.head["evaluate"].get("suite")) if self.head else ""

    def remembering(self) -> str:
        """Its facts: without the name, since another folder may have the same content."""
        home = f"{HOME}/{self.name}/"
        said = [[one.file.removeprefix(home), *list(vars(one).values())[1:]] for one in self.problems]
        told = {"head": self.head, "trainings": self.trainings, "problems": said}
        return compact(told)


def remembered(name: str, facts: Mapping[str, Any], key: bytes | None) -> Entry:
    """Raises one of KeyError, TypeError and ValueError where they are not what was written."""
    told = facts["problems"]
    problems = tuple([Problem(f"{HOME}/{name}/{file}", *rest) for file, *rest in told]) if told else ()
    found = tuple([(variant, training) for variant, training in facts["trainings"]])
    return Entry(name, facts["head"], problems, found, "", key)


def documents(text: str) -> Documents:
    return Documents(*json.loads(text))


@dataclass(frozen=True)
class Maker:
    """Makes entries from files. `known` has the settings and the suites; `sound` are the suites without an error.

    `begun` is what the folders' keys began with.
    """

    root: Path
    known: Known
    sound: frozenset[str]
    begun: bytes = b""

    def entries(self, found: Sequence[Folder]) -> Iterator[Entry]:
        """Of all these folders, in their order."""
        if len(found) < MANY:
            yield from map(self.entry, found)
            return
        made = 0
        with contextlib.suppress(OSError, RuntimeError):  # no processes to be had here, or one was killed
            for entry in self._in_processes(found):
                yield entry
                made += 1
        yield from map(self.entry, found[made:])

    def entry(self, found: Folder) -> Entry:
        """Its key is None where the folder changed since it was scanned."""
        name, key = found.name, found.key
        path = f"{self.root}/{HOME}/{name}"
        unchanged = Unchanged(path, self.begun, key)
        reader = Reader(self.root)
        read = reader.source(Path(path))
        if read is None:
            return Entry(name, None, tuple(reader.problems))
        source, files = read
        problems = (*reader.problems, *validation.check_alone(source, self.known))
        kept = head(source.experiment.data)
        if has_error(problems) or kept["evaluate"]["suite"] not in self.sound:
            return Entry(name, kept, problems)
        made = Entry(name, kept, problems, *self._told(source, files))
        return made._replace(key=key, facts=made.remembering()) if unchanged.holds() else made

    def _told(self, source: Source, files: Mapping[str, str]) -> tuple[Trainings, str]:
        document, recipe = source.experiment.data, source.recipe.data if source.recipe else None
        suite = document["evaluate"]["suite"]
        experiment = Experiment(source.name, document, recipe, Suite(suite, self.known.suites[suite].data), files)
        return trainings(experiment), compact([document, recipe, files])

    def _in_processes(self, found: Sequence[Folder]) -> Iterator[Entry]:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor  # 20 ms to import

        forks = sys.platform == "linux" and threading.active_count() == 1
        context = multiprocessing.get_context("fork" if forks else "spawn")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        with ProcessPoolExecutor(min(cores, 16), context, _begin, (self,)) as pool:
            yield from pool.map(_entry, found, chunksize=_AT_ONCE)


def has_error(problems: Sequence[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


_makers: list[Maker] = []


def _begin(maker: Maker) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells who interrupts
    _makers[:] = [maker]


def _entry(found: Folder) -> Entry:
    return _makers[0].entry(found)
