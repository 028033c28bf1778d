"""Files that piste writes and people don't: which they are, and whether a pull request touches them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from piste.errors import Problem

_GENERATED = re.compile(r"experiments/(README\.md|(?P<experiment>[^/_][^/]*)/report/.+)")


@dataclass(frozen=True)
class FileChange:
    """One file that differs between two commits. `old` and `new` are its blobs, "" where it is not there."""

    path: str
    old: str
    new: str


def is_generated(path: str) -> bool:
    return _GENERATED.fullmatch(path) is not None


def experiment_of(path: str) -> str:
    """Whose report a generated file belongs to; "" for the index and for other files."""
    found = _GENERATED.fullmatch(path)
    return (found["experiment"] or "") if found else ""


def by_hand(changes: Iterable[FileChange]) -> tuple[Problem, ...]:
    """A problem for each generated file that was written or removed by hand.

    An experiment that goes takes its report along, and one that is renamed carries it to its new name.
    """
    every = list(changes)
    gone = {_home(one.path) for one in every if one.path.endswith("/experiment.yaml") and not one.new}
    carried = {one.old for one in every if _home(one.path) in gone and not one.new}
    mine = (one for one in every if is_generated(one.path))
    return tuple(_problem(one) for one in mine if not _goes_along(one, gone, carried))


def _goes_along(change: FileChange, gone: set[str], carried: set[str]) -> bool:
    if not change.new:
        return _home(change.path) in gone
    return not change.old and change.new in carried


def _home(path: str) -> str:
    return "/".join(path.split("/")[:2])


def _problem(change: FileChange) -> Problem:
    if change.old:
        hint = f"Take the change back:  git checkout origin/main -- {change.path}"
    else:
        hint = f"Leave the file out:  git rm --cached {change.path}"
    message = "piste writes this file; what is changed here would be overwritten."
    return Problem(change.path, 0, 0, "", message, f"{hint}\nReports come to main by themselves when runs end.")
