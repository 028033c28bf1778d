"""The list of inferences, how a probe judges each, and what it leaves; against an account that answers wrongly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from piste import probe
from piste.environment import Environment, Pool, Runtime, Settings
from piste.errors import PisteError, PolicyRefused, SnowflakeRefused
from piste.inferences import INFERENCES, Inference, Report, Tried, Verdict, as_json, text
from piste.payload import Payload
from piste.snowflake import Answer

ENVIRONMENT = Environment("dev", "PISTE", "DEV", pools={"cpu": "PISTE_CPU"}, external_access=("PISTE_PYPI",))
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LOOKED = {
    "fence_again": True,
    "exists": 2002,
    "append": "refused",
    "fetched": True,
    "repeated": 1,
    "python": "3.11.7",
    "role": "SUBMITS",
}
TRIED = {"race": [2002, 0, *[2002] * 6], "child": 0, "package": 0}


@dataclass
class Fake:
    """An account in memory whose jobs do all at once; `faults` are what it does otherwise than piste believes."""

    faults: Mapping[str, Any] = field(default_factory=dict)
    environment: Environment = ENVIRONMENT
    seconds: float = 0.0
    stages: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    tables: set[str] = field(default_factory=set)
    rows: list[tuple[str, str, str]] = field(default_factory=list)
    jobs: dict[str, dict[str, str]] = field(default_factory=dict)
    ever: list[str] = field(default_factory=list)
    payload: Payload | None = None
    files: list[str] = field(default_factory=lambda: ["kept/sent.txt", "kept-too/sent.txt", "results.json"])

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.seconds)

    def pause(self, seconds: float) -> None:
        if "interrupt" in self.faults:
            raise KeyboardInterrupt
        self.seconds += seconds

    def everything(self) -> list[str]:
        return [*self.stages, *self.tables, *self.jobs]

    def pools(self) -> dict[str, Pool]:
        names = self.environment.pools.values()
        return {name: Pool(name, str(self.faults.get("family", "CPU_X64_S")), 2, "IDLE") for name in names}

    def claim(self, name: str, comment: Mapping[str, Any]) -> str | None:
        written = json.dumps({**comment, "nonce": "0" * 32}).replace("@probe", self.faults.get("actor", "@probe"))
        self.stages[name] = (written[: self.faults.get("comment", None)], self.now)
        return None

    def submit(self, payload: Payload, pool: str, nodes: int, image: str | None, comment: str) -> str:
        if "submit" in self.faults:
            raise SnowflakeRefused("no\n  jobs")
        self.payload = payload
        task = json.loads(payload.files["probe.json"])
        name = f"{self.faults.get('prefix', payload.job_name)}_{len(self.jobs)}"
        first = not self.jobs
        status = "DONE" if first else "RUNNING"
        self.jobs[name] = {"status": self.faults.get("status", status), "comment": comment}
        self.ever.append(name)
        if "status" not in self.faults:
            self._work(task, str(self.faults.get("service", name)), first or "both pass" in self.faults)
        return name

    def _work(self, task: Mapping[str, Any], service: str, first: bool) -> None:
        self._say(task["run"], "passed" if first else "stayed", {"service": service})
        if first:
            self.stages[f"{task['run']}_STARTED"] = (service, self.now)
            looked = {**LOOKED, "marker": task["word"], **self.faults.get("looked", {})}
            self._say(task["run"], "looked", {**looked, "service": service})
            self._say(task["run"], "tried", {**TRIED, **self.faults.get("tried", {})})

    def _say(self, run: str, event: str, body: Mapping[str, Any]) -> None:
        self.rows.append((run, event, json.dumps(body)))

    def cancel(self, job: str) -> None:
        self.jobs[job]["status"] = self.faults.get("cancelled", "CANCELLED")
        if self.payload and "no sigterm" not in self.faults:
            self._say(self.payload.claim, "told", {})

    def read(self, run: str, path: str) -> bytes | None:
        assert self.payload is not None
        word = self.payload.files["marker.txt"].decode()
        return None if "no results" in self.faults else json.dumps({"word": word}).encode()

    def remove(self, run: str, folder: str) -> None:
        gone = "prefix of folders" in self.faults
        self.files = [file for file in self.files if not file.startswith(folder if gone else f"{folder}/")]

    def list(self, match: re.Match[str], _: list[Any]) -> Answer:
        return Answer(tuple({"name": f"stage/{file}"} for file in self.files))

    def logs(self, job: str) -> str:
        assert self.payload is not None
        return "" if "no logs" in self.faults else f"piste | probed {self.payload.files['marker.txt'].decode()}\n"

    def attempt(self, statement: str, values: Sequence[Any] | None = None) -> Answer:
        for pattern, answer in STATEMENTS.items():
            if match := re.match(pattern, statement):
                return answer(self, match, list(values or ()))
        raise AssertionError(statement)

    def make(self, match: re.Match[str], _: list[Any]) -> Answer:
        kind, name = match[1], match[3]
        if kind != "STAGE":
            self.tables.add(name)
        elif name in self.stages and "exists" in self.faults:
            return Answer(error=self.faults["exists"])
        elif name in self.stages:
            return Answer(error=2002)
        else:
            self.stages[name] = ("", self.now)
        return Answer()

    def drop(self, match: re.Match[str], _: list[Any]) -> Answer:
        name = match[2].rpartition(".")[2]
        if match[1] == self.faults.get("drop"):
            return Answer(error=3001)
        self.stages.pop(name, None)
        self.jobs.pop(name, None)
        self.tables.discard(name)
        return Answer()

    def show_stages(self, match: re.Match[str], _: list[Any]) -> Answer:
        pattern = match[1].replace(r"\\_", "." if "like" in self.faults else "_").replace("%", ".*")
        created = {"created_on": timedelta(hours=self.faults.get("hours", 0))}
        return Answer(
            tuple(
                {"name": name, "comment": comment, "created_on": at - created["created_on"]}
                for name, (comment, at) in self.stages.items()
                if re.fullmatch(pattern, name)
            )
        )

    def show_jobs(self, match: re.Match[str], _: list[Any]) -> Answer:
        if "unlisted" in self.faults:
            return Answer()
        return Answer(tuple({"name": name, **job, **self.faults.get("job", {})} for name, job in self.jobs.items()))

    def insert(self, _: re.Match[str], values: list[Any]) -> Answer:
        self.rows.append((values[0], values[1], values[2].replace("Größe", self.faults.get("mangled", "Größe"))))
        return Answer()

    def select(self, match: re.Match[str], values: list[Any]) -> Answer:
        rows = [(event, body) for run, event, body in self.rows if run == values[0]]
        if match[1].endswith("_LATEST"):
            latest = {(event, json.loads(body).get("other")): (event, body) for event, body in rows}
            rows = rows if "view" in self.faults else list(latest.values())
        return Answer(tuple({"EVENT": event, "BODY": body} for event, body in rows))


Handler = Callable[[Fake, re.Match[str], list[Any]], Answer]
STATEMENTS: dict[str, Handler] = {
    r"ALTER SESSION": lambda *_: Answer(),
    r"CREATE (TABLE|VIEW|STAGE) (IF NOT EXISTS )?(\S+)": Fake.make,
    r"DROP (\w+) IF EXISTS (\S+)": Fake.drop,
    r"SHOW STAGES LIKE '([^']*)'": Fake.show_stages,
    r"SHOW JOB SERVICES": Fake.show_jobs,
    r"INSERT INTO": Fake.insert,
    r"SELECT CURRENT_ROLE": lambda *_: Answer(({"ROLE": "SUBMITS"},)),
    r"SELECT CURRENT_TIMESTAMP": lambda fake, *_: Answer(({"NOW": fake.now},)),
    r"SELECT NAME, STATUS FROM TABLE": lambda fake, *_: Answer(error=fake.faults.get("history")),
    r"(?:SELECT \* FROM|LIST) \S*_NOTHING": lambda fake, *_: Answer(error=fake.faults.get("missing", 2003)),
    r"SELECT [A-Z, ]+ FROM (\S+)": Fake.select,
    r"LIST ": Fake.list,
}
ALL = {one.id for one in INFERENCES}
TOLD_ONLY = {one.id for one in INFERENCES if not one.probe}


def ready(fake: Fake, **credits: float) -> probe.Ready:
    settings = Settings("dev", "cpu", {"dev": ENVIRONMENT}, {"cpu": Runtime("cpu", "lock.txt")}, credits)
    return probe.ready(fake, settings, Path(__file__).parent)  # type: ignore[arg-type]


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_package", lambda *_: "packaging==25.0")


def probed(fake: Fake) -> Report:
    return probe.run(fake, ready(fake), clock=lambda: fake.seconds, pause=fake.pause)  # type: ignore[arg-type]


def verdicts(report: Report, holds: bool | None) -> set[str]:
    return {one.inference.id for one in report.tried if one.verdict.holds is holds}


def test_every_inference_is_complete_and_checked_once() -> None:
    assert len(ALL) == len(INFERENCES)
    assert set(probe.CHECKS) == ALL - TOLD_ONLY
    assert all(one.says and one.where and one.closed_path for one in INFERENCES)


@pytest.mark.usefixtures("lock")
def test_a_server_as_we_believe_it_to_be() -> None:
    fake = Fake()
    report = probed(fake)
    assert (verdicts(report, False), verdicts(report, None)) == (set(), TOLD_ONLY)
    assert report.well
    assert len(fake.ever) == probe.JOBS
    assert (fake.everything(), report.left) == ([], ())


FAULTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "another number for what exists": ({"exists": 3041}, {"exists-2002"}),
    "another number for what is missing": ({"missing": 2043}, {"missing-2003"}),
    "a comment cut off": ({"comment": 256}, {"comment-whole"}),
    "a comment changed": ({"actor": "?probe"}, {"comment-whole"}),
    "LIKE without escapes": ({"like": True}, {"show-like"}),
    "stages dated in local time": ({"hours": 8}, {"one-clock"}),
    "JSON in another encoding": ({"mangled": "Gr??e"}, {"json-whole"}),
    "a view of all rows": ({"view": True}, {"latest-view"}),
    "no instance family": ({"family": ""}, {"pool-described"}),
    "job names of their own": ({"prefix": "PROBE_OTHER"}, {"job-name"}),
    "no comment": ({"job": {"comment": ""}}, {"job-comment"}),
    "no service name": ({"service": ""}, {"service-name"}),
    "both pass the fence": ({"both pass": True}, {"one-job-passes"}),
    "a fence that forgets": ({"looked": {"fence_again": False}}, {"job-may-fence"}),
    "the job makes it again": ({"looked": {"exists": 0}}, {"job-hears-2002"}),
    "another file": ({"looked": {"marker": "old"}}, {"mount-shows"}),
    "appends": ({"looked": {"append": "accepted"}}, {"mount-refuses"}),
    "files come back changed": ({"looked": {"fetched": False}}, {"stage-files"}),
    "another role": ({"looked": {"role": "OTHER"}}, {"job-role"}),
    "executed again": ({"looked": {"repeated": 2}}, {"repeated-request"}),
    "an old Python": ({"looked": {"python": "3.10.14"}}, {"python"}),
    "two winners": ({"tried": {"race": [0, 0, *[2002] * 6]}}, {"one-winner"}),
    "a loser hears something else": ({"tried": {"race": [0, 3041, *[2002] * 6]}}, {"one-winner"}),
    "no session in a child": ({"tried": {"child": 1}}, {"child-session"}),
    "no way to packages": ({"tried": {"package": 1}}, {"packages"}),
    "no results": ({"no results": True}, {"results"}),
    "removing by the first letters": ({"prefix of folders": True}, {"remove-folder"}),
    "no logs": ({"no logs": True}, {"logs"}),
    "cancelled is failed": ({"cancelled": "FAILED"}, {"cancel"}),
    "killed at once": ({"no sigterm": True}, {"sigterm"}),
    "no history": ({"history": 2143}, {"history"}),
    "not listed": ({"unlisted": True}, {"job-listed"}),
}


@pytest.mark.usefixtures("lock")
@pytest.mark.parametrize(("faults", "wrong"), FAULTS.values(), ids=FAULTS.keys())
def test_what_does_not_hold_is_named_with_its_closed_path(faults: dict[str, Any], wrong: set[str]) -> None:
    fake = Fake(faults)
    report = probed(fake)
    assert verdicts(report, False) == wrong
    relied = {one.inference.id for one in report.tried if one.inference.relied}
    assert report.well is not bool(wrong & relied)
    shown = text(report)
    for inference in INFERENCES:
        assert (f"{inference.id}: {inference.closed_path}" in shown) is (inference.id in wrong)
    assert fake.everything() == []


@pytest.mark.usefixtures("lock")
def test_refused_jobs_leave_the_rest_known() -> None:
    report = probed(Fake({"submit": True}))
    unknown = {one.inference.id: one.verdict.detail for one in report.tried if one.verdict.holds is None}
    assert verdicts(report, True) >= {"exists-2002", "show-like", "latest-view", "pool-described"}
    assert (verdicts(report, False), report.well) == (set(), False)
    assert unknown["one-winner"] == unknown["cancel"] == "no jobs"


@pytest.mark.usefixtures("lock")
def test_jobs_that_never_start_are_not_known_in_time() -> None:
    fake = Fake({"status": "PENDING"})
    report = probed(fake)
    details = {one.inference.id: one.verdict.detail for one in report.tried if one.verdict.holds is None}
    assert "PENDING" in details["one-winner"]
    assert "try again" in details["one-winner"]
    assert verdicts(report, False) == set()
    assert not report.well
    assert fake.seconds <= probe.SECONDS
    assert fake.everything() == []


@pytest.mark.usefixtures("lock")
def test_an_interruption_leaves_nothing() -> None:
    fake = Fake({"status": "PENDING", "interrupt": True})
    with pytest.raises(KeyboardInterrupt):
        probed(fake)
    assert len(fake.ever) == probe.JOBS


@pytest.mark.usefixtures("lock")
def test_what_can_not_be_removed_is_named() -> None:
    fake = Fake({"drop": "VIEW"})
    report = probed(fake)
    (view,) = report.left
    assert view.startswith("view PISTE.DEV.PROBE_")
    assert f"left behind, please drop: {view}" in text(report)
    assert fake.everything() == [view.removeprefix("view PISTE.DEV.")]


@pytest.mark.usefixtures("lock")
def test_the_price_is_known_before_or_refused() -> None:
    fake = Fake({"family": "GPU_NV_L"})
    assert ready(Fake({"family": "GPU_OF_TOMORROW"})).credits is None
    assert ready(Fake()).credits == pytest.approx(2 * 300 / 3600 * 0.11)
    assert ready(Fake(), CPU_X64_S=0.22).credits == pytest.approx(2 * 300 / 3600 * 0.22)
    with pytest.raises(PolicyRefused) as refused:
        ready(fake)
    assert refused.value.exit_code == 4
    assert fake.everything() == []


def test_without_a_pool_it_says_what_to_do() -> None:
    nowhere = Fake(environment=Environment("dev", "PISTE", "DEV"))
    with pytest.raises(PisteError, match="no compute pool"):
        ready(nowhere)


def one(holds: bool | None, relied: bool = True) -> Tried:
    return Tried(Inference("a-thing", "it is so", "f", "turn back", "a try", relied), Verdict(holds, "seen"), 1.25)


def test_rendering() -> None:
    assert text(Report((one(True),))) == (
        "holds          a-thing    1.2 s  it is so  (seen)\n\nall that piste relies on holds\n"
    )
    assert text(Report((one(False), one(None), one(False, relied=False)))) == (
        "DOES NOT HOLD  a-thing    1.2 s  it is so  (seen)\n"
        "not known      a-thing    1.2 s  it is so  (seen)\n"
        "DOES NOT HOLD  a-thing    1.2 s  it is so  (seen)  [not relied on]\n"
        "\na-thing: turn back\n"
        "\na-thing: turn back\n"
        "\nof 2 that piste relies on, 1 does not hold, 1 not known\n"
    )


def test_json() -> None:
    document = json.loads(as_json(Report((one(None),), ("stage A.B.C",))))
    (found,) = document["inferences"]
    assert (found["id"], found["verdict"], found["detail"], found["closed_path"]) == (
        "a-thing",
        "not known",
        "seen",
        "turn back",
    )
    assert document["left"] == ["stage A.B.C"]
