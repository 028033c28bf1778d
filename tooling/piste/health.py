"""What is going on: does Snowflake have what git asks for (sync), and is it well (health)?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from piste.gates import Checked
from piste.plan import Action, Plan, Verb
from piste.run import Run, Status

QUIET = timedelta(minutes=10)
"""A run that works says so every few seconds, and while it brings a large checkpoint to its stage every few minutes."""


class Sync(StrEnum):
    SYNCED = "synced"
    OUT_OF_SYNC = "out of sync"
    BRANCH = "branch"
    NOT_IN_GIT = "not in git"


class Health(StrEnum):
    HEALTHY = "healthy"
    PROGRESSING = "progressing"
    DEGRADED = "degraded"
    NONE = ""


@dataclass(frozen=True)
class Standing:
    """Of a variant that git asks for, or of a run that it does not ask for: then `action` is None.

    `since` is when it became so, ISO 8601. `quiet` is for how many seconds a live run has not been heard of, where that
    is too long. `gates` are the experiment's, as of `now`, with one of its variants.
    """

    title: str
    sync: Sync
    health: Health
    since: str
    run: Run | None
    action: Action | None = None
    quiet: float = 0.0
    gates: tuple[Checked, ...] = ()


def standings(plan: Plan, now: str) -> tuple[Standing, ...]:
    """By title; of runs that git does not ask for, the latest of each identity."""
    asked = {action.variant.digests.training for action in plan.actions}
    others = [run for run in _latest(plan.runs) if run.digests.training not in asked]
    found = [_of_action(action, plan.runs, now) for action in plan.actions]
    found += [_of_run(run, now) for run in others]
    return tuple(sorted(found, key=lambda one: (one.action is None, one.title)))


def _of_action(action: Action, runs: Sequence[Run], now: str) -> Standing:
    run = _run(action, runs)
    sync = Sync.SYNCED if action.verb is Verb.KEEP else Sync.OUT_OF_SYNC
    quiet = _quiet(run, now)
    return Standing(action.variant.label, sync, _health(action, run, quiet), _since(run), run, action, quiet)


def _run(action: Action, runs: Sequence[Run]) -> Run | None:
    """The one that tells most of a variant: that of its plan, else the latest with its training."""
    mine = [run for run in runs if run.digests.training == action.variant.digests.training]
    same = [run for run in mine if run.digests.evaluation == action.variant.digests.evaluation]
    if action.verb in (Verb.KEEP, Verb.WAIT, Verb.BLOCKED) and action.run is not None:
        return action.run
    return next(reversed(same or mine), None)


def _health(action: Action, run: Run | None, quiet: float) -> Health:
    if action.verb is Verb.KEEP:
        return Health.HEALTHY
    if run is not None and run.live:
        return Health.DEGRADED if quiet else Health.PROGRESSING
    if action.verb is Verb.WAIT and (run is None or not went_wrong(run)):
        return Health.PROGRESSING
    return Health.DEGRADED if run is not None and went_wrong(run) else Health.NONE


def _of_run(run: Run, now: str) -> Standing:
    quiet = _quiet(run, now)
    if run.live:
        health = Health.DEGRADED if quiet else Health.PROGRESSING
    else:
        health = Health.DEGRADED if went_wrong(run) else Health.HEALTHY
    sync = Sync.BRANCH if run.provenance.get("tried") else Sync.NOT_IN_GIT
    return Standing(run.label, sync, health, _since(run), run, None, quiet)


def went_wrong(run: Run) -> bool:
    ended = {Status.FAILED, Status.CANCELLED, Status.LOST}
    return bool(ended & {run.training, run.evaluation})


def _since(run: Run | None) -> str:
    return "" if run is None else run.ended_at or run.started_at or run.claimed_at


def _quiet(run: Run | None, now: str) -> float:
    if run is None or not run.live or not run.started_at or not now or not run.heard_at:
        return 0.0
    silent = datetime.fromisoformat(now) - datetime.fromisoformat(run.heard_at)
    return silent.total_seconds() if silent > QUIET else 0.0


def _latest(runs: Iterable[Run]) -> list[Run]:
    found: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        found[run.title, run.digests.training, run.digests.evaluation] = run
    return list(found.values())
