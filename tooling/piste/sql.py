"""SQL of rows that people's queries give back: how constants, columns and queries are written into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def constant(value: Any) -> str:
    """A constant as Snowflake writes it, objects and arrays included."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{literal(str(key))}: {constant(child)}" for key, child in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(constant(child) for child in value)}]"
    if isinstance(value, bool):
        return str(value).upper()
    return literal(value) if isinstance(value, str) else str(value)


def column(name: str) -> str:
    """Of the query S, as text. Snowflake folds what is not quoted to upper case, as the query's own columns."""
    return f'TO_VARCHAR(S."{name.upper()}")'


def query(sql: str) -> str:
    """As it can stand in parentheses."""
    return sql.strip().rstrip(";")
