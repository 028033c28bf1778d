"""Put together what Snowflake knows: ledger rows, claims' stages and jobs become runs.

The ledger remembers, the stages prove who claimed, the jobs say what is alive. Each can be missing: a crash between
claim and ledger leaves a stage alone, Snowflake forgets ended jobs after 7 to 14 days.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from piste.experiment import Digests
from piste.run import Failure, Progress, Run, Status

CLAIM = re.compile(r"RUN_[0-9A-F]{12}(?:_[0-9A-F]{12})?_\d+")
GRACE = timedelta(minutes=15)
"""How long a claim may have neither a job nor a word of its submitter before it counts as lost."""

SILENCE = timedelta(days=1)
"""How long a run whose job is not listed may have been silent before it counts as forgotten by Snowflake. A list may be
empty for other reasons (another role, a lag), and a run that works says so every few seconds."""

ENDED_JOBS = {"DONE", "FAILED", "CANCELLED", "INTERNAL_ERROR", "DELETED"}


@dataclass(frozen=True)
class Event:
    """A ledger row: the latest of its kind for its run. `at` is ISO 8601 in UTC."""

    run: str
    at: str
    kind: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    name: str
    comment: str
    created: str


@dataclass(frozen=True)
class Job:
    name: str
    status: str
    message: str = ""


@dataclass(frozen=True)
class Observation:
    """The answers to the three statements of `Account.observe`."""

    events: Sequence[Event] = ()
    stages: Sequence[Stage] = ()
    jobs: Sequence[Job] = field(default_factory=tuple)
    at: str = ""


def runs(observation: Observation) -> tuple[Run, ...]:
    """All runs, by name."""
    events: dict[str, dict[str, Event]] = defaultdict(dict)
    for event in observation.events:
        if CLAIM.fullmatch(event.run):
            events[event.run][event_key(event)] = event
    stages = {stage.name: stage for stage in observation.stages if CLAIM.fullmatch(stage.name)}
    jobs = _by_claim(observation.jobs)
    names = sorted(events.keys() | stages.keys())
    found = (_run(name, events[name], stages.get(name), jobs.get(name), observation.at) for name in names)
    return tuple(run for run in found if run is not None)


def event_key(event: Event) -> str:
    """A run is compared with several others; every other kind of event counts once."""
    return f"compared {event.body['other']}" if event.kind == "compared" else event.kind


def _by_claim(jobs: Iterable[Job]) -> dict[str, Job]:
    """The job of each claim. Of two (a submission that was repeated) the one that is alive speaks."""
    found: dict[str, Job] = {}
    for job in jobs:
        match = CLAIM.match(job.name)
        if match and (match[0] not in found or job.status not in ENDED_JOBS):
            found[match[0]] = job
    return found


def _run(name: str, events: Mapping[str, Event], stage: Stage | None, job: Job | None, now: str) -> Run | None:
    claim = events["claimed"].body if "claimed" in events else _from_comment(name, stage)
    if claim is None:
        return None
    claimed_at = events["claimed"].at if "claimed" in events else stage.created if stage else ""
    training, evaluation = _statuses(claim["steps"], events, job, _age(claimed_at, now))
    ended = _body(events, "ended")
    results = ended.get("results") or _body(events, "finished") or None
    failure = (results or ended).get("failure")
    return Run(
        name=name,
        experiment=claim["experiment"],
        variant=claim["variant"],
        digests=Digests(**claim["digests"]),
        attempt=int(name.rsplit("_", 1)[1]),
        steps=tuple(claim["steps"]),
        training=training,
        evaluation=evaluation,
        spec=claim.get("spec", {}),
        provenance={**claim.get("provenance", {}), **_body(events, "submitted")},
        job=_body(events, "started").get("job") or _body(events, "submitted").get("job") or (job.name if job else None),
        job_status=job.status if job else "",
        collected="ended" in events,
        forgotten=job is None and _age(max(event.at for event in events.values()), now) > SILENCE if events else False,
        progress=_progress(events.get("heartbeat")),
        results=results,
        failure=Failure(**_known(failure, Failure)) if failure else None,
        comparisons={event.body["other"]: event.body for event in events.values() if event.kind == "compared"},
        claimed_at=claimed_at,
        started_at=events["started"].at if "started" in events else "",
        ended_at=next((events[kind].at for kind in ("finished", "ended") if kind in events), ""),
    )


def _statuses(
    steps: Sequence[str], events: Mapping[str, Event], job: Job | None, age: timedelta
) -> tuple[Status | None, Status | None]:
    """Of training (None if the run has none) and of evaluation."""
    ended, finished = _body(events, "ended"), _body(events, "finished")
    if finished and not ended.get("results"):
        return _said_by(finished, steps)
    if ended:
        return _maybe(ended.get("training")), _maybe(ended.get("evaluation"))
    status = _of_job(events, job, age)
    if "train" not in steps:
        return None, status
    return (Status.DONE, status) if "trained" in events else (status, Status.PENDING if status.live else status)


def _said_by(results: Mapping[str, Any], steps: Sequence[str]) -> tuple[Status | None, Status | None]:
    """By the job's own word; a part that it was to do and does not speak of has failed."""
    training, evaluation = (
        Status((results.get(part) or {}).get("status") or Status.FAILED) for part in ("training", "evaluation")
    )
    return training if "train" in steps else None, evaluation


def _of_job(events: Mapping[str, Event], job: Job | None, age: timedelta) -> Status:
    """A job that ended, or that Snowflake forgot, counts as running until `collect` has read its stage."""
    if job is not None:
        return Status.PENDING if job.status == "PENDING" else Status.RUNNING
    if "submitted" in events or "started" in events:
        return Status.RUNNING
    return Status.CLAIMED if age < GRACE else Status.LOST


def _from_comment(name: str, stage: Stage | None) -> dict[str, Any] | None:
    """What a claim says of itself when its ledger row was never written; None for a stage that isn't ours."""
    try:
        comment = json.loads(stage.comment) if stage else {}
        steps = ["generate", "score"] if re.fullmatch(r"RUN_[0-9A-F]{12}_[0-9A-F]{12}_\d+", name) else None
        return {
            "experiment": comment["experiment"],
            "variant": comment["variant"],
            "steps": steps or ["train", "generate", "score"],
            "digests": {key: comment[key] for key in ("training", "generation", "scoring", "suite")},
            "provenance": {key: comment.get(key) for key in ("actor", "commit")},
        }
    except (ValueError, KeyError, TypeError):
        return None


def _progress(event: Event | None) -> Progress | None:
    return Progress(**{**_known(event.body, Progress), "at": event.at}) if event else None


def _known(body: Mapping[str, Any], value: type) -> dict[str, Any]:
    names = {item.name for item in fields(value)}
    return {key: content for key, content in body.items() if key in names}


def _body(events: Mapping[str, Event], kind: str) -> Mapping[str, Any]:
    return events[kind].body if kind in events else {}


def _maybe(status: str | None) -> Status | None:
    return Status(status) if status else None


def _age(since: str, now: str) -> timedelta:
    return datetime.fromisoformat(now) - datetime.fromisoformat(since) if since and now else timedelta()
