"""Makes what git can't keep."""

from __future__ import annotations

from pathlib import Path


def make(root: Path) -> None:
    (root / "experiments/notes-lora/project").mkdir()
    (root / "experiments/notes-lora/project/model.py").symlink_to("/etc/passwd")
