"""Makes what git can't keep."""

from __future__ import annotations

from pathlib import Path


def make(root: Path) -> None:
    recipe = root / "experiments/notes-lora/recipe.yaml"
    recipe.write_bytes(recipe.read_bytes() + b"# padding\n" * (1 << 20))
