"""What git asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from piste import repository, selection, settings
from piste.choosing import decided
from piste.environment import FILE, Settings
from piste.errors import InvalidInput, Problem
from piste.experiment import Experiment, Variant
from piste.repository import Repository
from piste.run import Run
from piste.variants import all_variants, for_trying


@dataclass(frozen=True)
class Desired:
    """What the working tree asks for. `settings_root` is where the settings are from, and the runtimes' locks.

    `touched` are the experiments that commands are about which were told `--changed-since`; None for all.
    """

    root: Path
    settings_root: Path
    settings: Settings
    experiments: tuple[Experiment, ...]
    variants: tuple[Variant, ...]
    reports: Mapping[str, bytes]
    touched: frozenset[str] | None = None

    def experiment(self, name: str) -> Experiment:
        return next(one for one in self.experiments if one.name == name)

    def decided(self, runs: Iterable[Run], retry: Collection[str] = ()) -> Desired:
        """With the winners of its matrices, as far as these runs have judged them."""
        return replace(self, variants=decided(self.experiments, self.variants, runs, retry))

    def trying(self, names: Collection[str] = ()) -> Desired:
        """With these experiments (all without a name) on the split that what is not merged yet is scored on too."""
        known = {variant.label for variant in self.variants}
        more = (variant for variant in for_trying(self.experiments, names) if variant.label not in known)
        return replace(self, variants=(*self.variants, *more))

    def only(self, names: Collection[str]) -> tuple[Variant, ...]:
        """The variants that these words mean (`selection.select`), of what has been touched; all without a word."""
        chosen = selection.select(names, self.variants, {one.name: one.head for one in self.experiments})
        return chosen if self.touched is None else tuple(one for one in chosen if one.experiment in self.touched)


def validate(root: Path, settings_root: Path | None = None, names: Collection[str] = (), since: str = "") -> Repository:
    """With the problems of these experiments, and of what belongs to none; of all of them without a word."""
    found = repository.read(root, settings_root)
    if not names and not since:
        return found
    known = {one.name for one in found.experiments}
    broken = {one.file.split("/")[1] for one in found.problems if _in_an_experiment(one)} - known
    chosen = _chosen(found, broken, names)
    if since:
        chosen &= _touched(found, root, settings_root or root, since) | _below(root, since)
    problems = (one for one in found.problems if not _in_an_experiment(one) or one.file.split("/")[1] in chosen)
    return replace(found, problems=tuple(problems), count=len(chosen))


def _in_an_experiment(problem: Problem) -> bool:
    parts = problem.file.split("/")
    return len(parts) > 2 and parts[0] == repository.HOME and parts[1] != repository.SUITES


def _chosen(found: Repository, broken: Collection[str], words: Collection[str]) -> set[str]:
    """Names of experiments. Whose tags and owner can't be read is chosen whatever tag or owner is asked for."""
    variants = all_variants(found.experiments)
    chosen: set[str] = set()
    for word in words or ("*",):
        mine = {one.experiment for one in variants if selection.means(word, one)}
        mine |= {name for name in broken if not selection.by_name(word) or fnmatchcase(name, word)}
        if words and not mine:
            raise selection.unknown(word, variants, broken)
        chosen |= mine
    return chosen


def _below(root: Path, since: str) -> set[str]:
    from piste import git

    paths = git.changed_since(root, since)
    return {path.split("/")[1] for path in paths if path.startswith(f"{repository.HOME}/")}


def read(root: Path, tolerant: bool = False, settings_root: Path | None = None, since: str = "") -> Desired:
    """What git asks for. `tolerant` passes over experiments with errors: to look at runs, or to end one.

    `settings_root` is a repository whose settings count in place of the root's own. With `since`, a commit, commands
    are about what has changed since.

    Raises:
        InvalidInput: any file of any experiment has an error.
        GitRefused: there is no such commit.
    """
    found = validate(root, settings_root)
    errors = [problem for problem in found.problems if problem.severity == "error"]
    if errors and not tolerant:
        raise InvalidInput(errors)
    variants = all_variants(found.experiments)
    touched = _touched(found, root, settings_root or root, since) if since else None
    return Desired(root, settings_root or root, found.settings, found.experiments, variants, found.reports, touched)


def _touched(found: Repository, root: Path, settings_root: Path, since: str) -> frozenset[str]:
    from piste import git

    paths = git.changed_since(root, since)
    before = settings.runtimes(git.content(root, since, FILE))
    now = settings.runtimes((settings_root / FILE).read_text("utf-8")) if (settings_root / FILE).exists() else {}
    other = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    other |= {runtime.name for runtime in found.settings.runtimes.values() if runtime.lock in paths}
    return selection.touched(found.experiments, paths, other | ({""} if found.settings.runtime in other else set()))
