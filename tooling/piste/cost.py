"""What a run costs, at list price."""

from __future__ import annotations

import re


def credits(seconds: float, nodes: int, rate: float) -> float:
    """Credits for `nodes` nodes held for `seconds`; `rate` is credits per node-hour of the pool's instance family."""
    return seconds / 3600 * nodes * rate


def seconds(duration: str) -> float:
    """Of `2h`, `30m` or `1h30m`, as compute.timeout writes it."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?", duration)
    if not found or not duration:
        raise ValueError(duration)
    hours, minutes = (int(part or 0) for part in found.groups())
    return 3600.0 * hours + 60.0 * minutes
