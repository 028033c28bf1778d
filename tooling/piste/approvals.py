"""What merged pull requests approved: pairs of digests, each with what a run of it may cost. Nothing else is submitted
where `reviewed_plan` says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from piste import digest
from piste.asked import Asked
from piste.observed import Event
from piste.spending import EPSILON

APPROVED: Final = "APPROVED"
"""The ledger's rows about approvals stand under this name in place of a run's."""

Pair = tuple[str, str]
"""A training digest and a suite digest."""


@dataclass(frozen=True)
class Approval:
    """Of the pull request `number`, as `head` was when `actor` merged it.

    `ceilings` are credits of one attempt, None where no price was known then: by what it asked for that its branch had
    not asked for where it began.
    """

    number: int
    head: str
    actor: str
    ceilings: Mapping[Pair, float | None]


def new(after: Mapping[Pair, float | None], before: Mapping[Pair, float | None]) -> dict[Pair, float | None]:
    """What a branch asks for beyond where it began: other digests, or the same at a higher price."""
    return {pair: credits for pair, credits in after.items() if pair not in before or _above(credits, before[pair])}


def _above(credits: float | None, ceiling: float | None) -> bool:
    return credits is not None and ceiling is not None and credits > ceiling + EPSILON


def covering(asked: Asked, approvals: Iterable[Approval]) -> Approval | None:
    """One that approved exactly this, at this price or a higher one."""
    pair = asked.training, asked.suite
    of_pair = (one for one in approvals if pair in one.ceilings)
    return next((one for one in of_pair if not _above(asked.credits, one.ceilings[pair])), None)


def lacking(asked: Asked, approvals: Iterable[Approval]) -> str:
    """What of an action nobody reviewed; "" if somebody did."""
    approvals = tuple(approvals)
    if covering(asked, approvals):
        return ""
    pair = asked.training, asked.suite
    if of_pair := [one for one in approvals if pair in one.ceilings]:
        dearest = max(of_pair, key=lambda one: one.ceilings[pair] or 0.0)
        approved = f"#{dearest.number} approved {dearest.ceilings[pair]:.2f}"
        return f"it may cost {asked.credits:.2f} credits; {approved}"
    trained = next((one for one in approvals if any(training == asked.training for training, _ in one.ceilings)), None)
    if trained:
        return f"#{trained.number} approved this training with another suite; nobody reviewed suite {asked.suite[:12]}"
    return f"no merged pull request asked for training {asked.training[:12]} with suite {asked.suite[:12]}"


def body(approval: Approval) -> dict[str, Any]:
    """The ledger's row; the latest of each pull request counts."""
    known = [credits for credits in approval.ceilings.values() if credits is not None]
    return {
        "other": str(approval.number),
        "head": approval.head,
        "actor": approval.actor,
        "credits": sum(known) if known else None,
        "identity": _IDENTITY,
        "actions": [
            {"training": training, "suite": suite, "credits": credits}
            for (training, suite), credits in sorted(approval.ceilings.items())
        ],
    }


_IDENTITY: Final = {**digest.IDENTITY, "scores": dict(digest.SCORE_VERSIONS)}


def read(events: Iterable[Event]) -> tuple[Approval, ...]:
    """Of the ledger's rows, those whose digests are made as this piste makes them."""
    rows = [event.body for event in events if event.run == APPROVED]
    return tuple(_approval(row) for row in rows if row.get("identity") == _IDENTITY)


def _approval(row: Mapping[str, Any]) -> Approval:
    ceilings = {(one["training"], one["suite"]): one["credits"] for one in row["actions"]}
    return Approval(int(row["other"]), row["head"], row["actor"], ceilings)
