"""What a run costs, at list price."""

from __future__ import annotations

from piste import durations
from piste.change_rules import compute
from piste.experiment import Variant


def credits(seconds: float, nodes: int, rate: float) -> float:
    """Credits for `nodes` nodes held for `seconds`; `rate` is credits per node-hour of the pool's instance family."""
    return seconds / 3600 * nodes * rate


def at_most(variant: Variant, rate: float | None) -> float | None:
    """Credits of a run that takes its timeout; None where the rate of its pool's family is not known."""
    experiment = variant.spec["experiment"]
    nodes = experiment["train"].get("nodes", 1)
    return None if rate is None else credits(durations.seconds(compute(experiment, "timeout")), nodes, rate)
