"""A job's `pip`: where all that is to be installed is there, it says so; anything else is the real pip's to judge.

pip takes seconds to resolve a lock of a hundred pins, most of a short job's start-up. Run as a script, isolated.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

_PIN = re.compile(r"([\w.-]+)==([\w.+!-]+)")


def main(arguments: Sequence[str]) -> None:
    if list(arguments[:-1]) == ["install", "-r"] and Path(arguments[-1]).is_file() and met(Path(arguments[-1])):
        sys.stdout.write(f"snowglobe: all pins of {arguments[-1]} are installed\n")
        return
    os.execv(sys.executable, [sys.executable, "-m", "pip", *arguments])


def met(requirements: Path) -> bool:
    """Whether it holds nothing but pins, each of them installed in exactly that version."""
    lines = [line.strip() for line in requirements.read_text().splitlines()]
    return all(_met(line) for line in lines if line and not line.startswith("#"))


def _met(line: str) -> bool:
    """A pin leaves open how the version was built: `2.13.0` takes `2.13.0+cpu`."""
    pin = _PIN.fullmatch(line)
    try:
        installed = metadata.version(pin[1]) if pin else ""
    except metadata.PackageNotFoundError:
        return False
    return pin is not None and pin[2] in (installed, installed.partition("+")[0])


if __name__ == "__main__":
    main(sys.argv[1:])
