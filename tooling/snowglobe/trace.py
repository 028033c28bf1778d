"""Every statement that reached the server, one JSON line each, in DIR/trace.jsonl."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

from snowglobe.clock import now

_SECRET = re.compile(r"\b((?:SECRET_STRING|PASSWORD)\s*=).*", re.IGNORECASE | re.DOTALL)


def holds_secret(sql: str) -> bool:
    return _SECRET.search(sql) is not None


def masked(sql: str) -> str:
    """A statement as it may be written down or said: nothing that follows a secret's `=` is left of it."""
    return _SECRET.sub(r"\1 '****'", sql)


class Trace:
    def __init__(self, directory: Path) -> None:
        self._file = (directory / "trace.jsonl").open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def write(self, **entry: Any) -> None:
        line = json.dumps({"at": now().isoformat(), **entry}, ensure_ascii=False, default=str)
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def read(directory: Path) -> list[dict[str, Any]]:
    path = directory / "trace.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
