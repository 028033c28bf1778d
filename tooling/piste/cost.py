"""What a run costs, at list price."""

from __future__ import annotations


def credits(seconds: float, nodes: int, rate: float) -> float:
    """Credits for `nodes` nodes held for `seconds`; `rate` is credits per node-hour of the pool's instance family."""
    return seconds / 3600 * nodes * rate
