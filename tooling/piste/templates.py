"""Texts with {COLUMN} in them, and the columns that a query gives back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from piste.documents import Parsed
from piste.errors import Problem
from piste.problems import Path, listed, quoted, sentences, suggestion

COLUMN = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""In a template, where a row's value goes."""
_SELECT = re.compile(r"\s*select\s+(?:distinct\s+)?([^()'*]+?)\s+from\s", re.IGNORECASE)
_ITEM = re.compile(
    r"""\s*(?:[A-Za-z_][\w$]*\.)*([A-Za-z_][\w$]*|"[^"]+")(?:\s+(?:as\s+)?([A-Za-z_][\w$]*|"[^"]+"))?\s*""",
    re.IGNORECASE,
)


def columns(template: str) -> list[str]:
    """The columns a template names; braces around anything else are plain text."""
    return list(dict.fromkeys(COLUMN.findall(template)))


def selected(sql: str) -> list[str] | None:
    """The columns of a plain `SELECT A, T.B, C AS D FROM …`; None when only Snowflake could tell."""
    select = _SELECT.match(sql)
    if not select or "--" in sql or "/*" in sql:
        return None
    items = [_ITEM.fullmatch(item) for item in select[1].split(",")]
    names = [_folded(item[2] or item[1]) for item in items if item]
    return names if len(names) == len(items) else None


def unknown_columns(
    parsed: Parsed, sql: Any, key: Any, key_path: Path, templates: Mapping[Path, str], query: str = "The query"
) -> Iterator[Problem]:
    """Columns that a template or the key names and a plain query does not select."""
    known = selected(sql) if isinstance(sql, str) else None
    if known is None:
        return
    wanted = [(path, column) for path, text in templates.items() for column in columns(text)]
    if isinstance(key, str) and key.upper() not in known:
        wanted.append((key_path, key))
    for path, column in wanted:
        if column not in known:
            hint = sentences(suggestion(column, known, quote=False), f"Its columns are {listed(known)}.")
            yield parsed.problem(path, f"{query} has no column {quoted(column)[1:-1]}.", hint)


def _folded(name: str) -> str:
    """Snowflake folds unquoted names to upper case."""
    return name[1:-1] if name.startswith('"') else name.upper()
