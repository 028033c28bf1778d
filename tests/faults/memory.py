"""A fast double of an account: piste's own adapter on a world in memory, which tests step and break at each statement.

memory = Memory({"PISTE_CPU": (2, "CPU_X64_S")})
account = MemoryAccount(memory, environment, hook)     # the hook is called before and after each statement
...
memory.run_jobs()

Which statements a verb sends, in which order, and what it makes of the answers, is `piste.snowflake.Account`'s own.
Here is what lies behind the network: SQL of a few forms, and what the client does for a submission, a file, a log, a
cancellation. A form that is not known raises `NotImplementedError`. test_contract.py holds it to the real client on
snowglobe, and jobs to what the payload's `Store` does.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Literal

from piste.environment import Environment
from piste.errors import SnowflakeRefused
from piste.observed import ENDED_JOBS, FENCE, Event, Job, Observation, Stage
from piste.payload import Payload
from piste.snowflake import EXISTS, MISSING, OBSERVE, Account

Moment = Literal["before", "after"]
Rows = list[dict[str, Any]]
Json = dict[str, Any]
Answer = Callable[["Memory", "re.Match[str]", Sequence[Any]], Rows]
BEGIN = datetime(2026, 11, 22, 12, tzinfo=UTC)
RETENTION = timedelta(days=7)
"""How long an ended job is known; Snowflake's own documents say 7 days in one place and 14 in another."""
SAMPLES = 6


class Killed(BaseException):
    """The reconciler dies here: nothing of it runs on, not even what catches exceptions."""


class Repeated(BaseException):
    """Raised by a hook after a statement: its reply was lost, the client sends it again, it is executed again."""


@dataclass(frozen=True)
class Statement:
    """What is sent. `kind` is the statement's first words, `target` the stage, job, table or pool that it is about."""

    kind: str
    target: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.target}".rstrip()


Hook = Callable[[Statement, Moment], None]


def quiet(statement: Statement, moment: Moment) -> None:
    """The hook of an account to which nothing happens."""


@dataclass
class StoredStage:
    comment: str
    created: str
    files: dict[str, bytes] = field(default_factory=dict)


class Ends(Exception):
    """Ends a job's work as its payload notices it; `kind` is a failure's class."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass
class MemoryJob:
    """`passed`: it is the one job of its claim that may work. `trained`: and its checkpoint is on the stage. `told`:
    its results.json is there. `succeeded`: it trained to the end once, whatever a restart did to it afterwards. `mute`:
    its last row is refused, which its payload takes easy."""

    name: str
    claim: str
    folder: str
    pool: str
    nodes: int
    status: str = "PENDING"
    spec: Json = field(default_factory=dict)
    work: Iterator[None] = field(default_factory=lambda: iter(()))
    passed: bool = False
    trained: bool = False
    told: bool = False
    succeeded: bool = False
    mute: bool = False
    forgotten: bool = False
    completed: datetime | None = None
    failure: Ends | None = None
    beats: int = 0

    @property
    def ended(self) -> bool:
        return self.status in ENDED_JOBS

    @property
    def trains(self) -> bool:
        return "train" in self.spec.get("steps", ())

    @property
    def training(self) -> bool:
        """Right now, on somebody's account."""
        return self.passed and self.trains and not self.trained and self.status == "RUNNING"

    @property
    def digest(self) -> str:
        return str(self.spec.get("training_digest", ""))


class Memory:
    """All that an account knows. Its clock and its jobs move only when a test moves them.

    `trainings` counts, by training digest, jobs that passed their fence to train; `successes` those that trained to
    their end; `overlaps` names jobs that began while another one trained the same. `submitted` counts EXECUTE_ML_JOB.
    """

    def __init__(self, pools: Mapping[str, tuple[int, str]]) -> None:
        self.pools = dict(pools)
        self.now = BEGIN
        self.tables: set[str] = set()
        self.events: list[Event] = []
        self.latest: dict[tuple[str, str, str], Event] = {}
        self.stages: dict[str, StoredStage] = {}
        self.dropped: list[str] = []
        self.jobs: list[MemoryJob] = []
        self.scores: dict[str, dict[tuple[str, str], float]] = {}
        self.predictions: set[str] = set()
        self.hidden = False
        self.retention = RETENTION
        self.trainings: Counter[str] = Counter()
        self.successes: Counter[str] = Counter()
        self.overlaps: list[str] = []

    def copy(self) -> Memory:
        """Another world that begins as this one is. No job of it may be at work."""
        made = copy.copy(self)
        made.__dict__ |= {name: copy.copy(value) for name, value in vars(self).items() if name != "now"}
        made.stages = {name: replace(stage, files=dict(stage.files)) for name, stage in self.stages.items()}
        assert not any(job.status == "RUNNING" for job in self.jobs)
        made.jobs = [replace(job, work=iter(())) for job in self.jobs]
        return made

    def fingerprint(self) -> int:
        """The same of two worlds that differ in nothing but the nonces of claims."""
        stages = [
            (name, re.sub(r'"nonce": "\w+"', "", one.comment), one.created, sorted(one.files), *one.files.values())
            for name, one in sorted(self.stages.items())
        ]
        jobs = [(job.name, job.status, job.passed, job.forgotten, job.completed, job.failure) for job in self.jobs]
        rows = [(event.run, event.at, event.kind, json.dumps(event.body, sort_keys=True)) for event in self.events]
        return hash(repr((self.now, sorted(self.tables), rows, jobs, [stage[:4] for stage in stages]))) ^ hash(
            tuple(content for stage in stages for content in stage[4:])
        )

    # The clock, and what is forgotten as it goes on.

    @property
    def clock(self) -> str:
        return self.now.isoformat(timespec="milliseconds")

    def advance(self, seconds: float, beats: bool = True) -> None:
        """Time passes; jobs that work say so at its end, unless they are silenced."""
        self.now += timedelta(seconds=seconds)
        for job in self.jobs if beats else ():
            if job.passed and job.status == "RUNNING":
                self._beat(job)

    def known(self, job: MemoryJob) -> bool:
        return not job.forgotten and (job.completed is None or self.now - job.completed <= self.retention)

    def forget_jobs(self) -> None:
        """The history is emptied: no ended job is known any more."""
        for job in self.jobs:
            job.forgotten = job.forgotten or job.ended

    def lose_rows(self, lost: Callable[[Event], bool]) -> None:
        """As if these rows had never been written."""
        kept = [event for event in self.events if not lost(event)]
        self.events, self.latest = [], {}
        for event in kept:
            self._append(event)

    # Jobs.

    @property
    def live(self) -> list[MemoryJob]:
        return [job for job in self.jobs if not job.ended]

    @property
    def submitted(self) -> int:
        return len(self.jobs)

    def run_jobs(self) -> None:
        """Until every job has ended, in the order of submission."""
        while sum(self.step(job) for job in self.live):
            pass

    def step(self, job: MemoryJob) -> bool:
        """One thing that a job does; False if it has ended or finds no place in its pool."""
        if job.ended or (job.status == "PENDING" and not self._start(job)):
            return False
        try:
            next(job.work)
        except StopIteration:
            self._end(job, _status(job))
        return True

    def fail(self, job: MemoryJob, kind: str) -> None:
        """Its payload notices that something is wrong, as `kind` says, tells it in results.json and ends."""
        if not job.ended and not job.told and job.failure is None:
            job.failure = Ends(kind)

    def lose(self, job: MemoryJob) -> None:
        """Its node is lost: it ends as an internal error, and leaves only what is stored by now."""
        self._end(job, "INTERNAL_ERROR")

    def kill(self, job: MemoryJob) -> None:
        """Its processes are killed, for memory perhaps: as above, but it is told as a failure."""
        self._end(job, "FAILED")

    def vanish(self, job: MemoryJob) -> None:
        """It ends at once, and nobody knows it any more."""
        self._end(job, "INTERNAL_ERROR")
        job.forgotten = True

    def restart(self, job: MemoryJob) -> None:
        """Snowflake starts its container again: the same job does everything from its first act on."""
        if job.status == "RUNNING":
            job.trained = job.told = False
            job.work = self._works(job)

    def cancel(self, job: MemoryJob) -> None:
        if job.status == "PENDING":
            self._end(job, "CANCELLED")
        elif not job.ended:
            job.status = "CANCELLING"
            self.fail(job, "cancelled")

    def _start(self, job: MemoryJob) -> bool:
        """Nobody overtakes in a pool."""
        first = next(one for one in self.jobs if one.status == "PENDING" and one.pool == job.pool)
        busy = sum(one.nodes for one in self.live if one.pool == job.pool and one.status != "PENDING")
        if first is not job or busy + job.nodes > self.pools[job.pool][0]:
            return False
        home = self.stages.get(job.claim)
        instructions = home.files.get(f"{job.folder}/app/run.json") if home else None
        if instructions is None:
            self._end(job, "INTERNAL_ERROR")
            return True
        job.spec, job.status = json.loads(instructions), "RUNNING"
        job.work = self._works(job)
        return True

    def _end(self, job: MemoryJob, status: str) -> None:
        if not job.ended:
            job.status, job.completed, job.work = status, self.now, iter(())

    def _works(self, job: MemoryJob) -> Iterator[None]:
        """What the payload does, from its fence to its last word."""
        if not self._fence(job):
            return
        yield
        said: Json = {"training": None, "evaluation": None}
        try:
            yield from self._trains_and_evaluates(job, said)
        except Ends as end:
            job.failure = end
            undone = "cancelled" if end.kind == "cancelled" else "failed"
            for part, asked in (("training", job.trains), ("evaluation", True)):
                said[part] = said[part] or ({"status": undone} if asked else None)
        self.write(job.claim, "results.json", json.dumps(_results(job, said)).encode())
        job.told = True
        yield
        if not job.mute:
            self.record(job.claim, "finished", _results(job, said))
        yield

    def _trains_and_evaluates(self, job: MemoryJob, said: Json) -> Iterator[None]:
        self.record(job.claim, "started", {"job": job.name})
        yield from self._unless_told(job)
        if job.trains:
            self._beat(job)
            yield from self._unless_told(job)
            self.write(job.claim, "checkpoint/model.safetensors", job.digest.encode())
            said["training"] = _trained(job)
            self.record(job.claim, "trained", said["training"])
            self.successes[job.digest] += not job.succeeded
            job.trained = job.succeeded = True
            yield from self._unless_told(job)
        self._evaluate(job)
        said["evaluation"] = _evaluated(job)
        yield from self._unless_told(job)

    def _unless_told(self, job: MemoryJob) -> Iterator[None]:
        yield
        if job.failure is not None:
            raise job.failure

    def _fence(self, job: MemoryJob) -> bool:
        found = self.stages.get(job.claim + FENCE)
        if found is None:
            self.stages[job.claim + FENCE] = StoredStage(job.name, self.clock)
        elif found.comment != job.name:
            return False
        if job.trains and not job.passed:
            self.trainings[job.digest] += 1
            self.overlaps += [job.name for one in self.jobs if one.training and one.digest == job.digest]
        job.passed = True
        return True

    def _beat(self, job: MemoryJob) -> None:
        job.beats += 1
        self.record(job.claim, "heartbeat", {"phase": "train", "step": job.beats, "steps": 9, "loss": 1 / job.beats})

    def _evaluate(self, job: MemoryJob) -> None:
        trained, predicted = job.spec.get("adapter_or_model"), job.spec.get("predictions")
        home = self.stages.get((trained or {}).get("run", ""))
        if trained and not (home and any(path.startswith("checkpoint/") for path in home.files)):
            raise Ends("data")
        if predicted and predicted["run"] not in self.predictions:
            raise Ends("data")
        self.predictions.add(job.claim)
        self.scores[job.claim] = dict(_scored(job))

    # What jobs and the account's sessions do to tables and stages.

    def record(self, run: str, kind: str, body: Any) -> None:
        if "LEDGER" not in self.tables:
            raise missing("LEDGER")
        self._append(Event(run, self.clock, kind, body))

    def _append(self, event: Event) -> None:
        key = (event.run, event.kind, str(event.body.get("other", "")))
        self.events.append(event)
        if key not in self.latest or event.at >= self.latest[key].at:
            self.latest[key] = event

    def write(self, stage: str, path: str, content: bytes) -> None:
        if stage not in self.stages:
            raise missing(stage)
        self.stages[stage].files[path] = content

    def create_stage(self, name: str, comment: str, if_not_exists: bool = False) -> Rows:
        if name in self.stages and not if_not_exists:
            raise SnowflakeRefused(f"Object '{name}' already exists.", "", EXISTS)
        self.stages.setdefault(name, StoredStage(comment, self.clock))
        return []

    def drop_stage(self, name: str) -> Rows:
        if self.stages.pop(name, None):
            self.dropped.append(name)
        return []

    def below(self, stage: str, path: str) -> dict[str, bytes]:
        """Files whose path begins so."""
        if stage not in self.stages:
            raise missing(stage)
        return {name: content for name, content in self.stages[stage].files.items() if name.startswith(path)}

    def remove(self, stage: str, path: str) -> Rows:
        for name in self.below(stage, path):
            del self.stages[stage].files[name]
        return []

    def execute(self, payload: Payload, pool: str, nodes: int) -> str:
        if payload.claim not in self.stages:
            raise missing(payload.claim)
        if pool not in self.pools:
            raise missing(pool)
        name = f"{payload.job_name}_{len(self.jobs) + 1:012X}"
        nodes = max(1, min(nodes, self.pools[pool][0]))
        self.jobs.append(MemoryJob(name, payload.claim, payload.job_name, pool, nodes))
        return name

    def job(self, name: str) -> MemoryJob:
        for job in self.jobs:
            if job.name == name and self.known(job):
                return job
        raise missing(name)


def missing(name: str) -> SnowflakeRefused:
    return SnowflakeRefused(f"Object '{name}' does not exist or not authorized.", "", MISSING)


def _status(job: MemoryJob) -> str:
    if job.status == "CANCELLING":
        return "CANCELLED"
    return "FAILED" if job.passed and job.failure else "DONE"


def _share(*words: str) -> float:
    return int(hashlib.sha256(":".join(words).encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def _trained(job: MemoryJob) -> Json:
    """The same of every training of a digest."""
    last = 0.1 + _share(job.digest)
    loss = [[step, last + 1 / step] for step in range(1, 4)]
    return {"status": "done", "steps": 3, "loss": loss, "eval_loss": [], "seconds": 60.0, "tokens_per_second": 100.0}


def _scored(job: MemoryJob) -> Iterator[tuple[tuple[str, str], float]]:
    for score in job.spec["suite"]["scores"]:
        for sample in range(SAMPLES):
            value = _share(job.digest, score["name"], str(sample))
            yield (score["name"], f"sample-{sample}"), round(value)


def _evaluated(job: MemoryJob) -> Json:
    values: dict[str, list[float]] = {}
    for (score, _), value in _scored(job):
        values.setdefault(score, []).append(value)
    scores = {score: {"mean": sum(found) / len(found), "n": len(found)} for score, found in values.items()}
    return {"status": "done", "samples": SAMPLES, "seconds": 6.0, "scores": scores}


def _results(job: MemoryJob, said: Mapping[str, Any]) -> Json:
    failure = None
    if "failed" in _words(said) or "cancelled" in _words(said):
        kind = job.failure.kind if job.failure else "data"
        phase = "generate" if job.trained or not job.trains else "train"
        failure = {"phase": phase, "kind": kind, "type": "", "message": kind, "hint": "", "exit_code": None}
    return {"schema": "results/v1", "run": job.claim, "job": job.name, **said, "environment": {}, "failure": failure}


def _words(said: Mapping[str, Any]) -> set[str]:
    return {part["status"] for part in said.values() if part}


class MemoryAccount(Account):
    """The adapter itself, with `Memory` behind it in place of a session."""

    def __init__(self, memory: Memory, environment: Environment, hook: Hook = quiet) -> None:
        self.memory = memory
        self.hook = hook
        self.environment = environment
        self._by_identity = False
        self._schema = f"{environment.database}.{environment.schema}"

    def leave(self) -> None:
        """There is no session to close."""

    def observe(self) -> Observation:
        """As the adapter does; but events are kept as values, and not read again from JSON each time."""
        rows = self._unless_missing(OBSERVE[0])
        stages = self._unless_missing(OBSERVE[1].format(schema=self._schema))
        jobs = self._unless_missing(OBSERVE[2].format(schema=self._schema))
        return Observation(
            [row["event"] for row in rows],
            [Stage(row["name"], row["comment"], row["created_on"]) for row in stages],
            [Job(row["name"], row["status"]) for row in jobs],
            rows[0]["NOW"] if rows else self.memory.clock,
        )

    def submit(self, payload: Payload, pool: str, nodes: int, image: str | None, comment: str) -> str:
        memory, folder = self.memory, f"{payload.job_name}/app"

        def put(paths: Iterable[str]) -> Callable[[], None]:
            return lambda: [memory.write(payload.claim, f"{folder}/{one}", payload.files[one]) for one in paths][:0]

        self._require_stage(payload.claim)
        for paths in _globs(payload.files).values():
            self._send(Statement("PUT", payload.claim), put(paths))
        system = f"{payload.job_name}/system/startup.sh"
        self._send(Statement("PUT", payload.claim), lambda: memory.write(payload.claim, system, b"#!/bin/sh\n"))
        self._send(Statement("CALL SYSTEM$GET_ML_JOB_RUNTIME", pool), lambda: self._runtime(pool))
        name = self._send(Statement("CALL SYSTEM$EXECUTE_ML_JOB", payload.claim),
                          lambda: memory.execute(payload, pool, nodes))  # fmt: skip
        return str(name)

    def _require_stage(self, name: str) -> None:
        """The client makes the stage that it is told to upload to."""
        try:
            self._send(Statement("DESCRIBE STAGE", name), lambda: self.memory.below(name, ""))
        except SnowflakeRefused as error:
            if error.code != MISSING:
                raise
            made_by = "Created by snowflake.ml.jobs Python API"
            self._send(Statement("CREATE STAGE", name), lambda: self.memory.create_stage(name, made_by, True))

    def read(self, run: str, path: str) -> bytes | None:
        if not self._unless_missing(f"LIST @{self._schema}.{run}/{path}"):
            return None
        found = self._send(Statement("GET", run), lambda: self.memory.below(run, path).get(path))
        return bytes(found) if found is not None else None

    def logs(self, job: str, nodes: int = 1) -> str:
        try:
            found = self._send(Statement("DESCRIBE SERVICE", job), lambda: self.memory.job(job))
            text = self._send(Statement("CALL SYSTEM$GET_SERVICE_LOGS", job), lambda: f"train {found.beats}\n")
        except SnowflakeRefused as error:
            if type(error) is not SnowflakeRefused:
                raise
            return ""
        return str(text) if nodes == 1 else "\n".join(f"node {node} | {text.strip()}" for node in range(nodes))

    def cancel(self, job: str) -> None:
        try:
            found = self._send(Statement("DESCRIBE SERVICE", job), lambda: self.memory.job(job))
            self._send(Statement("CALL SPCS_CANCEL_JOB", job), lambda: self.memory.cancel(found))
        except SnowflakeRefused as error:
            if error.code != MISSING:
                raise

    def _runtime(self, pool: str) -> None:
        if pool not in self.memory.pools:
            raise missing(pool)

    def _sql(self, statement: str, values: Sequence[Any] | None = None) -> Any:
        kind, found, answer = _form(statement)
        target = " ".join(map(str, values[:2])) if values else found.groupdict().get("target") or ""
        return self._send(Statement(kind, target), lambda: answer(self.memory, found, values or ()))

    def _send(self, statement: Statement, work: Callable[[], Any]) -> Any:
        self.hook(statement, "before")
        reply = _reply(work)
        try:
            self.hook(statement, "after")
        except Repeated:
            reply = _reply(work)
        if isinstance(reply, SnowflakeRefused):
            raise reply
        return reply


def _form(statement: str) -> tuple[str, re.Match[str], Answer]:
    for pattern, kind, answer in FORMS:
        if found := pattern.match(statement):
            return kind, found, answer
    raise NotImplementedError(f"tests/faults/memory.py does not know: {statement}")


def _reply(work: Callable[[], Any]) -> Any:
    """A refusal is a reply too: it can be lost as any other."""
    try:
        return work()
    except SnowflakeRefused as error:
        return error


def _globs(files: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """The client sends a folder's files of one ending together."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(files):
        pure = PurePosixPath(path)
        found.setdefault((str(pure.parent), pure.suffix), []).append(path)
    return found


def _create(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    memory.tables.add(found[1])
    return []


def _ledger(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    if "LEDGER_LATEST" not in memory.tables:
        raise missing("LEDGER_LATEST")
    now = memory.clock
    return [{"event": event, "NOW": now} for event in memory.latest.values()]


def _insert(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    run, kind, body = values
    memory.record(run, kind, json.loads(body))
    return []


def _show_stages(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    return [
        {"name": name, "comment": stage.comment, "created_on": stage.created}
        for name, stage in memory.stages.items()
        if like(found[1])(name)
    ]


def _show_jobs(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    listed = () if memory.hidden else memory.jobs
    return [{"name": job.name, "status": job.status} for job in listed if memory.known(job)]


def _show_pools(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    return [
        {"name": name, "instance_family": family, "max_nodes": nodes, "state": "ACTIVE"}
        for name, (nodes, family) in memory.pools.items()
    ]


def _create_stage(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    return memory.create_stage(found[2], _unquoted(found[3]), if_not_exists=bool(found[1]))


def _list(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    return [{"name": name, "size": len(content)} for name, content in memory.below(found[1], found[2]).items()]


def _remove(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    return memory.remove(found[1], found[2])


def _drop(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    return memory.drop_stage(found[1])


def _sample_scores(memory: Memory, found: re.Match[str], values: Sequence[Any]) -> Rows:
    if "SAMPLE_SCORES" not in memory.tables:
        raise missing("SAMPLE_SCORES")
    return [
        {"RUN": run, "SCORE": score, "SAMPLE_ID": sample, "VALUE": value}
        for run in dict.fromkeys(values)
        for (score, sample), value in memory.scores.get(run, {}).items()
    ]


_FORMS: tuple[tuple[str, str, Answer], ...] = (
    (r"CREATE (?:TABLE|VIEW) IF NOT EXISTS (?P<target>\w+)", "CREATE TABLE", _create),
    (r"SELECT .* FROM LEDGER_LATEST$", "SELECT FROM LEDGER_LATEST", _ledger),
    (r"SHOW STAGES LIKE '(?P<target>[^']*)'", "SHOW STAGES", _show_stages),
    (r"SHOW JOB SERVICES LIKE '([^']*)'", "SHOW JOB SERVICES", _show_jobs),
    (r"SHOW COMPUTE POOLS$", "SHOW COMPUTE POOLS", _show_pools),
    (r"CREATE STAGE (IF NOT EXISTS )?(?P<target>\w+) .*?COMMENT = '(.*)'$", "CREATE STAGE", _create_stage),
    (r"INSERT INTO LEDGER ", "INSERT INTO LEDGER", _insert),
    (r"LIST @(?:\w+\.)*(?P<target>\w+)/(.*)", "LIST", _list),
    (r"REMOVE @(?:\w+\.)*(?P<target>\w+)/(.*)", "REMOVE", _remove),
    (r"DROP STAGE IF EXISTS (?:\w+\.)*(?P<target>\w+)", "DROP STAGE", _drop),
    (r"SELECT CURRENT_USER\(\) AS NAME$", "SELECT CURRENT_USER", lambda *_: [{"NAME": "PISTE_SUBMIT"}]),
    (r"SELECT .* FROM SAMPLE_SCORES ", "SELECT FROM SAMPLE_SCORES", _sample_scores),
)
FORMS = tuple((re.compile(pattern, re.DOTALL), kind, answer) for pattern, kind, answer in _FORMS)


def _unquoted(literal: str) -> str:
    return re.sub(r"\\(.)", r"\1", literal)


@cache
def like(literal: str) -> Callable[[str], bool]:
    """Whether a name fits the pattern of a LIKE, given as it stands between the quotes of its literal."""
    parts = re.findall(r"\\.|.", _unquoted(literal), re.DOTALL)
    wild = {"%": ".*", "_": "."}
    pattern = "".join(wild.get(part) or re.escape(part[-1]) for part in parts)
    return lambda name: re.fullmatch(pattern, name, re.DOTALL | re.IGNORECASE) is not None
