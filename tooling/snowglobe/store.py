"""JSON documents in a folder, under readable names: DIR/DB/SCHEMA/NAME.json."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from snowglobe.identifiers import Name, folder, unfolder

Document = dict[str, Any]


class Store:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lock = threading.RLock()
        directory.mkdir(parents=True, exist_ok=True)
        self._documents = {self._name(path): json.loads(path.read_text()) for path in sorted(directory.rglob("*.json"))}

    def get(self, name: Name) -> Document | None:
        return self._documents.get(name)

    def all(self) -> list[tuple[Name, Document]]:
        with self._lock:
            return sorted(self._documents.items())

    def create(self, name: Name, document: Document) -> bool:
        """True for exactly one of many creators."""
        with self._lock:
            if name in self._documents:
                return False
            self.put(name, document)
            return True

    def put(self, name: Name, document: Document) -> None:
        with self._lock:
            write_json(self._path(name), document)
            self._documents[name] = document

    def change(self, name: Name, edit: Callable[[Document], None]) -> None:
        with self._lock:
            document = json.loads(json.dumps(self._documents[name]))
            edit(document)
            self.put(name, document)

    def delete(self, name: Name) -> bool:
        with self._lock:
            self._path(name).unlink(missing_ok=True)
            return self._documents.pop(name, None) is not None

    def _path(self, name: Name) -> Path:
        *parents, last = (folder(part) for part in name)
        return self.directory.joinpath(*parents, last + ".json")

    def _name(self, path: Path) -> Name:
        return tuple(unfolder(part) for part in path.relative_to(self.directory).with_name(path.name[:-5]).parts)


def write_json(path: Path, document: Document) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    temporary.replace(path)
