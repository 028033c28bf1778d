"""Generated files, and copies of experiments, onto disk."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from piste import documents, validation
from piste.errors import PisteError
from piste.problems import quoted, suggestion
from piste.repository import folders
from piste.repository.parsing import HOME
from piste.repository.scanning import REPORT


def write_files(root: Path, files: Mapping[str, bytes]) -> list[str]:
    """Write what differs, each file whole or not at all; the paths that changed. Only inside experiments/."""
    changed = [path for path in sorted(files) if _differs(_writable(root, path), files[path])]
    for path in changed:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.{os.getpid()}")
        draft.write_bytes(files[path])
        draft.replace(target)
    return changed


def write_page(root: Path, directory: Path, content: bytes) -> Path:
    """Write directory/index.html, whole or not at all; where it is. Not inside experiments/, which is for git."""
    target = directory / "index.html"
    if target.resolve().is_relative_to((root / HOME).resolve()):
        raise PisteError(f"{directory} is inside {HOME}/, where only experiments are.", "Name another folder.")
    directory.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(target)
    return target


def with_imported(root: Path, files: Mapping[str, bytes], imported: Collection[str]) -> dict[str, bytes]:
    """The files, but the reports of imported runs as they stand: what was rounded can't be rendered again."""
    found = dict(files)
    for path in files:
        folder, standing = PurePosixPath(path).parent, root / path
        if PurePosixPath(path).name != "report.json" or not standing.is_file():
            continue
        if (run := _run_of(files[path])) in imported and run == _run_of(standing.read_bytes()):
            found = {name: content for name, content in found.items() if PurePosixPath(name).parent != folder}
            found |= {
                f"{folder}/{file.name}": file.read_bytes() for file in standing.parent.iterdir() if file.is_file()
            }
    return found


def _run_of(report: bytes) -> str:
    try:
        return str(json.loads(report)["run"])
    except (ValueError, LookupError, TypeError):
        return ""


def remove_leftovers(root: Path, files: Mapping[str, bytes]) -> list[str]:
    """Remove plots that an earlier rendering left beside a report.json of `files`; the paths that were removed.

    A run that failed before its first step has no plot of the loss, where the one before it had.
    """
    reports = [PurePosixPath(path).parent for path in files if PurePosixPath(path).name == "report.json"]
    beside = [f"{folder}/{file.name}" for folder in reports for file in (root / folder).glob("*.svg")]
    leftovers = sorted(set(beside) - set(files))
    for path in leftovers:
        _writable(root, path).unlink()
    return leftovers


def copy_experiment(root: Path, source: str, name: str) -> list[str]:
    """Begin an experiment as a copy of another, its report left behind; the paths that were written."""
    if not validation.NAME.fullmatch(name):
        raise PisteError(f"{quoted(name)} can't be the name of an experiment.", validation.NAME_HINT)
    if (root / HOME / name).exists():
        raise PisteError(f"{HOME}/{name} exists already.", "Choose another name.")
    origin = root / HOME / source
    if not validation.NAME.fullmatch(source) or not (origin / "experiment.yaml").is_file():
        hint = suggestion(source, [path.name for path in folders.subfolders(root / HOME)])
        raise PisteError(f"There is no experiment {quoted(source)}.", hint)
    paths = [path for path in folders.entries(origin) if not path.startswith(f"{REPORT}/")]
    links = [path for path in paths if folders.fault(origin, path)]
    if links:
        raise PisteError(f"{HOME}/{source}/{links[0]} can't be copied.", "`piste validate` says why.")
    return write_files(root, {f"{HOME}/{name}/{path}": (origin / path).read_bytes() for path in paths})


def about_its_result(root: Path, name: str) -> list[str]:
    """The keys of an experiment that speak of what it came to: in a copy they speak of another's."""
    found = documents.parse((root / HOME / name / "experiment.yaml").read_bytes(), "").data
    return [key for key in ("conclusion", "waivers") if isinstance(found, Mapping) and found.get(key)]


def _writable(root: Path, path: str) -> Path:
    target = root / path
    inside = PurePosixPath(path).parts[:-1][:1] == (HOME,) and not folders.written_fault(path)
    if not inside or not target.resolve().is_relative_to((root / HOME).resolve()) or target.is_symlink():
        raise PisteError(f"{quoted(path)} is outside {HOME}/; nothing was written.")
    return target


def _differs(target: Path, content: bytes) -> bool:
    return not target.is_file() or target.read_bytes() != content
