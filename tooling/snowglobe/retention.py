"""Which jobs the account still speaks of: ended ones are forgotten after a while, and a list may come back empty."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

from snowglobe import clock
from snowglobe.store import write_json

if TYPE_CHECKING:
    from snowglobe.job import Job

DEFAULT_SECONDS = 14 * 24 * 3600.0


class Retention:
    def __init__(self, path: Path) -> None:
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {}
        self._seconds: float = kept.get("seconds", DEFAULT_SECONDS)
        self._hidden: bool = kept.get("hidden", False)

    @property
    def hidden(self) -> bool:
        """Whether listings are empty although jobs live, as for another role; a job asked for by name is there."""
        return self._hidden

    def hide(self, hidden: bool) -> None:
        self._hidden = hidden
        self._save()

    def keep(self, seconds: float) -> None:
        """How long an ended job is known."""
        self._seconds = seconds
        self._save()

    def knows(self, job: Job) -> bool:
        if job.forgotten:
            return False
        limit = dt.timedelta(seconds=self._seconds)
        return job.completed is None or clock.now() - job.completed <= limit

    def _save(self) -> None:
        write_json(self._path, {"seconds": self._seconds, "hidden": self._hidden})
