"""What piste may expect of an account: the same of the double in memory and of the real client on snowglobe.

Jobs on snowglobe run a program of a few lines with the payload's own `Store`, so that the double's jobs are held to it.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from snowflake.snowpark import Session

import snowglobe
from faults.memory import Memory, MemoryAccount, Moment, Repeated, Statement
from faults.proxy import Fault, Proxy
from piste.environment import Environment, Pool
from piste.errors import SnowflakeRefused
from piste.observed import ENDED_JOBS, Job, Observation
from piste.payload import Payload
from piste.snowflake import EXISTS, MISSING, Account

ENVIRONMENT = Environment("dev", "PISTE", "DEV", pools={"cpu": "PISTE_CPU"})
POOLS = {"PISTE_CPU": (2, "CPU_X64_S"), "PISTE_GPU": (4, "GPU_NV_M")}
PAYLOAD = Path(__file__).parents[2] / "tooling" / "payload"
PROGRAM = """
import json, pathlib, sys, tempfile
from payload.snowflake_session import Store, open_session, service_name
task = json.loads((pathlib.Path(__file__).parent / "run.json").read_text())
store = Store(open_session(), task["run"])
if store.fence(service_name()):
    store.event("started", {"job": service_name()})
    store.replace_rows("SAMPLE_SCORES", ["SAMPLE_ID", "SCORE", "FIELD", "VALUE"],
                       [[f"sample-{n}", score["name"], "", 1.0] for score in task["suite"]["scores"] for n in range(6)])
    results = {"run": task["run"], "job": service_name(), "evaluation": {"status": "done"}}
    file = pathlib.Path(tempfile.mkdtemp()) / "results.json"
    file.write_text(json.dumps(results))
    store.upload(file)
    store.event("finished", results)
"""


@dataclass
class Place:
    """An account and what moves the world behind it. `twice`: the next statement of this kind loses its first reply."""

    account: Account
    advance: Callable[[float], object]
    twice: Callable[[str], contextlib.AbstractContextManager[object]]
    run_jobs: Callable[[], None]
    forget_jobs: Callable[[], object]
    hide_jobs: Callable[[bool], object]
    used: list[str] = field(default_factory=list)

    def new(self, attempt: int = 1) -> str:
        """A claim's name that nobody used yet."""
        self.used.append("")
        return f"RUN_{len(self.used):012X}_{attempt}"

    def seen(self, run: str) -> Observation:
        """What concerns this run."""
        found = self.account.observe()
        return Observation(
            sorted((event for event in found.events if event.run == run), key=lambda event: (event.at, event.kind)),
            [stage for stage in found.stages if stage.name.startswith(run)],
            sorted((job for job in found.jobs if job.name.startswith(f"{run}_")), key=lambda job: job.name),
            found.at,
        )

    def submit(self, run: str) -> str:
        return self.account.submit(payload(run), "PISTE_CPU", 1, None, "a comment")


def payload(run: str) -> Payload:
    task = {"run": run, "steps": ["score"], "training_digest": "d", "suite": {"scores": [{"name": "json_valid"}]}}
    files = {"main.py": PROGRAM.encode(), "run.json": json.dumps(task).encode()}
    of_payload = ("__init__.py", "snowflake_session.py", "failure.py")
    return Payload(run, f"{run}_NAME", files | {f"payload/{one}": (PAYLOAD / one).read_bytes() for one in of_payload})


@contextlib.contextmanager
def in_memory() -> Iterator[Place]:
    memory, armed = Memory(POOLS), [""]

    def hook(statement: Statement, moment: Moment) -> None:
        if armed[0] and statement.kind == armed[0] and moment == "after":
            armed[0] = ""
            raise Repeated

    @contextlib.contextmanager
    def twice(kind: str) -> Iterator[None]:
        armed[0] = kind
        yield
        assert not armed[0], "there was no such statement"

    account = MemoryAccount(memory, ENVIRONMENT, hook)

    def hide(hidden: bool) -> None:
        memory.hidden = hidden

    yield Place(account, memory.advance, twice, memory.run_jobs, memory.forget_jobs, hide)


@contextlib.contextmanager
def on_snowglobe(directory: Path) -> Iterator[Place]:
    """`replies="forget"`: a statement that is sent again is executed again, which is the worst that is possible."""
    with (
        snowglobe.serve(directory, pools=POOLS, schemas=["PISTE.DEV"], replies="forget", grace_seconds=1) as globe,
        Proxy(globe.connection) as proxy,
    ):
        configured = {**proxy.connection, "database": "PISTE", "schema": "DEV", "network_timeout": 20}
        account = Account(lambda: Session.builder.configs(configured).create(), ENVIRONMENT)

        @contextlib.contextmanager
        def twice(kind: str) -> Iterator[None]:
            before = len([one for one in proxy.statements if one.fault])
            proxy.plan([Fault("drop-after", when=kind.replace("$", r"\$").replace("(", r"\("), most=1)])
            yield
            proxy.plan([])
            assert len([one for one in proxy.statements if one.fault]) == before + 1, "there was no such statement"

        def run_jobs() -> None:
            end = time.monotonic() + 240
            while any(job.status not in ENDED_JOBS for job in account.observe().jobs):
                assert time.monotonic() < end, "a job does not end"
                time.sleep(0.1)

        yield Place(account, globe.advance, twice, run_jobs, globe.forget_jobs, globe.hide_jobs)
        account.leave()


@pytest.fixture(scope="module", params=["memory", "snowglobe"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Nothing is prepared in it until a test does so: the first tests come before the tables."""
    made = in_memory() if request.param == "memory" else on_snowglobe(tmp_path_factory.mktemp("globe"))
    with made as found:
        yield found


@pytest.fixture
def ready(place: Place) -> Place:
    place.account.prepare()
    return place


def test_before_prepare_nothing_is_known_and_nothing_can_be_recorded(place: Place) -> None:
    found = place.account.observe()
    assert (list(found.events), list(found.stages), list(found.jobs)) == ([], [], [])
    assert abs(datetime.fromisoformat(found.at) - datetime.fromisoformat(place.account.observe().at)).days == 0
    with pytest.raises(SnowflakeRefused) as refused:
        place.account.record(place.new(), "claimed", {})
    assert refused.value.code == MISSING
    with pytest.raises(SnowflakeRefused) as refused:
        place.account.sample_scores(["A", "B"])
    assert refused.value.code == MISSING


def test_prepare_twice_is_once(ready: Place) -> None:
    run = ready.new()
    ready.account.record(run, "claimed", {"a": 1})
    ready.account.prepare()
    assert [event.body for event in ready.seen(run).events] == [{"a": 1}]


def test_a_claim_is_won_once(ready: Place) -> None:
    run = ready.new()
    assert ready.account.claim(run, {"actor": "ana"}) is None
    assert ready.account.claim(run, {"actor": "ben"}) == "ana"
    (stage,) = ready.seen(run).stages
    assert json.loads(stage.comment)["actor"] == "ana"


def test_a_claim_whose_reply_was_lost_is_won_all_the_same(ready: Place) -> None:
    run = ready.new()
    with ready.twice("CREATE STAGE"):
        assert ready.account.claim(run, {"actor": 'ana\'s \\ "own"'}) is None
    assert ready.account.claim(run, {"actor": "ben"}) == 'ana\'s \\ "own"'


def test_a_claim_of_nobody_in_particular(ready: Place) -> None:
    run = ready.new()
    ready.account.claim(run, {})
    assert ready.account.claim(run, {"actor": "ben"}) == "somebody else"


def test_a_fence_says_who_shut_it(ready: Place) -> None:
    run = ready.new()
    assert ready.account.fence(run) is None
    assert ready.account.close(run, "ana") == ""
    assert ready.account.fence(run) == json.dumps({"closed_by": "ana"})
    assert ready.account.close(run, "ben") == "", "shut is shut, whoever did it"
    assert json.loads(ready.account.fence(run) or "") == {"closed_by": "ana"}


def test_a_fence_that_is_shut_by_a_reply_that_was_lost_is_shut(ready: Place) -> None:
    run = ready.new()
    with ready.twice("CREATE STAGE"):
        assert ready.account.close(run, "ana") == ""


def test_rows_come_back_the_latest_of_each_kind_with_the_account_s_clock(ready: Place) -> None:
    run, body = ready.new(), {"text": "naïve — 'quoted' \\ \"both\"", "number": 1.5, "list": [None, True, {"a": {}}]}
    begun = datetime.fromisoformat(ready.account.observe().at)
    ready.account.record(run, "claimed", body)
    ready.account.record(run, "heartbeat", {"step": 1})
    ready.advance(90)
    ready.account.record(run, "heartbeat", {"step": 2})
    ready.advance(1)
    for other in ("RUN_A_1", "RUN_B_1", "RUN_B_1"):
        ready.account.record(run, "compared", {"other": other})
        ready.advance(1)
    seen = ready.seen(run)
    assert [(event.kind, event.body) for event in seen.events] == [
        ("claimed", body),
        ("heartbeat", {"step": 2}),
        ("compared", {"other": "RUN_A_1"}),
        ("compared", {"other": "RUN_B_1"}),
    ]
    claimed, beat = (datetime.fromisoformat(event.at) for event in seen.events[:2])
    assert begun <= claimed < beat < datetime.fromisoformat(seen.at)
    assert timedelta(seconds=90) <= beat - claimed < timedelta(seconds=150)


def test_a_row_whose_reply_was_lost_stands_there_as_one(ready: Place) -> None:
    run = ready.new()
    with ready.twice("INSERT INTO LEDGER"):
        ready.account.record(run, "claimed", {"a": 1})
    assert [event.body for event in ready.seen(run).events] == [{"a": 1}]


def test_files_that_are_not_there(ready: Place) -> None:
    run = ready.new()
    assert ready.account.read(run, "results.json") is None
    assert ready.account.sizes(run) == 0
    ready.account.remove(run, "resume")
    ready.account.remove(run)
    ready.account.claim(run, {})
    assert ready.account.read(run, "results.json") is None
    assert ready.account.sizes(run) == 0
    ready.account.remove(run, "resume")


def test_pools(ready: Place) -> None:
    pools = ready.account.pools()
    assert set(pools) == {"PISTE_CPU", "PISTE_GPU"}
    assert pools["PISTE_GPU"] == Pool("PISTE_GPU", "GPU_NV_M", 4, pools["PISTE_CPU"].state)


def test_a_submission_that_is_refused_says_the_code(ready: Place) -> None:
    run = ready.new()
    ready.account.claim(run, {})
    with pytest.raises(SnowflakeRefused) as refused:
        ready.account.submit(payload(run), "NO_SUCH_POOL", 1, None, "")
    assert refused.value.code == MISSING
    assert ready.seen(run).jobs == []


def test_a_submission_without_a_claim_makes_its_stage(ready: Place) -> None:
    """The client does so by itself: nobody's name stands on it, and a claim of it is lost."""
    run = ready.new()
    ready.account.cancel(ready.submit(run))
    assert ready.seen(run).stages[0].comment == "Created by snowflake.ml.jobs Python API"
    assert ready.account.claim(run, {"actor": "ana"}) == "somebody else"


@dataclass(frozen=True)
class Ran:
    """A claim of which a job ran twice over, since its submission was repeated; then it was submitted once more."""

    run: str
    job: str
    again: str
    before: Observation
    after: Observation


@pytest.fixture(scope="module")
def ran(place: Place) -> Ran:
    place.account.prepare()
    run = place.new()
    assert place.account.claim(run, {"actor": "ana"}) is None
    with place.twice("CALL SYSTEM$EXECUTE_ML_JOB"):
        job = place.submit(run)
    again = place.submit(run)
    before = place.seen(run)
    place.run_jobs()
    return Ran(run, job, again, before, place.seen(run))


def test_a_submission_is_listed_under_its_claim(ran: Ran) -> None:
    assert ran.job.startswith(f"{ran.run}_NAME_")
    assert {ran.job, ran.again} <= {job.name for job in ran.before.jobs}
    assert {job.status for job in ran.before.jobs} <= {"PENDING", "RUNNING", "DONE"}


def test_a_repeated_submission_is_a_job_of_its_own(ran: Ran) -> None:
    assert len({job.name for job in ran.before.jobs}) == 3


def test_of_several_jobs_of_a_claim_one_works_and_the_others_end_well(place: Place, ran: Ran) -> None:
    assert [job.status for job in ran.after.jobs] == ["DONE"] * 3
    worked = place.account.fence(ran.run)
    assert worked in {job.name for job in ran.after.jobs}
    bodies = {event.kind: event.body for event in ran.after.events}
    assert set(bodies) == {"started", "finished"}
    assert (bodies["started"]["job"], bodies["finished"]["job"]) == (worked, worked)
    assert place.account.close(ran.run, "ana") == worked, "it can't be shut any more"


def test_what_a_job_leaves_on_its_stage_is_read_and_has_sizes(place: Place, ran: Ran) -> None:
    results = place.account.read(ran.run, "results.json")
    assert json.loads(results or b"")["run"] == ran.run
    assert place.account.sizes(ran.run, "results.json") == len(results or b"")
    assert place.account.sizes(ran.run) > len(results or b"")
    assert place.account.read(ran.run, f"{ran.run}_NAME/app/main.py") == PROGRAM.encode()


def test_reading_neither_sees_nor_leaves_a_file_in_the_folder_all_processes_share(
    place: Place, ran: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_another = tmp_path / "results.json"
    of_another.write_text('{"run": "of another process"}')
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert json.loads(place.account.read(ran.run, "results.json") or b"")["run"] == ran.run
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [of_another]
    assert of_another.read_text() == '{"run": "of another process"}'


def test_values_by_run_and_sample(place: Place, ran: Ran) -> None:
    found = place.account.sample_scores([ran.run, "RUN_OTHER_1"])
    assert set(found) == {ran.run}
    assert sorted(found[ran.run]["json_valid"]) == [f"sample-{number}" for number in range(6)]
    assert place.account.sample_scores(["RUN_OTHER_1"]) == {}


def test_an_ended_job_can_be_cancelled_and_nothing_happens(place: Place, ran: Ran) -> None:
    place.account.cancel(ran.job)
    assert [job.status for job in place.seen(ran.run).jobs] == ["DONE"] * 3


def test_a_job_finds_its_fence_shut_and_does_nothing(ready: Place) -> None:
    run = ready.new()
    ready.account.claim(run, {"actor": "ana"})
    ready.account.close(run, "ben")
    ready.submit(run)
    ready.run_jobs()
    seen = ready.seen(run)
    assert [job.status for job in seen.jobs] == ["DONE"]
    assert seen.events == []
    assert ready.account.read(run, "results.json") is None


def test_a_job_that_is_cancelled(ready: Place) -> None:
    run = ready.new()
    ready.account.claim(run, {"actor": "ana"})
    job = ready.submit(run)
    ready.account.cancel(job)
    ready.run_jobs()
    assert ready.seen(run).jobs == [Job(job, "CANCELLED")]


def test_a_job_that_nobody_knows_needs_no_cancelling_and_has_no_log(ready: Place) -> None:
    ready.account.cancel("RUN_000000000000_1_NOBODY_AAAAAAAAAAAA")
    assert ready.account.logs("RUN_000000000000_1_NOBODY_AAAAAAAAAAAA") == ""


def test_a_list_that_comes_back_empty_hides_jobs_that_can_be_cancelled(ready: Place) -> None:
    run = ready.new()
    ready.account.claim(run, {"actor": "ana"})
    job = ready.submit(run)
    ready.hide_jobs(True)
    assert ready.account.observe().jobs == []
    ready.account.cancel(job)
    ready.hide_jobs(False)
    ready.run_jobs()
    assert ready.seen(run).jobs == [Job(job, "CANCELLED")]


def test_ended_jobs_are_forgotten_and_stages_stay(ready: Place, ran: Ran) -> None:
    ready.forget_jobs()
    assert ready.seen(ran.run).jobs == []
    assert {stage.name for stage in ready.seen(ran.run).stages} == {ran.run, f"{ran.run}_STARTED"}
    ready.account.cancel(ran.job)


def test_a_folder_is_removed_and_then_the_stage_but_not_its_fence(ready: Place, ran: Ran) -> None:
    before = ready.account.sizes(ran.run)
    of_job = ready.account.sizes(ran.run, f"{ran.run}_NAME")
    ready.account.remove(ran.run, f"{ran.run}_NAME")
    assert ready.account.sizes(ran.run) == before - of_job > 0
    assert ready.account.read(ran.run, "results.json")
    ready.account.remove(ran.run)
    assert [stage.name for stage in ready.seen(ran.run).stages] == [f"{ran.run}_STARTED"]
    assert ready.account.claim(ran.run, {"actor": "ben"}) is None, "the name is free again"


def test_codes() -> None:
    assert (EXISTS, MISSING) == (2002, 2003)
