"""How a run ended, in two statuses and a reason that carries no row of data; and when it has to end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from piste import durations
from piste.change_rules import compute
from piste.observed import ENDED_JOBS
from piste.run import Run, Status

OVERTIME = timedelta(minutes=10)
"""How long after compute.timeout a job may still be stopping by itself and bringing its checkpoint to the stage."""

CANCEL_AGAIN = timedelta(minutes=5)
"""After so long a job that was to be cancelled, and goes on, is cancelled again: whoever began may have died."""


def has_ended(run: Run) -> bool:
    """Its job ended or said so, or Snowflake no longer knows the job, and the ledger doesn't say how it ended."""
    if run.collected or run.closed or run.job is None:
        return False
    if run.job_status:
        return run.job_status in ENDED_JOBS or run.results is not None
    return run.results is not None or run.forgotten


def is_over(run: Run) -> bool:
    """Nothing more will happen to it, recorded or not."""
    return run.collected or has_ended(run) or run.abandoned


def is_overdue(run: Run, now: str) -> bool:
    """The job should have stopped by itself at its compute.timeout, and did not. `now` is ISO 8601, as in the run."""
    if is_over(run) or not run.started_at:
        return False
    asked = run.stopping.get("at")
    if asked and _since(asked, now) < CANCEL_AGAIN:
        return False
    return _since(run.started_at, now) > timeout(run) + OVERTIME


def _since(moment: str, now: str) -> timedelta:
    return datetime.fromisoformat(now) - datetime.fromisoformat(moment)


def timeout(run: Run) -> timedelta:
    return timedelta(seconds=durations.seconds(compute(run.spec.get("experiment") or {}, "timeout")))


def record(run: Run, results: bytes | None) -> dict[str, Any]:
    """The ledger's `ended` row: judged by the results on the stage or in the job's last row, and by the job's status,
    never by `job.result()`."""
    found = _results(results) or run.results
    training, evaluation = _statuses(run, found)
    body: dict[str, Any] = {"job_status": run.job_status, "training": training, "evaluation": evaluation}
    failure = (found or {}).get("failure") or _failure(run, training, evaluation)
    if failure and failure["kind"] == "cancelled":  # the job knows that it was told to stop, not why
        kind, message, hint = _why_stopped(run)
        failure = {**failure, "kind": kind, "message": message, "hint": hint}
    return body | {"results": found and {**found, "failure": failure}, "failure": failure}


def _results(content: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(content) if content else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _statuses(run: Run, results: Mapping[str, Any] | None) -> tuple[Status | None, Status | None]:
    said = {part: ((results or {}).get(part) or {}).get("status") for part in ("training", "evaluation")}
    otherwise = _of_job(run.job_status)
    training: Status | None = None
    if "train" in run.steps:
        training = Status(said["training"]) if said["training"] else _trained(run, otherwise)
    evaluation = Status(said["evaluation"]) if said["evaluation"] else otherwise
    return training, evaluation


def _trained(run: Run, otherwise: Status) -> Status:
    """A job that was ended during its evaluation has said before that training was done."""
    return Status.DONE if run.training is Status.DONE else otherwise


def _of_job(status: str) -> Status:
    if status == "CANCELLED":
        return Status.CANCELLED
    return Status.FAILED if status else Status.LOST


def _failure(run: Run, training: Status | None, evaluation: Status | None) -> dict[str, Any] | None:
    trained = training in (None, Status.DONE)
    if trained and evaluation is Status.DONE:
        return None
    phase = "generate" if trained else "train"
    if run.progress is not None:
        phase = run.progress.phase
    kind, message, hint = _why(run)
    return {"phase": phase, "kind": kind, "type": "", "message": message, "hint": hint}


def _why(run: Run) -> tuple[str, str, str]:
    if run.stopping.get("kind") == "timeout":
        return _OVERDUE
    if run.stopping.get("actor"):
        return "cancelled", f"The job was cancelled by {run.stopping['actor']}.", _RUN_AGAIN
    if run.job_status == "FAILED" and not run.started_at:
        return _NEVER_BEGAN
    return _WHY[run.job_status if run.job_status in _WHY else ""]


def _why_stopped(run: Run) -> tuple[str, str, str]:
    """Of a job that was told to stop. Unless Snowflake says that it was its own fault, somebody wanted that."""
    return _why(run) if run.stopping or run.job_status == "INTERNAL_ERROR" else _WHY["CANCELLED"]


_AGAIN = "It is tried again as often as compute.retries allows; --retry tries it once more."
_RUN_AGAIN = "Run it again with `piste apply --retry`."
_OVERDUE = (
    "timeout",
    "The job went on after its compute.timeout and was cancelled.",
    "Raise compute.timeout, then `piste apply --retry`.",
)
_NEVER_BEGAN = ("platform", "The job ended before its work began: its image, its packages or its login.", _AGAIN)
_WHY = {
    "CANCELLED": ("cancelled", "The job was cancelled.", _RUN_AGAIN),
    "FAILED": (
        "killed",
        "The job ended without results: it was killed, perhaps for memory.",
        "Look at its last lines with `piste logs`; a smaller batch or a larger pool may help.",
    ),
    "DONE": ("platform", "The job ended well but left no results.", _AGAIN),
    "INTERNAL_ERROR": ("platform", "Snowflake ended the job with an internal error.", _AGAIN),
    "": ("platform", "Snowflake no longer knows the job and its stage holds no results.", _AGAIN),
}
