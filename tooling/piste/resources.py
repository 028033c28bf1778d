"""Files that travel with the package: schemas, list prices, the page of all runs, and the payload of jobs."""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import piste

_PACKAGE = Path(piste.__file__).parent
_SCHEMAS = (_PACKAGE / "schemas", _PACKAGE.parent.parent / "schemas")
"""In an installed package; in a checkout that is installed for editing."""


@cache
def schema(name: str) -> dict[str, Any]:
    """One of experiment, suite, report, plan, settings, model. Shared: don't change it."""
    folder = next(folder for folder in _SCHEMAS if folder.is_dir())
    document: dict[str, Any] = json.loads((folder / f"{name}.schema.json").read_bytes())
    return document


@cache
def prices() -> dict[str, Any]:
    """List prices with their date and source. Shared: don't change it."""
    return tomllib.loads((_PACKAGE / "prices.toml").read_text("utf-8"))


@cache
def fingerprint() -> bytes:
    """SHA-256 over piste's own code and schemas, and what reads YAML: with others the same files may say otherwise."""
    found = hashlib.sha256(sys.version.encode())
    if (reader := find_spec("yaml")) and reader.origin:  # its version stands there; to import it takes longer
        found.update(Path(reader.origin).read_bytes())
    schemas = (path for folder in _SCHEMAS if folder.is_dir() for path in folder.glob("*.json"))
    code = (path for folder in (_PACKAGE, _PACKAGE / "repository") for path in folder.glob("*.py"))
    for path in sorted((*code, *schemas)):
        found.update(f"{path.name} {path.stat().st_size} ".encode() + path.read_bytes())
    return found.digest()


def page_file(name: str) -> str:
    """One of page.html, page.css, page.js: what the page of all runs is made from."""
    return (_PACKAGE / "report" / "runs_page" / name).read_text("utf-8")


def payload_files() -> dict[str, bytes]:
    """The sibling package `payload`, by path inside it. Read, never imported."""
    folder = _PACKAGE.parent / "payload"
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if _ours(path)}


def _ours(path: Path) -> bool:
    return path.suffix != ".pyc" and "__pycache__" not in path.parts
