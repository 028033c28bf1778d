"""What the jobs of tests import is imported once for all of a test run: see serving.py and start/sitecustomize.py.

The programs themselves are the real ones, each in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

START = Path(__file__).parent / "start"
NAME = "TEST_FORKS"


def begin() -> subprocess.Popen[bytes] | None:
    """Servers for this process and those it starts, until `end`. A GPU can't be shared by forked processes."""
    if sys.platform != "linux" or shutil.which("nvidia-smi"):
        return None
    folder = tempfile.mkdtemp(prefix="forks-")
    os.environ[NAME] = str(Path(folder, "keeper"))
    command = [sys.executable, str(Path(__file__).with_name("serving.py")), "keep", folder]
    keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert keeper.stdout is not None
    keeper.stdout.readline()
    return keeper


def end(keeper: subprocess.Popen[bytes] | None) -> None:
    if keeper is not None:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait(60)
        del os.environ[NAME]


def surroundings() -> dict[str, str]:
    """What lets a process and those it starts use the servers."""
    return {NAME: os.environ[NAME], "PYTHONPATH": str(START)} if NAME in os.environ else {}


def wrap(globe: Path) -> None:
    """Let the jobs of an embedded account, whose folder this is, use the servers."""
    if NAME not in os.environ:
        return
    line = f"export {NAME}='{os.environ[NAME]}' PYTHONPATH='{START}'${{PYTHONPATH:+:$PYTHONPATH}}\n"
    for file in _pythons(globe):
        before, exec_, after = file.read_text().rpartition("exec ")
        file.write_text(before + line + exec_ + after)


@contextlib.contextmanager
def plainly(globe: Path) -> Iterator[None]:
    """Jobs that start within fork nothing."""
    texts = {file: file.read_text() for file in _pythons(globe)}
    for file, text in texts.items():
        file.write_text("".join(line for line in text.splitlines(True) if not line.startswith(f"export {NAME}=")))
    try:
        yield
    finally:
        for file, text in texts.items():
            file.write_text(text)


def _pythons(globe: Path) -> list[Path]:
    return [globe / "bin" / name for name in ("python", "python3")]
