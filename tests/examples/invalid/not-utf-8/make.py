"""Makes what git can't keep."""

from __future__ import annotations

from pathlib import Path


def make(root: Path) -> None:
    latin = "schema: experiment/v1\ntitle: Diagnosen für Ärzte\n".encode("latin-1")
    (root / "experiments/notes-lora/experiment.yaml").write_bytes(latin)
