"""Values as every store gives them back: a VARIANT column keeps no order of keys and makes 1.0 a 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LARGEST = 2**53
"""Whole numbers up to here are the same as float and as int."""


def plain(value: Any, in_order: bool = True) -> Any:
    """With dicts, lists and the shortest numbers; keys sorted unless `in_order` is False."""
    if isinstance(value, Mapping):
        keys = sorted(value) if in_order else list(value)
        return {key: plain(value[key], in_order) for key in keys}
    if isinstance(value, list | tuple):
        return [plain(item, in_order) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST:
        return int(value)
    return value
