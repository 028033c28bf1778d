"""Durations as settings write them and as people read them."""

from __future__ import annotations

import re


def seconds(written: str) -> float:
    """Of `2h`, `30m` or `1h30m`, as compute.timeout writes it."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?", written)
    if not found or not written:
        raise ValueError(written)
    hours, minutes = (int(part or 0) for part in found.groups())
    return 3600.0 * hours + 60.0 * minutes


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
