"""Columns of a row put into text: `{COLUMN}` is replaced, every other brace stays as it is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

_COLUMN = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class DataError(ValueError):
    """The rows can't be used; the text names columns and counts, never values."""


def columns(template: str) -> list[str]:
    return list(dict.fromkeys(_COLUMN.findall(template)))


def spelled(name: str, available: Iterable[str]) -> str:
    """A column as the rows spell it: the very name, else the only one that differs in nothing but case."""
    there = list(available)
    alike = [column for column in there if column.casefold() == name.casefold()]
    return alike[0] if name not in there and len(alike) == 1 else name


def require(templates: Iterable[str], available: Iterable[str]) -> None:
    there = list(available)
    named = {name for template in templates for name in columns(template)}
    missing = sorted(name for name in named if spelled(name, there) not in there)
    if missing:
        raise DataError(f"There is no column {', '.join(missing)}; the rows have {', '.join(there)}.")


def fill(template: str, row: Mapping[str, Any]) -> str:
    return _COLUMN.sub(lambda match: text(row[spelled(match[1], row)], match[1]), template)


def chat(prompt: Mapping[str, str], row: Mapping[str, Any]) -> list[dict[str, str]]:
    """Messages in the order system, user, assistant; what the prompt does not name is left out.

    Blanks around a message are dropped: chat templates trim them, and ArcticTraining then no longer finds the
    assistant's text to learn from.
    """
    roles = (role for role in ("system", "user", "assistant") if prompt.get(role))
    return [{"role": role, "content": fill(prompt[role], row).strip()} for role in roles]


def text(value: Any, column: str) -> str:
    """The same text for a number however it arrived: pandas turns integers with gaps into floats."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise DataError(f"Column {column} has a row that is NULL.")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def order(keys: Iterable[Any]) -> list[int]:
    """The positions of the rows sorted by their keys, numbers by value; keys must be there and differ."""
    found = list(keys)
    empty = sum(key is None or (isinstance(key, float) and math.isnan(key)) for key in found)
    if empty:
        raise DataError(f"{empty} of {len(found)} rows have no key.")
    twice = len(found) - len(set(found))
    if twice:
        raise DataError(f"The key is not unique: {twice} of {len(found)} rows repeat one.")
    numbers = all(isinstance(key, (int, float, Decimal)) for key in found)
    return sorted(range(len(found)), key=lambda i: found[i] if numbers else str(found[i]))
