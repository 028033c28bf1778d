"""The account's clock: this machine's, moved forward as often as somebody asked. One per process, as fakesnow's state.

What ran before an advance keeps the times it had, so the steps are remembered, in DIR/clock.json.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from pathlib import Path

from snowglobe.store import write_json

FUNCTION = "SNOWGLOBE_NOW"  # in SQL
_FILE = "clock.json"
_lock = threading.Lock()
_steps: list[tuple[float, float]] = []  # (seconds of this machine's clock, how far ahead we are from then on)
_path: Path | None = None


def keep_in(directory: Path) -> None:
    """Goes on as the clock of that folder did, and remembers further steps there."""
    global _path
    _path = directory / _FILE
    _steps[:] = [(step[0], step[1]) for step in json.loads(_path.read_text())["steps"]] if _path.exists() else []


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=_steps[-1][1] if _steps else 0.0)


def advance(seconds: float) -> dt.datetime:
    """Moves the clock forward; never back, since what is stored would then lie in the future."""
    if not seconds >= 0:
        raise ValueError(f"the clock goes forward only, not by {seconds} s")
    with _lock:
        _steps.append((time.time(), (_steps[-1][1] if _steps else 0.0) + seconds))
        if _path is not None:
            write_json(_path, {"steps": _steps})
    return now()


def seen(machine_seconds: float) -> dt.datetime:
    """What this clock showed when the machine's showed that: for the times of files."""
    ahead = next((offset for begun, offset in reversed(_steps) if begun <= machine_seconds), 0.0)
    return dt.datetime.fromtimestamp(machine_seconds + ahead, dt.UTC)
