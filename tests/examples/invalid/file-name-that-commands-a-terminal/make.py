"""Makes what git can't keep."""

from __future__ import annotations

from pathlib import Path


def make(root: Path) -> None:
    (root / "experiments/notes-lora/a\n::error::\x1b[31m").touch()
