"""Processes of this machine: other tests run here as well, so an account's own are told by what snowglobe marks."""

from __future__ import annotations

import contextlib
from pathlib import Path


def find(*words: str, environment: str = "") -> dict[int, str]:
    """By pid, the command lines that hold all these words, of processes whose environment holds that variable."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if (
                all(word in line for word in words)
                and environment.encode() in (folder / "environ").read_bytes() + b"\0"
            ):
                found[int(folder.name)] = line
    return found


def of_account(directory: Path, *words: str) -> dict[int, str]:
    """Those of an embedded account's jobs; `directory` is the account's, or one above it."""
    return find(*words, environment=f"SNOWGLOBE_JOB={directory}/")
