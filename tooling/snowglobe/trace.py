"""Every statement that reached the server, one JSON line each, in DIR/trace.jsonl."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from snowglobe.clock import now


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
