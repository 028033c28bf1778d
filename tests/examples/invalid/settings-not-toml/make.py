"""Makes what git can't keep."""

from __future__ import annotations

from pathlib import Path


def make(root: Path) -> None:
    (root / "pyproject.toml").write_text("[tool.piste]\nenvironment = dev\n")
