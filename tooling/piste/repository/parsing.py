"""One folder of experiments/ as its files say it, with everything that is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from piste import documents, shape, validation
from piste.documents import Parsed
from piste.errors import Problem
from piste.problems import printable, quoted, suggestion
from piste.repository import folders
from piste.repository.scanning import REPORT
from piste.sources import Source, section

HOME: Final = "experiments"

_UNDECLARED: Final = (
    "Add it to train.files in experiment.yaml, remove it, or keep it outside of experiments/.\n"
    "A declared file is part of the identity: changing it trains again."
)


class Reader:
    """Reads folders; what it finds to be wrong with them it adds to `problems`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self._above = "" if root == Path() else f"{root.as_posix().rstrip('/')}/"

    def place(self, path: Path) -> str:
        """Its path from the root, as problems tell it."""
        return path.as_posix().removeprefix(self._above)

    def report(self, file: str, message: str, hint: str) -> None:
        self.problems.append(Problem(printable(file), 0, 0, "", message, hint))

    def source(self, folder: Path) -> tuple[Source, dict[str, str]] | None:
        """The experiment, and the SHA-256 of each file that it declares; None where there is nothing to speak of."""
        parsed = self.main_document(folder, "experiment.yaml", "experiment")
        if parsed is None:
            return None
        train = section(parsed.data, "train")
        recipe = self._recipe(folder, parsed, train.get("recipe"))
        listed = train.get("files")
        names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        hashed = dict(self._declared(folder, parsed, names))
        files = {*names, *hashed}
        if train:
            misspelled = shape.meant(train, "recipe") if "recipe" not in train else None
            name = train.get(misspelled or "recipe")
            declared = {"experiment.yaml", str(name), "" if recipe else _recipe_like(folder, name), *files}
            self.undeclared(folder, declared, _UNDECLARED, trains=name is not None)
        return Source(folder.name, parsed, recipe, tuple(sorted(files))), hashed

    def main_document(self, folder: Path, name: str, kind: str) -> Parsed | None:
        place = self.place(folder)
        if not validation.NAME.fullmatch(folder.name):
            message = f"{quoted(folder.name)} can't be the name of an experiment or a suite."
            self.report(place, message, validation.NAME_HINT)
            return None
        if folder.is_symlink():
            self.report(place, f"This {kind} is a link.", "Put the folder itself here.")
            return None
        path = folder / name
        if folders.is_plain(path):
            return self._parsed(path)
        if not path.is_symlink() and not path.exists():
            other = name.replace(".yaml", ".yml")
            hint = f"Rename {other} to {name}." if (folder / other).exists() else "Add it, or remove the folder."
            self.report(place, f"There is no {name} in this folder.", hint)
            return None
        if fault := folders.entry_fault(folder, name):
            self.report(f"{place}/{name}", *fault)
            return None
        return self._parsed(path)

    def _parsed(self, path: Path, recipe: bool = False) -> Parsed:
        place = self.place(path)
        try:
            with path.open("rb") as file:  # room for what there is: room for a mebibyte is slow to get
                text = file.read(min(os.fstat(file.fileno()).st_size, documents.MAX_BYTES) + 1)
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

    def undeclared(self, folder: Path, declared: set[str], hint: str, trains: bool = True) -> None:
        if folders.holds_only(folder, declared | {"README.md"}):
            return
        place = self.place(folder)
        for name in folders.entries(folder):
            if name in declared or name == "README.md" or name.startswith(f"{REPORT}/"):
                continue
            if (folder / name).is_symlink() and (fault := folders.entry_fault(folder, name)):
                self.report(f"{place}/{name}", *fault)
            elif name == "train.py":
                message = "ArcticTraining would load this file by itself; it is not declared."
                advice = "Add it to train.files in experiment.yaml and  code: train.py  to the recipe, or remove it."
                self.report(f"{place}/{name}", message, advice)
            else:
                yaml = name.endswith((".yaml", ".yml")) and "/" not in name and not trains
                advice = f"Write  recipe: {printable(name)}  under train, or remove it." if yaml else hint
                self.report(f"{place}/{name}", "This file is not declared, so no run would see it.", advice)


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
