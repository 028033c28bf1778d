"""experiments/ on disk to values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from piste import documents, settings, shape, validation
from piste.documents import Parsed
from piste.errors import PisteError, Problem
from piste.experiment import Experiment, Suite
from piste.problems import printable, quoted, suggestion
from piste.repository import folders
from piste.settings import Settings
from piste.sources import Known, Source, section

HOME: Final = "experiments"
SUITES: Final = "_suites"
REPORT: Final = "report"
MAX_REPORT: Final = 8 << 20
"""Bytes of a report.json; those that piste writes have some kilobytes."""

_UNDECLARED: Final = (
    "Add it to train.files in experiment.yaml, remove it, or keep it outside of experiments/.\n"
    "A declared file is part of the identity: changing it trains again."
)


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


def read(root: Path, settings_root: Path | None = None) -> Repository:
    """Everything under experiments/, with every problem of every file.

    `settings_root` is a repository whose settings count in place of the root's own: a pull request's experiments are
    judged by the policy of the branch that it is for.
    """
    configured, problems = settings.load(settings_root or root)
    home = root / HOME
    if not home.is_dir():
        missing = Problem(HOME, 0, 0, "", "There is no such folder here.", "Give the repository's root with --root.")
        return Repository((), (*problems, missing), 0, settings=configured)
    reading = _Reading(root, configured)
    reading.problems.extend(problems)
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

    def __init__(self, root: Path, configured: Settings) -> None:
        self.root = root
        self.settings = configured
        self.problems: list[Problem] = []
        self.files: dict[str, dict[str, str]] = {}

    def repository(self) -> Repository:
        found = list(self._folders())
        suites = self._suites()
        sources = {folder.name: self._source(folder) for folder in found}
        known = Known(self.settings, suites, {name: source for name, source in sources.items() if source})
        for source in known.experiments.values():
            self.problems.extend(validation.check_experiment(source, known))
        for suite in suites.values():
            self.problems.extend(validation.check_suite(suite, known))
        valid = (source for source in known.experiments.values() if self._valid(source))
        reports = {path: content for folder in found for path, content in self._reports(folder)}
        experiments = tuple(self._experiment(source, known) for source in valid)
        return Repository(experiments, tuple(sorted(set(self.problems))), len(found), reports, self.settings)

    def _report(self, file: str, message: str, hint: str) -> None:
        self.problems.append(Problem(printable(file), 0, 0, "", message, hint))

    def _folders(self) -> Iterator[Path]:
        for entry in sorted((self.root / HOME).iterdir()):
            place = f"{HOME}/{entry.name}"
            if entry.name.startswith(".") or entry.name in ("README.md", SUITES, "__pycache__"):
                continue
            if not entry.is_dir():
                if folders.ignored_file(entry.name):
                    continue
                self._report(place, "This file belongs to no experiment.", "Move it into a folder, or remove it.")
            elif entry.name.startswith("_"):
                self._report(place, "Only _suites begins with an underscore here.", "Rename the folder.")
            else:
                yield entry

    def _suites(self) -> dict[str, Parsed]:
        home = self.root / HOME / SUITES
        suites: dict[str, Parsed] = {}
        if home.is_symlink():
            self._report(f"{HOME}/{SUITES}", "The folder of suites is a link.", "Put the folder itself here.")
        if not home.is_dir() or home.is_symlink():
            return suites
        for name in folders.loose_files(home):
            self._report(f"{HOME}/{SUITES}/{name}", "This file belongs to no suite.", "Move it into a folder.")
        for folder in folders.subfolders(home):
            parsed = self._main_document(folder, "suite.yaml", "suite")
            self._undeclared(folder, {"suite.yaml"}, "Remove it; the rows to evaluate with stay in tables.")
            if parsed:
                suites[folder.name] = parsed
        return suites

    def _source(self, folder: Path) -> Source | None:
        parsed = self._main_document(folder, "experiment.yaml", "experiment")
        if parsed is None:
            return None
        train = section(parsed.data, "train")
        recipe = self._recipe(folder, parsed, train.get("recipe"))
        listed = train.get("files")
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        self.files[folder.name] = dict(self._declared(folder, parsed, names))
        files = {*names, *self.files[folder.name]}
        if train:
            misspelled = shape.meant(train, "recipe") if "recipe" not in train else None
            name = train.get(misspelled or "recipe")
            declared = {"experiment.yaml", str(name), _recipe_like(folder, name), *files}
            self._undeclared(folder, declared, _UNDECLARED, trains=name is not None)
        return Source(folder.name, parsed, recipe, tuple(sorted(files)))

    def _main_document(self, folder: Path, name: str, kind: str) -> Parsed | None:
        place = folder.relative_to(self.root).as_posix()
        if not validation.NAME.fullmatch(folder.name):
            message = f"{quoted(folder.name)} can't be the name of an experiment or a suite."
            self._report(place, message, validation.NAME_HINT)
            return None
        if folder.is_symlink():
            self._report(place, f"This {kind} is a link.", "Put the folder itself here.")
            return None
        if not (folder / name).is_symlink() and not (folder / name).exists():
            other = name.replace(".yaml", ".yml")
            hint = f"Rename {other} to {name}." if (folder / other).exists() else "Add it, or remove the folder."
            self._report(place, f"There is no {name} in this folder.", hint)
            return None
        if fault := folders.entry_fault(folder, name):
            self._report(f"{place}/{name}", *fault)
            return None
        return self._parsed(folder / name)

    def _parsed(self, path: Path, recipe: bool = False) -> Parsed:
        place = path.relative_to(self.root).as_posix()
        try:
            with path.open("rb") as file:
                text = file.read(documents.MAX_BYTES + 1)
        except OSError as error:
            unreadable = Problem(place, 0, 0, "", f"This file can't be read: {error.strerror}.", "See its permissions.")
            return Parsed(place, None, problems=(unreadable,))
        return documents.parse(text, place, recipe=recipe)

    def _recipe(self, folder: Path, parsed: Parsed, name: object) -> Parsed | None:
        if not isinstance(name, str):
            return None
        if fault := folders.fault(folder, name) or _reserved(name):
            if like := _recipe_like(folder, name):
                fault = (fault[0], f"Did you mean {like}?")
            self.problems.append(parsed.problem(("train", "recipe"), *fault))
            return None
        return self._parsed(folder / name, recipe=True)

    def _declared(self, folder: Path, parsed: Parsed, names: list[str]) -> Iterator[tuple[str, str]]:
        """The SHA-256 of each declared file, and of each file in a declared folder."""
        for index, name in enumerate(names):
            faults = folders.written_fault(name) or _reserved(name)
            inside = [] if faults else folders.files_of(folder, name)
            faults = faults or next(filter(None, (folders.entry_fault(folder, path) for path in inside)), None)
            if not faults and not inside:
                faults = f"There is no file in {name}.", "Add one, or remove the folder from the list."
            if faults:
                self.problems.append(parsed.problem(("train", "files", index), *faults))
            else:
                yield from ((path, _sha256(folder / path)) for path in inside)

    def _undeclared(self, folder: Path, declared: set[str], hint: str, trains: bool = True) -> None:
        place = folder.relative_to(self.root).as_posix()
        for name in folders.entries(folder):
            if name in declared or name == "README.md" or name.startswith(f"{REPORT}/"):
                continue
            if (folder / name).is_symlink() and (fault := folders.entry_fault(folder, name)):
                self._report(f"{place}/{name}", *fault)
            elif name == "train.py":
                message = "ArcticTraining would load this file by itself; it is not declared."
                advice = "Add it to train.files in experiment.yaml and  code: train.py  to the recipe, or remove it."
                self._report(f"{place}/{name}", message, advice)
            else:
                yaml = name.endswith((".yaml", ".yml")) and "/" not in name and not trains
                advice = f"Write  recipe: {printable(name)}  under train, or remove it." if yaml else hint
                self._report(f"{place}/{name}", "This file is not declared, so no run would see it.", advice)

    def _valid(self, source: Source) -> bool:
        suite = section(source.experiment.data, "evaluate").get("suite")
        homes = (f"{HOME}/{source.name}/", f"{HOME}/{SUITES}/{suite}/")
        return not any(problem.severity == "error" and problem.file.startswith(homes) for problem in self.problems)

    def _experiment(self, source: Source, known: Known) -> Experiment:
        document = source.experiment.data
        name = document["evaluate"]["suite"]
        suite = Suite(name, known.suites[name].data)
        recipe = source.recipe.data if source.recipe else None
        return Experiment(source.name, document, recipe, suite, self.files[source.name])

    def _reports(self, folder: Path) -> Iterator[tuple[str, bytes]]:
        if (folder / REPORT).is_symlink():
            return
        for name in folders.entries(folder / REPORT):
            path = folder / REPORT / name
            if path.name != "report.json" or path.is_symlink() or not path.is_file():
                continue
            place = path.relative_to(self.root).as_posix()
            if path.stat().st_size > MAX_REPORT:
                self._report(place, "This report is larger than 8 MiB.", "Let `piste collect` write it again.")
            else:
                yield place, path.read_bytes()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recipe_like(folder: Path, name: object) -> str:
    """The file that was probably meant where the folder has no file `name`; "" if it has, or without one."""
    if not isinstance(name, str) or folders.written_fault(name) or not folders.entry_fault(folder, name):
        return ""
    there = [path for path in folders.entries(folder) if path.endswith((".yaml", ".yml")) and "/" not in path]
    if name in there:
        return ""
    others = [path for path in there if path != "experiment.yaml"]
    close = suggestion(name, others)
    return next((other for other in others if close == suggestion(other, [other]) or len(others) == 1), "")


def _reserved(name: str) -> folders.Fault | None:
    if name in ("experiment.yaml", "README.md", REPORT) or name.startswith(f"{REPORT}/"):
        return f"{name} is not an experiment's to declare.", "Name another file of this folder."
    return None
