"""A stage folder as a job sees it: a private copy whose whole files travel back to the stage.

A real stage volume takes whole files only: no appends, no random writes, no renames. Here the job works on a copy; a
file reaches the stage when it is complete (unchanged for a moment, or the job has ended). Python processes in the job
are refused appends and renames at once by image/sitecustomize.py.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

Signature = tuple[int, int]
QUIET_SECONDS = 1.0


class Mount:
    def __init__(self, local: Path, stage: Path) -> None:
        self.local, self.stage = local, stage
        self._known: dict[Path, Signature] = {}

    def fill(self) -> None:
        if self.stage.is_dir():
            shutil.copytree(self.stage, self.local, dirs_exist_ok=True)
        self.local.mkdir(parents=True, exist_ok=True)

    def mark(self) -> None:
        """What is here now is no news for the stage."""
        self._known = self._files()

    def sync(self, *, ended: bool = False) -> None:
        files, newest = self._files(), time.time_ns() - int(QUIET_SECONDS * 1e9)
        for path, signature in files.items():
            if self._known.get(path) != signature and (ended or signature[0] < newest):
                _copy(self.local / path, self.stage / path)
                self._known[path] = signature
        for path in self._known.keys() - files.keys():
            del self._known[path]
            (self.stage / path).unlink(missing_ok=True)

    def _files(self) -> dict[Path, Signature]:
        found = {}
        for path in self.local.rglob("*"):
            try:
                if path.is_file() and "__pycache__" not in path.parts:
                    found[path.relative_to(self.local)] = (path.stat().st_mtime_ns, path.stat().st_size)
            except OSError:  # removed while we looked
                continue
        return found


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(f".{target.name}.arriving")
    try:
        shutil.copyfile(source, arriving)
        arriving.replace(target)
    except FileNotFoundError:
        arriving.unlink(missing_ok=True)
