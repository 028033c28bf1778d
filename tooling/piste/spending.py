"""What a run may cost at most, and what somebody has spent this month."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from piste import cost, durations
from piste.change_rules import compute
from piste.experiment import Document
from piste.run import Run

EPSILON = 1e-9
"""Credits by which sums that are equal may differ."""


def bound(experiment: Document, rate: float | None, nodes: int | None = None) -> float | None:
    """Credits of a run of this experiment.yaml that takes its timeout, on as many `nodes` as it says where nobody knows
    better; None without a rate."""
    if rate is None:
        return None
    nodes = experiment["train"].get("nodes", 1) if nodes is None else nodes
    return cost.billed(durations.seconds(compute(experiment, "timeout")), nodes, rate)


def spent(runs: Iterable[Run], at: str) -> Mapping[str, float]:
    """Credits of this calendar month (UTC) by who pays: of runs that ended in it, and the bounds of live ones."""
    found: dict[str, float] = {}
    for run in runs:
        if spender := str(run.provenance.get("spender") or ""):
            found[spender] = found.get(spender, 0.0) + _of_month(run, at[:7])
    return found


def _of_month(run: Run, month: str) -> float:
    rate = run.provenance.get("rate")
    if rate is None:
        return 0.0
    if run.live:
        return bound(run.spec["experiment"], rate) or 0.0 if run.spec else 0.0
    if run.seconds is None or not run.ended_at.startswith(month):
        return 0.0
    return cost.credits(run.seconds, run.nodes, rate)
