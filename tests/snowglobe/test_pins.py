"""What a job's `pip` takes for installed without asking pip."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from snowglobe import pins

SIX = f"six=={metadata.version('six')}"
TORCH = f"torch=={metadata.version('torch').partition('+')[0]}"


@pytest.mark.parametrize("text", ["", SIX, f"# a lock\n\n{SIX}\n", f"{TORCH}\n{SIX}", SIX.upper()])
def test_met(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.txt").write_text(text)
    assert pins.met(tmp_path / "lock.txt")


@pytest.mark.parametrize(
    "text", ["six==0.0.1", "six", "six>=1", "no-such-package==1", "-r other.txt", f"{SIX}\nsix==0"]
)
def test_left_to_pip(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.txt").write_text(text)
    assert not pins.met(tmp_path / "lock.txt")


def test_the_whole_lock_of_the_runtime_is_met() -> None:
    assert pins.met(Path(__file__).parents[2] / "tooling/runtimes/cpu-2026.11.txt")


def test_all_else_is_said_by_pip(tmp_path: Path) -> None:
    command = [sys.executable, "-I", pins.__file__, "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("pip ")
