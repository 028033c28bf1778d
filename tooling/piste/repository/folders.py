"""Safe reading of a folder that anybody may have written: no links out, no paths out, no surprises."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath

Fault = tuple[str, str]
"""What is wrong with a path, and what to do instead."""

_PLAIN_NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9_.-]*")

_OUT = "Name a file inside the experiment's folder, such as train.py."


def fault(folder: Path, relative: str) -> Fault | None:
    """Why `relative` can't be read as a file of `folder`; None if it can."""
    return written_fault(relative) or entry_fault(folder, relative)


def written_fault(relative: str) -> Fault | None:
    if _PLAIN_NAME.fullmatch(relative):
        return None
    path = PurePosixPath(relative)
    if path.is_absolute() or relative[1:2] == ":" or relative.startswith("~"):
        return "This is an absolute path.", _OUT
    if ".." in path.parts:
        return "This path leaves the experiment's folder.", _OUT
    if "\\" in relative or path.as_posix() != relative or relative != relative.strip() or not relative.isprintable():
        return "This is not a plain relative path.", "Write it with forward slashes and no ./, as in project/model.py."
    return None


def entry_fault(folder: Path, relative: str) -> Fault | None:
    path = folder / relative
    if "/" not in relative and is_plain(path):
        return None
    try:
        real = path.resolve(strict=True)
        home = folder.resolve(strict=True)
    except FileNotFoundError:
        if path.is_symlink():
            return "This link leads to nothing.", "Put the file itself here."
        return f"There is no file {relative} in this folder.", "Add it, or correct the name."
    except (OSError, RuntimeError, ValueError):  # a loop is RuntimeError up to Python 3.12, OSError from 3.13
        return "This link leads in a circle, or to what can't be read.", "Put the file itself here."
    if not real.is_relative_to(home):
        return "This link leaves the folder.", "Put the file itself here."
    if not real.is_file():
        return f"{relative} is not a file.", "Name each file by itself."
    return None


def is_plain(path: Path) -> bool:
    """A file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def entries(folder: Path) -> Iterator[str]:
    """Everything in a folder but directories, as relative paths, links not followed; nothing that is ignored."""
    top = len(f"{folder}{os.sep}")
    for place, directories, files in os.walk(folder):
        inside = "".join(f"{part}/" for part in Path(place[top:]).parts) if place[top:] else ""
        links = [name for name in directories if (Path(place) / name).is_symlink()]
        directories[:] = sorted(name for name in directories if name not in links and not _ignored(name))
        yield from (f"{inside}{name}" for name in sorted([*files, *links]) if not ignored_file(name))


def holds_only(folder: Path, names: Collection[str]) -> bool:
    """Whether it has no others than these, all of them files: then nobody needs to look closer."""
    with os.scandir(folder) as found:
        return all(entry.name in names and entry.is_file(follow_symlinks=False) for entry in found)


def files_of(folder: Path, relative: str) -> list[str]:
    """The file itself, or the files in a folder of that name."""
    path = folder / relative
    if path.is_symlink() or not path.is_dir():
        return [relative]
    return [f"{relative}/{name}" for name in entries(path)]


def loose_files(folder: Path) -> list[str]:
    """What lies beside the subfolders, README.md aside."""
    paths = (path for path in sorted(folder.iterdir()) if not path.is_dir() and not ignored_file(path.name))
    return [path.name for path in paths if path.name != "README.md"]


def subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _ignored(path.name))


def ignored_file(name: str) -> bool:
    """Also what editors leave behind: recipe.yaml~"""
    return _ignored(name) or name.endswith("~")


def _ignored(name: str) -> bool:
    return name.startswith(".") or name == "__pycache__"
