"""Put together what Snowflake knows: ledger rows, claims' stages and jobs become runs.

The ledger remembers, the stages prove who claimed, the jobs say what is alive. Each can be missing: a crash between
claim and ledger leaves a stage alone, Snowflake forgets ended jobs after 7 to 14 days.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from piste import digest
from piste.experiment import Digests
from piste.run import Failure, Progress, Run, Status

CLAIM = re.compile(r"RUN_[0-9A-F]{12}(?:_[0-9A-F]{12})?_\d+")
FENCE = "_STARTED"
"""Ends the name of the stage that exactly one of a job and a later attempt creates; see docs/life-of-a-run.md."""

GRACE = timedelta(minutes=15)
"""How long a claim may have neither a job nor a word of its submitter before it counts as lost."""

SILENCE = timedelta(days=1)
"""How long a run whose job is not listed may have been silent before it counts as forgotten by Snowflake. A list may be
empty for other reasons (another role, a lag), and a run that works says so every few seconds."""

TOLD_BY_JOB = {"started", "heartbeat", "trained", "finished"}
SPOKEN = TOLD_BY_JOB | {"claimed", "submitted"}
"""Rows by which a run is heard of: its submitter's and its job's. What others write about it, above all that it should
stop, is no sign of its life."""

ENDED_JOBS = {"DONE", "FAILED", "CANCELLED", "INTERNAL_ERROR", "DELETED"}

LEDGER = "LEDGER"
"""The ledger's rows about itself stand under this name in place of a run's."""

LEDGER_VERSION = 1


@dataclass(frozen=True)
class Event:
    """A ledger row: the latest of its kind for its run. `at` is ISO 8601 in UTC."""

    run: str
    at: str
    kind: str
    body: Mapping[str, Any]


class Stored(Mapping[str, Any]):
    """The documents of a row `claimed`, as the text that they came in until somebody looks into them.

    Parsed they take five times the memory, and a plan looks into few. What is no document, above all the split, is
    known without that.
    """

    __slots__ = ("_known", "_row")

    def __init__(self, row: str, spec: Mapping[str, Any]) -> None:
        self._row = row
        self._known = {key: value for key, value in spec.items() if not isinstance(value, dict | list)}

    def __getitem__(self, key: str) -> Any:
        return self._known[key] if key in self._known else _spec(self._row)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(_spec(self._row))

    def __len__(self) -> int:
        return len(_spec(self._row))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return repr(_spec(self._row))


@lru_cache(maxsize=256)
def _spec(row: str) -> dict[str, Any]:
    return dict(json.loads(row)["spec"])


def read_event(run: str, at: str, kind: str, row: str) -> Event:
    """Of a row's text."""
    body = json.loads(row)
    if kind == "claimed" and body.get("spec"):
        body["spec"] = Stored(row, body["spec"])
    return Event(run, at, kind, body)


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
    """The answers to the three statements of `Account.observe`. `at` is Snowflake's clock."""

    events: Sequence[Event] = ()
    stages: Sequence[Stage] = ()
    jobs: Sequence[Job] = field(default_factory=tuple)
    at: str = ""

    @property
    def ledger(self) -> Mapping[str, Any]:
        """What the ledger says of itself: {"version", "identity", "beside"}; empty if it says nothing."""
        return next((event.body for event in self.events if event.run == LEDGER), {})

    @property
    def remembers(self) -> bool:
        """Whether the ledger knows any run."""
        return any(CLAIM.fullmatch(event.run) for event in self.events)


def runs(observation: Observation) -> tuple[Run, ...]:
    """All runs, by name."""
    events: dict[str, dict[str, Event]] = defaultdict(dict)
    for event in observation.events:
        if CLAIM.fullmatch(event.run):
            events[event.run][event_key(event)] = event
    stages = {stage.name: stage for stage in observation.stages}
    jobs = _by_claim(observation.jobs, events)
    names = sorted(events.keys() | {name for name in stages if CLAIM.fullmatch(name)})
    found = (
        _run(_Seen(name, events[name], stages.get(name), stages.get(name + FENCE), jobs.get(name), observation.at))
        for name in names
    )
    return tuple(run for run in found if run is not None)


_OF_SEVERAL = ("compared", "pooled", "judged")


def event_key(event: Event) -> str:
    """A run is compared with several others and judged by several judges; every other kind of event counts once."""
    return f"{event.kind} {event.body['other']}" if event.kind in _OF_SEVERAL else event.kind


def _by_claim(jobs: Iterable[Job], events: Mapping[str, Mapping[str, Event]]) -> dict[str, Job]:
    """The job of each claim. Of two (a submission that was repeated) the one that passed the fence speaks, else one
    that is alive. A job's name begins with its claim."""
    found: dict[str, Job] = {}
    for job in sorted(jobs, key=lambda job: (job.status not in ENDED_JOBS, job.name)):
        match = CLAIM.match(job.name)
        claim = match[0] if match else ""
        before = found.get(claim)
        if claim and (before is None or before.name != _body(events.get(claim, {}), "started").get("job")):
            found[claim] = job
    return found


@dataclass(frozen=True)
class _Seen:
    """All that is known of one claim; `now` is Snowflake's clock."""

    name: str
    events: Mapping[str, Event]
    stage: Stage | None
    fence: Stage | None
    job: Job | None
    now: str

    def body(self, kind: str) -> Mapping[str, Any]:
        return _body(self.events, kind)

    @property
    def claimed_at(self) -> str:
        if "claimed" in self.events:
            return self.body("claimed").get("at") or self.events["claimed"].at
        return self.stage.created if self.stage else ""

    @property
    def heard_at(self) -> str:
        fenced = [self.fence.created] if self.fence else []
        spoken = [event.at for event in self.events.values() if event.kind in SPOKEN]
        return max(spoken, default=max(fenced, default=""))

    @property
    def ended(self) -> Mapping[str, Any]:
        """How it ended, by the ledger. Not if that was said of a job that was not to be seen, and that has shown itself
        since: its end is yet to come."""
        if "ended" not in self.events:
            return {}
        body, at = self.body("ended"), self.events["ended"].at
        guessed = Status.LOST in (body.get("training"), body.get("evaluation")) and not body.get("results")
        told = [event.at for event in self.events.values() if event.kind in TOLD_BY_JOB]
        passed = [self.fence.created] if self.fence and self.passed_by else []
        return {} if guessed and (self.job is not None or max(told + passed, default="") >= at) else body

    @property
    def passed_by(self) -> str | None:
        """The job that is behind the fence, by the fence's own word."""
        return self.fence.comment if self.fence and not is_closed(self.fence.comment) else None

    @property
    def closed(self) -> bool:
        return self.fence is not None and is_closed(self.fence.comment) and "started" not in self.events


def is_closed(fence: str) -> bool:
    """Whether a fence's comment says that a later attempt shut it; a job writes its own name there."""
    return fence.startswith("{")


def _run(seen: _Seen) -> Run | None:
    claim = seen.body("claimed") or _from_comment(seen.name, seen.stage)
    if not claim:
        return None
    ended, submitted = seen.ended, seen.body("submitted")
    training, evaluation = _statuses(claim["steps"], ended, seen)
    several = [event for event in seen.events.values() if event.kind in _OF_SEVERAL]
    results = ended.get("results") or seen.body("finished") or None
    failure = (results or ended).get("failure")
    heard_at = seen.heard_at
    forgotten = seen.job is None and bool(heard_at) and _age(heard_at, seen.now) > SILENCE
    return Run(
        name=seen.name,
        experiment=claim["experiment"],
        variant=claim["variant"],
        digests=digest.current(Digests(**claim["digests"]), claim.get("identity", {}), claim.get("spec", {})),
        attempt=int(seen.name.rsplit("_", 1)[1]),
        steps=tuple(claim["steps"]),
        training=training,
        evaluation=evaluation,
        spec=claim.get("spec", {}),
        provenance={**claim.get("provenance", {}), **submitted},
        job=_job(seen),
        job_status=seen.job.status if seen.job else "",
        collected=bool(ended),
        forgotten=forgotten,
        closed=seen.closed,
        unrecorded=_unrecorded(seen),
        stopping={**seen.body("stopping"), "at": _at(seen, "stopping")} if "stopping" in seen.events else {},
        progress=_progress(seen.events.get("heartbeat")),
        results=results,
        failure=Failure(**_known(failure, Failure)) if failure else None,
        measured=seen.body("measured"),
        comparisons=_by_other(several, "compared"),
        pooled=_by_other(several, "pooled"),
        judged=_by_other(several, "judged"),
        shown=seen.body("shown"),
        claimed_at=seen.claimed_at,
        started_at=ended.get("started_at") or _at(seen, "started"),
        ended_at=ended.get("ended_at") or _at(seen, "finished") or (_at(seen, "ended") if ended else ""),
        heard_at=heard_at,
        archived=_at(seen, "archived"),
        deleted=_at(seen, "deleted") or (seen.claimed_at if claim.get("imported") and seen.stage is None else ""),
    )


def _job(seen: _Seen) -> str | None:
    listed = seen.job.name if seen.job else None
    return seen.body("started").get("job") or seen.body("submitted").get("job") or listed or seen.passed_by


def _unrecorded(seen: _Seen) -> tuple[str, ...]:
    """A submitter that died left a stage without its row, or a job without its row."""
    happened = {"claimed": seen.stage is not None, "submitted": seen.job is not None}
    return tuple(kind for kind, sure in happened.items() if sure and kind not in seen.events)


def _statuses(steps: Sequence[str], ended: Mapping[str, Any], seen: _Seen) -> tuple[Status | None, Status | None]:
    """Of training (None if the run has none) and of evaluation."""
    finished = seen.body("finished")
    if finished and not ended.get("results"):
        return _said_by(finished, steps)
    if ended:
        return _maybe(ended.get("training")), _maybe(ended.get("evaluation"))
    status = _of_job(seen)
    if "train" not in steps:
        return None, status
    if "trained" in seen.events:
        return Status.DONE, status
    return status, Status.PENDING if status.live else status


def _said_by(results: Mapping[str, Any], steps: Sequence[str]) -> tuple[Status | None, Status | None]:
    """By the job's own word; a part that it was to do and does not speak of has failed."""
    training, evaluation = (
        Status((results.get(part) or {}).get("status") or Status.FAILED) for part in ("training", "evaluation")
    )
    return training if "train" in steps else None, evaluation


def _of_job(seen: _Seen) -> Status:
    """A job that ended, or that Snowflake forgot, counts as running until `collect` has read its stage."""
    if seen.closed:
        return Status.LOST
    if seen.job is not None:
        return Status.PENDING if seen.job.status == "PENDING" else Status.RUNNING
    if seen.fence is not None or {"submitted", "started"} & seen.events.keys():
        return Status.RUNNING
    return Status.CLAIMED if _age(seen.claimed_at, seen.now) < GRACE else Status.LOST


def _from_comment(name: str, stage: Stage | None) -> dict[str, Any]:
    """What a claim says of itself when its ledger row was never written; nothing for a stage that isn't ours."""
    try:
        comment = json.loads(stage.comment) if stage else {}
        only_evaluates = re.fullmatch(r"RUN_[0-9A-F]{12}_[0-9A-F]{12}_\d+", name)
        steps = ["generate", "score"] if only_evaluates else ["train", "generate", "score"]
        return {
            "experiment": comment["experiment"],
            "variant": comment["variant"],
            "steps": comment.get("steps") or steps,
            "digests": {key: comment[key] for key in ("training", "generation", "scoring", "suite")}
            | {key: comment[key] for key in ("judge",) if comment.get(key)},
            "provenance": {key: comment[key] for key in ("actor", "commit", "tried") if comment.get(key) is not None},
        }
    except (ValueError, KeyError, TypeError):
        return {}


def _progress(event: Event | None) -> Progress | None:
    return Progress(**{**_known(event.body, Progress), "at": event.at}) if event else None


def _known(body: Mapping[str, Any], value: type) -> dict[str, Any]:
    names = {item.name for item in fields(value)}
    return {key: content for key, content in body.items() if key in names}


def _body(events: Mapping[str, Event], kind: str) -> Mapping[str, Any]:
    return events[kind].body if kind in events else {}


def _at(seen: _Seen, kind: str) -> str:
    return seen.events[kind].at if kind in seen.events else ""


def _maybe(status: str | None) -> Status | None:
    return Status(status) if status else None


def _age(since: str, now: str) -> timedelta:
    return datetime.fromisoformat(now) - datetime.fromisoformat(since) if since and now else timedelta()


def _by_other(events: Iterable[Event], kind: str) -> dict[str, Mapping[str, Any]]:
    return {event.body["other"]: event.body for event in events if event.kind == kind}
