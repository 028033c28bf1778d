"""Try on an account what piste takes for true of Snowflake's server (inferences.py), in minutes and for a hundredth of
a credit.

Everything that is made here is named PROBE_<random>… and is removed at the end, whatever happens.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from piste import cost, resources
from piste.environment import Pool, Runtime, Settings
from piste.errors import PisteError, PolicyRefused, SnowflakeRefused
from piste.inferences import INFERENCES, Inference, Report, Tried, Verdict
from piste.journeys.planning import cheapest_pool
from piste.observed import ENDED_JOBS, FENCE
from piste.payload import Payload
from piste.snowflake import EXISTS, MISSING, OBSERVE, Account, Answer
from piste.tables import TABLES

SECONDS, CLEARING = 300.0, 45.0
"""All that a probe may take; the last part of it is kept for removing what it made."""

MOST_CREDITS = 0.1
JOBS = 2
CLOCK_SECONDS = 30.0
"""How far two clocks may be apart; far below the grace that they measure."""

LEAST_PYTHON = (3, 11)
LIVE_JOBS = {"PENDING", "RUNNING", "CANCELLING"}

DOCUMENT: dict[str, Any] = {
    "other": "A",
    "numbers": [0, -1, 2**53, 0.1, 1e-05, 6.7890123456789, 1.5e300],
    "text": "Größe ½ — 💧 'quoted' \"twice\" \\ back\nnext line",
    "nested": {"empty": {}, "list": [], "null": None, "yes": True, "no": False, "": ""},
}
COMMENT = {
    **dict.fromkeys(("training", "generation", "scoring", "suite"), "0f" * 32),
    "experiment": "an-experiment-" + "x" * 66,
    "variant": "seed=1, optimizer.learning_rate=0.001, größe='ä', \\ and \"quotes\", " + "y" * 140,
    "actor": "@probe",
    "commit": "0f" * 20,
    "steps": ["train", "generate", "score"],
}
"""As long as those of claims get, and with all that has to be escaped."""


@dataclass(frozen=True)
class Ready:
    """What will be done where. `base` begins every name; `credits` is what it may cost at most, None if unknown."""

    base: str
    pool: Pool
    nodes: int
    credits: float | None
    image: str
    package: str

    @property
    def run(self) -> str:
        return f"{self.base}_CLAIM"

    @property
    def ledger(self) -> str:
        return f"{self.base}_LEDGER"


def ready(account: Account, settings: Settings, root: Path) -> Ready:
    """Choose the cheapest pool of the environment.

    Raises:
        PolicyRefused: even that may cost too much; nothing was made.
        PisteError: the environment has no pool that this role may see.
    """
    pool = cheapest_pool(account, settings.rates)
    if pool is None:
        raise PisteError("The environment has no compute pool.", "Run `piste doctor` for the SQL that makes it.")
    rate, nodes = settings.rates.get(pool.family), min(JOBS, pool.nodes)
    at_most = None if rate is None else cost.credits(SECONDS, nodes, rate)
    if at_most is not None and at_most > MOST_CREDITS:
        raise PolicyRefused(
            f"A probe on {pool.name} ({pool.family}) may cost {at_most:.2f} credits; {MOST_CREDITS} is the most.",
            "Give the environment a pool of a small CPU family. Nothing was submitted.",
        )
    runtime = settings.runtimes.get(settings.runtime)
    package = _package(runtime, root) if account.environment.external_access else ""
    base = f"PROBE_{secrets.token_hex(4).upper()}"
    return Ready(base, pool, nodes, at_most, runtime.image if runtime else "", package)


def _package(runtime: Runtime | None, root: Path) -> str:
    """A small package of the runtime's lock: one that almost every lock has, else its first."""
    lines = (root / runtime.lock).read_text().splitlines() if runtime else []
    pins = [line.split(";")[0].split("--")[0].strip() for line in lines if "==" in line and line[0].isalnum()]
    return next((pin for pin in pins if pin.startswith("packaging==")), pins[0] if pins else "")


def announcement(ready: Ready, account: Account) -> str:
    place = f"{account.environment.database}.{account.environment.schema}"
    price = "at an unknown price" if ready.credits is None else f"at most {ready.credits:.3f} credits"
    pool = f"{ready.pool.name} ({ready.pool.family})"
    return (
        f"probe: makes {ready.base}… in {place} (stages, a table, a view) and runs {JOBS} short jobs on {pool};"
        f" removes all of it; at most {SECONDS / 60:.0f} minutes, {price} (and what the pool idles before it suspends)"
    )


def run(
    account: Account,
    ready: Ready,
    note: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Report:
    """Try every inference, then remove what was made; also when it is interrupted. `note` hears how it goes."""
    scene = Scene(account, ready, note, clock, pause)
    tried: list[Tried] = []
    left: tuple[str, ...] = (f"{ready.base}…",)
    try:
        scene.begin()
        for inference in INFERENCES:
            tried.append(_try(scene, inference))
    finally:
        note("probe: removing what it made")
        try:
            left = scene.clear()
        finally:
            note(f"probe: left behind: {', '.join(left)}" if left else "probe: nothing is left behind")
    return Report(tuple(tried), left)


def _try(scene: Scene, inference: Inference) -> Tried:
    begun = scene.clock()
    check = CHECKS.get(inference.id)
    try:
        if check is None:
            verdict = Verdict(None, "not probed")
        elif scene.clock() >= scene.deadline + CLEARING / 4:
            verdict = Verdict(None, "no time was left")
        else:
            verdict = check(scene)
    except PisteError as error:
        verdict = Verdict(None, " ".join(error.message.split()))
    except NotKnown as reason:
        verdict = Verdict(None, str(reason))
    return Tried(inference, verdict, scene.clock() - begun)


class NotKnown(Exception):
    """Nothing was seen that could tell; its words say why."""


@dataclass
class Scene:
    """What was made on the account, and what has been seen of it."""

    account: Account
    ready: Ready
    note: Callable[[str], None]
    clock: Callable[[], float]
    pause: Callable[[float], None]
    word: str = field(default_factory=lambda: secrets.token_hex(8))
    stages: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    first_seen: dict[str, str] = field(default_factory=dict)
    listed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    told: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    claimed: float | None = None
    doing: str = ""
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = self.clock() + SECONDS - CLEARING

    @property
    def schema(self) -> str:
        return f"{self.account.environment.database}.{self.account.environment.schema}"

    def begin(self) -> None:
        """The ledger, the claim, and two jobs of it. What is refused is kept for those who need it."""
        self.ask("ALTER SESSION SET STATEMENT_TIMEOUT_IN_SECONDS = 60")
        for statement in (TABLES[0], TABLES[-1]):
            answer = self.ask(statement.replace("LEDGER", self.ready.ledger))
            if answer.error is not None:
                self.refusals["ledger"] = answer.message
        with self._noted("claim"):
            self._claim(COMMENT)
        if "claim" in self.refusals:
            with self._noted("second claim"):
                self._claim({"actor": "@probe"})
        for _ in range(JOBS):
            with self._noted("jobs"):
                self._submit()

    def _claim(self, comment: Mapping[str, Any]) -> None:
        self.stages += [self.ready.run, self.ready.run + FENCE, f"{self.ready.ledger}_RACE"]
        self.account.claim(self.ready.run, comment)
        self.claimed = self.clock()

    def _submit(self) -> None:
        name = self.account.submit(
            _payload(self.ready, self.word),
            self.ready.pool.name,
            1,
            self.ready.image or None,
            f"piste probe {self.ready.base}",
        )
        self.jobs.append(name)
        self.look()
        self.first_seen[name] = str(self.listed[name]["status"]) if name in self.listed else ""

    @contextlib.contextmanager
    def _noted(self, what: str) -> Iterator[None]:
        try:
            yield
        except SnowflakeRefused as error:
            self.refusals[what] = " ".join(error.message.split())

    def ask(self, statement: str, values: Sequence[Any] | None = None) -> Answer:
        return self.account.attempt(statement, values)

    def rows(self, statement: str, values: Sequence[Any] | None = None) -> tuple[dict[str, Any], ...]:
        """Raises NotKnown where the statement is refused."""
        answer = self.ask(statement, values)
        if answer.error is not None:
            raise NotKnown(answer.message)
        return answer.rows

    def tell(self, event: str, body: Mapping[str, Any]) -> None:
        """A row of the probe's ledger, made as `Account.record` makes one."""
        text = json.dumps(body, sort_keys=True, ensure_ascii=False)
        statement = f"INSERT INTO {self.ready.ledger} SELECT ?, CURRENT_TIMESTAMP(), ?, PARSE_JSON(?)"
        self.rows(statement, [self.ready.base, event, text])

    def like(self, name: str) -> str:
        """SHOW STAGES for one name, escaped as `Account.observe` does it."""
        return f"SHOW STAGES LIKE '{_escaped(name)}' IN SCHEMA {self.schema}"

    def look(self) -> Mapping[str, Mapping[str, Any]]:
        """The probe's jobs as SHOW lists them, by name."""
        statement = OBSERVE[2].replace("RUN", _escaped(self.ready.base)).format(schema=self.schema)
        self.listed = {str(row["name"]): row for row in self.rows(statement)}
        return self.listed

    def status(self, job: str) -> str:
        return str(self.listed[job]["status"]) if job in self.listed else ""

    def listen(self) -> None:
        """What the jobs have said so far, the latest of each event."""
        found = self.rows(f"SELECT EVENT, BODY FROM {self.ready.ledger} WHERE RUN = ? ORDER BY AT", [self.ready.run])
        self.heard = [str(row["EVENT"]) for row in found]
        self.told = {str(row["EVENT"]): json.loads(row["BODY"]) for row in found}

    def hear(self, event: str) -> Mapping[str, Any]:
        """A job's word, once it has come. Raises NotKnown when it will not come, or not in time."""
        self._need_jobs()
        self.until(lambda: event in self.told or self._is_over(event))
        if event not in self.told:
            raise NotKnown(self._why_not())
        return self.told[event]

    def found(self, event: str, look: str) -> Any:
        """What a job's look found. Raises NotKnown where it could not look."""
        seen = self.hear(event)[look]
        if isinstance(seen, dict) and "error" in seen:
            number = f" {seen['code']:06d}" if seen.get("code") else ""
            raise NotKnown(f"{seen['error']}{number} in the job")
        return seen

    def until(self, condition: Callable[[], bool]) -> bool:
        """Look and listen until it is so; False if that was not in time."""
        wait = 0.5
        while True:
            self.look()
            self.listen()
            if (doing := self._doing()) != self.doing:
                self.note(f"probe: {doing}")
                self.doing = doing
            if condition():
                return True
            if self.clock() + wait > self.deadline:
                return False
            self.pause(wait)
            wait = min(wait * 1.3, 5.0)

    def worker(self) -> str:
        """The job that passed the fence."""
        service = str(self.hear("passed")["service"])
        return service if service in self.jobs else self.jobs[0]

    def sleeper(self) -> str:
        if len(self.jobs) < JOBS:
            raise NotKnown(self.refusals.get("jobs", "there is no second job"))
        worker = self.worker()
        return next(job for job in self.jobs if job != worker)

    def ended(self, job: str) -> str:
        """The status that it ended with. Raises NotKnown if that was not in time."""
        if not self.until(lambda: self.status(job) in ENDED_JOBS):
            raise NotKnown(self._why_not())
        return self.status(job)

    def _need_jobs(self) -> None:
        if not self.jobs:
            raise NotKnown(self.refusals.get("jobs", "there is no job"))

    def _is_over(self, event: str) -> bool:
        """Whether those have ended who could still say it."""
        worker = str(self.told.get("passed", {}).get("service", ""))
        of_worker = event in ("passed", "looked", "tried")
        those = [job for job in self.jobs if not worker or (job == worker) == of_worker] or self.jobs
        return all(self.status(job) in ENDED_JOBS for job in those)

    def _doing(self) -> str:
        return f"the jobs are {', '.join(self.status(job) or 'not listed' for job in self.jobs)}"

    def _why_not(self) -> str:
        waiting = any(self.status(job) == "PENDING" for job in self.jobs)
        return f"{self._doing()}{'; once the pool has started, try again' if waiting else ''}"

    def clear(self) -> tuple[str, ...]:
        """Remove everything; the names of what could not be removed.

        Twice: the answer to what was asked last may have been lost, or cut off by an interruption.
        """
        for _ in range(2):
            left = [*self._drop_jobs(), *self._drop_stages()]
        for kind, name in (("VIEW", f"{self.ready.ledger}_LATEST"), ("TABLE", self.ready.ledger)):
            left += self._drop(kind, name)
        return tuple(left)

    def _drop_jobs(self) -> list[str]:
        with contextlib.suppress(PisteError, NotKnown):
            self.look()
        jobs = sorted({*self.jobs, *(name for name in self.listed if name.startswith(self.ready.base))})
        for job in filter(self._is_alive, jobs):
            with contextlib.suppress(PisteError):
                self.account.cancel(job)
        self._wait_for(jobs)
        return [name for job in jobs for name in self._drop("SERVICE", job)]

    def _wait_for(self, jobs: Sequence[str]) -> None:
        """A job that still runs could make its fence anew."""
        last = self.clock() + CLEARING / 2
        with contextlib.suppress(PisteError, NotKnown):
            while any(map(self._is_alive, jobs)) and self.clock() < last:
                self.pause(0.5)
                self.look()

    def _is_alive(self, job: str) -> bool:
        return job in self.listed and self.status(job) not in ENDED_JOBS

    def _drop_stages(self) -> list[str]:
        shown: list[str] = []
        with contextlib.suppress(PisteError):
            shown = [str(row["name"]) for row in self.ask(self.like(self.ready.base + "%")).rows]
        ours = {name for name in shown if name.startswith(self.ready.base)}
        return [name for stage in sorted({*self.stages, *ours}) for name in self._drop("STAGE", stage)]

    def _drop(self, kind: str, name: str) -> list[str]:
        """[] if it is gone, else its name."""
        try:
            gone = self.ask(f"DROP {kind} IF EXISTS {self.schema}.{name}").error in (None, MISSING)
        except PisteError:
            gone = False
        return [] if gone else [f"{kind.lower()} {self.schema}.{name}"]


def _escaped(name: str) -> str:
    return name.replace("_", r"\\_")


def _job_name(ready: Ready) -> str:
    return f"{ready.run}_JOB"


def _payload(ready: Ready, word: str) -> Payload:
    """The payload of runs, with another thing to do."""
    files = resources.payload_files()
    task = {
        "run": ready.run,
        "ledger": ready.ledger,
        "word": word,
        "package": ready.package,
        "sleep_seconds": SECONDS,
    }
    main = files["main.py"].replace(b"payload.job", b"payload.probe_job")
    made = {"main.py": main, "probe.json": json.dumps(task).encode(), "marker.txt": word.encode()}
    return Payload(ready.run, _job_name(ready), made | {f"payload/{path}": content for path, content in files.items()})


def _is(found: object, wanted: object, said: str = "") -> Verdict:
    return Verdict(True) if found == wanted else Verdict(False, said or f"found {found}")


def _exists(scene: Scene) -> Verdict:
    if scene.claimed is None:
        raise NotKnown(scene.refusals.get("second claim", "there is no claim"))
    answer = scene.ask(f"CREATE STAGE {scene.ready.run}")
    return _is(answer.error, EXISTS, f"error {answer.error}" if answer.error else "it was made again")


def _missing(scene: Scene) -> Verdict:
    nothing = f"{scene.schema}.{scene.ready.base}_NOTHING"
    errors = [scene.ask(f"SELECT * FROM {nothing}").error, scene.ask(f"LIST @{nothing}/results.json").error]
    return _is(errors, [MISSING, MISSING], f"errors {errors}")


def _comment(scene: Scene) -> Verdict:
    if "claim" in scene.refusals:
        return Verdict(False, scene.refusals["claim"])
    rows = [row for row in scene.rows(scene.like(scene.ready.run)) if row["name"] == scene.ready.run]
    if not rows:
        return Verdict(False, "the stage is not shown")
    try:
        found = json.loads(rows[0]["comment"])
    except ValueError:
        return Verdict(False, f"{len(rows[0]['comment'])} characters of it came back")
    same = len(found.pop("nonce", "")) == 32 and found == COMMENT
    return Verdict(same, f"{len(rows[0]['comment'])} characters" if same else "it came back changed")


def _like(scene: Scene) -> Verdict:
    other = f"{scene.ready.base}XCLAIM"
    scene.stages.append(other)
    scene.rows(f"CREATE STAGE {other}")
    shown = sorted(str(row["name"]) for row in scene.rows(scene.like(scene.ready.run)))
    return _is(shown, [scene.ready.run], f"{len(shown)} stages were shown")


def _clock(scene: Scene) -> Verdict:
    rows = [row for row in scene.rows(scene.like(scene.ready.run)) if row["name"] == scene.ready.run]
    if not rows:
        raise NotKnown("the stage is not shown")
    assert scene.claimed is not None
    now = scene.rows("SELECT CURRENT_TIMESTAMP() AS NOW")[0]["NOW"]
    age = (_moment(now) - _moment(rows[0]["created_on"])).total_seconds()
    apart = abs(age - (scene.clock() - scene.claimed))
    return Verdict(apart <= CLOCK_SECONDS, f"{apart:.1f} s apart")


def _moment(at: datetime | str) -> datetime:
    """As `Account.observe` reads it: what names no zone is UTC."""
    found = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _json(scene: Scene) -> Verdict:
    _need_ledger(scene)
    scene.tell("compared", DOCUMENT)
    rows = scene.rows(f"SELECT BODY FROM {scene.ready.ledger} WHERE RUN = ?", [scene.ready.base])
    return _is(json.loads(rows[0]["BODY"]), DOCUMENT, "it came back changed")


def _latest(scene: Scene) -> Verdict:
    _need_ledger(scene)
    scene.tell("compared", {"other": "B"})
    for step in (1, 2):
        scene.tell("heartbeat", {"step": step})
    view = f"SELECT EVENT, BODY FROM {scene.ready.ledger}_LATEST WHERE RUN = ?"
    rows = [(row["EVENT"], json.loads(row["BODY"])) for row in scene.rows(view, [scene.ready.base])]
    seen = sorted((str(event), str(body.get("other", body.get("step")))) for event, body in rows)
    return _is(seen, [("compared", "A"), ("compared", "B"), ("heartbeat", "2")], f"{len(seen)} rows")


def _need_ledger(scene: Scene) -> None:
    if "ledger" in scene.refusals:
        raise NotKnown(scene.refusals["ledger"])


def _pool(scene: Scene) -> Verdict:
    pool = scene.ready.pool
    return Verdict(bool(pool.family) and pool.nodes > 0, f"{pool.name}: {pool.nodes} × {pool.family}")


def _name(scene: Scene) -> Verdict:
    scene._need_jobs()
    given = _job_name(scene.ready)
    well = all(job.startswith(given) and job != given for job in scene.jobs)
    return Verdict(well, scene.jobs[0].removeprefix(given))


def _listed(scene: Scene) -> Verdict:
    scene._need_jobs()
    seen = list(scene.first_seen.values())
    well = len(seen) == len(scene.jobs) and all(status in LIVE_JOBS | ENDED_JOBS for status in seen)
    return Verdict(well, ", ".join(status or "not listed" for status in seen))


def _listed_after(scene: Scene) -> Verdict:
    return _is(status := scene.ended(scene.worker()), "DONE", f"it ended as {status}")


def _job_comment(scene: Scene) -> Verdict:
    scene._need_jobs()
    job = next((scene.listed[job] for job in scene.jobs if job in scene.listed), None)
    if job is None:
        raise NotKnown("no job is listed")
    return _is(job.get("comment"), f"piste probe {scene.ready.base}", "it is not shown")


def _twice(scene: Scene) -> Verdict:
    if len(scene.jobs) < JOBS:
        return Verdict(False if scene.jobs else None, scene.refusals.get("jobs", ""))
    return Verdict(len(set(scene.jobs)) == JOBS)


def _service(scene: Scene) -> Verdict:
    said = [str(scene.hear(event)["service"]) for event in ("passed", "stayed")]
    return _is(sorted(said), sorted(scene.jobs), f"the jobs say {', '.join(map(repr, said))}")


def _fence(scene: Scene) -> Verdict:
    scene.hear("passed")
    return _is(scene.found("looked", "fence_again"), True, "it did not find its own name")


def _one_passes(scene: Scene) -> Verdict:
    scene.hear("passed")
    with contextlib.suppress(NotKnown):
        scene.hear("stayed")
    events = sorted(event for event in scene.heard if event in ("passed", "stayed"))
    if events == ["passed"]:
        raise NotKnown("the second job has not spoken")
    return _is(events, ["passed", "stayed"], f"{events.count('passed')} passed")


def _inserts(scene: Scene) -> Verdict:
    scene.hear("passed")
    return Verdict(True)


def _race(scene: Scene) -> Verdict:
    codes = scene.found("tried", "race")
    won = codes.count(0)
    others = sorted({code for code in codes if code})
    return Verdict(won == 1 and others == [EXISTS], f"{won} of {len(codes)} won, the others got {others}")


def _package_found(scene: Scene) -> Verdict:
    code = scene.found("tried", "package")
    if code is None:
        raise NotKnown("the environment names no external_access, or the runtime no package")
    return _is(code, 0, f"pip could not download {scene.ready.package}")


def _python(scene: Scene) -> Verdict:
    version = str(scene.hear("looked")["python"])
    return Verdict(tuple(int(part) for part in version.split(".")[:2]) >= LEAST_PYTHON, version)


def _repeated(scene: Scene) -> Verdict:
    rows = scene.found("looked", "repeated")
    return Verdict(rows == 1, "answered from memory" if rows == 1 else f"executed again: {rows} rows")


def _results(scene: Scene) -> Verdict:
    scene.ended(scene.worker())
    content = scene.account.read(scene.ready.run, "results.json")
    if content is None:
        return Verdict(False, "it is not there")
    return _is(json.loads(content).get("word"), scene.word, "it came back changed")


def _removed(scene: Scene) -> Verdict:
    scene.ended(scene.worker())
    place = f"LIST @{scene.schema}.{scene.ready.run}"
    before = _folders(scene.rows(place))
    if not {"kept", "kept-too"} <= before:
        raise NotKnown("the job left no folders to remove")
    scene.account.remove(scene.ready.run, "kept")
    return _is(gone := before - _folders(scene.rows(place)), {"kept"}, f"{', '.join(sorted(gone)) or 'nothing'} went")


def _folders(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Of a stage, from its files as `stage/folder/file`; a file of no folder by its own name."""
    return {str(row["name"]).split("/")[1] for row in rows}


def _logs(scene: Scene) -> Verdict:
    worker = scene.worker()
    scene.ended(worker)
    return _is(f"piste | probed {scene.word}" in scene.account.logs(worker), True, "the line is not there")


def _cancel(scene: Scene) -> Verdict:
    scene.hear("stayed")
    sleeper = scene.sleeper()
    scene.account.cancel(sleeper)
    return _is(status := scene.ended(sleeper), "CANCELLED", f"it ended as {status}")


def _sigterm(scene: Scene) -> Verdict:
    scene.hear("stayed")
    if scene.ended(scene.sleeper()) != "CANCELLED":
        raise NotKnown("no job was cancelled")
    scene.listen()
    return _is("told" in scene.told, True, "it had no time to speak")


def _role(scene: Scene) -> Verdict:
    mine = scene.rows("SELECT CURRENT_ROLE() AS ROLE")[0]["ROLE"]
    return _is(found := scene.found("looked", "role"), mine, f"{found}, not {mine}")


def _history(scene: Scene) -> Verdict:
    answer = scene.ask("SELECT NAME, STATUS FROM TABLE(SNOWFLAKE.SPCS.GET_JOB_HISTORY()) LIMIT 1")
    return Verdict(answer.error is None, answer.message)


def _looked(look: str, wanted: object) -> Callable[[Scene], Verdict]:
    return lambda scene: _is(scene.found("looked", look), wanted)


CHECKS: Mapping[str, Callable[[Scene], Verdict]] = {
    "exists-2002": _exists,
    "one-winner": _race,
    "missing-2003": _missing,
    "comment-whole": _comment,
    "show-like": _like,
    "one-clock": _clock,
    "json-whole": _json,
    "latest-view": _latest,
    "pool-described": _pool,
    "job-name": _name,
    "job-listed": _listed,
    "job-ended": _listed_after,
    "job-comment": _job_comment,
    "twice-submitted": _twice,
    "service-name": _service,
    "job-may-fence": _fence,
    "one-job-passes": _one_passes,
    "job-may-insert": _inserts,
    "job-role": _role,
    "job-hears-2002": _looked("exists", EXISTS),
    "child-session": lambda scene: _is(scene.found("tried", "child"), 0, "it could not"),
    "mount-shows": lambda scene: _is(scene.found("looked", "marker"), scene.word, "another word is in it"),
    "mount-refuses": _looked("append", "refused"),
    "stage-files": _looked("fetched", True),
    "results": _results,
    "remove-folder": _removed,
    "logs": _logs,
    "cancel": _cancel,
    "sigterm": _sigterm,
    "repeated-request": _repeated,
    "history": _history,
    "python": _python,
    "packages": _package_found,
}
"""By inference. Those without a check are only told."""
