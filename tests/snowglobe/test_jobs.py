"""Jobs: the unmodified client's, end to end, and what becomes of their processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from snowflake.ml import jobs
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

from snowglobe import Globe

Query = Callable[..., list[Row]]
StartJob = Callable[..., str]
Status = Callable[[str], str]
Until = Callable[..., None]
Marked = Callable[[str], list[int]]
# A child that left the session and dropped its environment, one that ignores SIGTERM, and one below a dead parent.
CLING = (
    "env -i setsid sleep {marker} & sh -c 'trap \"\" TERM; while :; do sleep {marker}; done' & "
    "sh -c 'setsid sleep {marker} & sleep 0.2' & sleep 0.5; echo ready; "
)


def submit(session: Session, payload: Path, *arguments: str, **more: object) -> jobs.MLJob:
    return jobs.submit_directory(
        str(payload), "POOL", entrypoint="main.py", stage_name="JOBS", session=session, args=list(arguments),
        env_vars={"GREETING": "hi"}, comment="a comment", **more,
    )  # fmt: skip


def marker() -> str:
    return f"6{uuid.uuid4().int % 10**9:09d}"


def test_a_job_and_a_failing_one(globe: Globe, session: Session, payload: Path, query: Query) -> None:
    good = submit(session, payload, "hello", name="GOOD")
    bad = submit(session, payload, "fail")
    listed = jobs.submit_directory(
        str(payload),
        "POOL",
        entrypoint=["sh", "-c", "echo from sh; exit 3"],
        stage_name="JOBS",
        session=session,
        name="L",
    )
    assert [job.wait(60) for job in (good, bad, listed)] == ["DONE", "FAILED", "FAILED"]
    assert good.result() == {"greeting": "hi", "cwd": "app", "service": good.name}
    assert good.name.startswith("GOOD_")
    assert "action: hello" in good.get_logs()
    assert "from sh" in listed.get_logs()
    with pytest.raises(RuntimeError, match="on purpose"):
        bad.result()
    assert query("SELECT N FROM FROM_JOB")[0]["N"] == 7
    assert (globe.directory / "stages/DB/S/JOBS/GOOD/written.txt").read_text() == "by the job"
    assert {row["name"]: row["comment"] for row in query("SHOW JOB SERVICES LIKE 'GOOD\\\\_%' IN SCHEMA DB.S")} == {
        good.name: "a comment"
    }
    again = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps(globe.connection), good.id],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(again.stdout.splitlines()[-1]) == {"status": "DONE", "listed": True, "job_env": "hi"}
    jobs.delete_job(bad)
    assert bad.name not in {row["name"] for row in query("SHOW JOB SERVICES")}
    assert jobs.get_job(bad.id, session=session).status == "FAILED"


ELSEWHERE = """
import json, sys, warnings
warnings.filterwarnings("ignore")
from snowflake.ml import jobs
from snowflake.snowpark import Session
session = Session.builder.configs({**json.loads(sys.argv[1]), "database": "DB", "schema": "S"}).create()
job = jobs.get_job(sys.argv[2], session=session)
listed = set(jobs.list_jobs(session=session)["name"])
said = job._container_spec["env"]["GREETING"]
print(json.dumps({"status": job.status, "listed": job.name in listed, "job_env": said}))
"""


def test_requirements_are_checked_and_never_installed(session: Session, payload: Path, query: Query) -> None:
    unmet = submit(session, payload, "hello", pip_requirements=["six==0.0.1"])
    assert unmet.wait(60) == "FAILED"
    logs = unmet.get_logs(verbose=True)
    assert "six==0.0.1" in logs
    assert "action:" not in logs


def test_cancel_ends_every_process(
    start_job: StartJob, query: Query, status: Status, until: Until, marked: Marked
) -> None:
    mark = marker()
    job = start_job(CLING.format(marker=mark) + f"sleep {mark}")
    until(lambda: "ready" in query("SELECT SYSTEM$GET_SERVICE_LOGS(?, ?, ?)", job, "0", "main")[0][0])
    assert len(marked(mark)) >= 4
    query(f"CALL {job}!SPCS_CANCEL_JOB()")
    until(lambda: status(job) == "CANCELLED")
    assert marked(mark) == []


def test_what_a_job_leaves_running_ends_with_it(
    start_job: StartJob, status: Status, until: Until, marked: Marked
) -> None:
    mark = marker()
    job = start_job(CLING.format(marker=mark) + "exit 0")
    until(lambda: status(job) == "DONE")
    assert marked(mark) == []


def test_a_killed_supervisor_leaves_nothing(start_job: StartJob, status: Status, until: Until, marked: Marked) -> None:
    mark = marker()
    job = start_job(f"sleep {mark} & setsid sleep {mark} & sleep {mark}")
    until(lambda: len(marked(f"sleep\0{mark}")) == 3)
    subprocess.run(["kill", "-9", *(str(pid) for pid in marked("supervisor.py") if pid in marked(mark))], check=True)
    until(lambda: status(job) == "INTERNAL_ERROR")
    assert marked(mark) == []


def test_exit_by_signal_is_failure(start_job: StartJob, status: Status, until: Until, query: Query) -> None:
    killed = start_job("kill -9 $$")
    until(lambda: status(killed) == "FAILED")
    name = killed.rsplit(".", 1)[-1]
    history = "SELECT MESSAGE FROM TABLE(SNOWFLAKE.SPCS.GET_JOB_HISTORY()) WHERE NAME = ?"
    assert query(history, name)[0][0] == "ended by signal 9"


def test_a_full_pool_makes_jobs_wait_in_order(
    start_job: StartJob, status: Status, until: Until, query: Query, tmp_path: Path
) -> None:
    def held(number: int) -> str:
        return start_job(f"while [ ! -e {tmp_path}/{number} ]; do sleep 0.05; done", pool="NARROW")

    waiting = [held(number) for number in range(3)]
    until(lambda: status(waiting[0]) == "RUNNING")
    assert [status(job) for job in waiting] == ["RUNNING", "PENDING", "PENDING"]
    with pytest.raises(SnowparkSQLException, match="Container Status: PENDING"):
        query("SELECT SYSTEM$GET_SERVICE_LOGS(?, ?, ?)", waiting[1], "0", "main")
    pool = query("SHOW COMPUTE POOLS LIKE 'NARR%'")[0]
    assert (pool["active_nodes"], pool["idle_nodes"], pool["num_jobs"]) == (1, 0, 3)
    (tmp_path / "2").touch()
    (tmp_path / "0").touch()
    until(lambda: [status(job) for job in waiting] == ["DONE", "RUNNING", "PENDING"])
    query(f"CALL {waiting[1]}!SPCS_CANCEL_JOB()")
    until(lambda: [status(job) for job in waiting] == ["DONE", "CANCELLED", "DONE"])


def test_waiting_longer_than_asked_is_an_error(start_job: StartJob, query: Query) -> None:
    job = start_job("sleep 30")
    before = time.monotonic()
    with pytest.raises(SnowparkSQLException, match="timed out"):
        query(f"CALL {job}!spcs_wait_for('DONE', 1)")
    assert 1 <= time.monotonic() - before < 5
    query(f"CALL {job}!SPCS_CANCEL_JOB()")
    assert query(f"CALL {job}!spcs_wait_for('DONE', 10)")[0][0] == "CANCELLED"


def test_one_name_is_one_job(start_job: StartJob, query: Query) -> None:
    job = start_job("true", name="ONLY_ONE", GENERATE_SUFFIX=False)
    assert job == "DB.S.ONLY_ONE"
    with pytest.raises(SnowparkSQLException) as caught:
        start_job("true", name="ONLY_ONE", GENERATE_SUFFIX=False)
    assert caught.value.sql_error_code == 2002
    query("DROP SERVICE ONLY_ONE")
    start_job("true", name="ONLY_ONE", GENERATE_SUFFIX=False)


MOUNT = """
import json, os, sys
from pathlib import Path
mount, outside = Path(os.environ["MOUNT"]), Path(os.environ["HOME"]) / "outside.txt"
whole = mount / "whole.txt"
whole.write_text("whole")
outside.write_text("x")
attempts = {
    "append": lambda: whole.open("a"), "update": lambda: whole.open("r+"),
    "os.open": lambda: os.open(whole, os.O_WRONLY),
    "rename": lambda: whole.rename(mount / "renamed.txt"), "truncate": lambda: os.truncate(whole, 1),
    "move in": lambda: outside.rename(mount / "moved.txt"),
    "relative": lambda: (os.chdir(mount), open("whole.txt", "ab")),
}
refused = []
for name, attempt in attempts.items():
    try:
        attempt()
    except OSError:
        refused.append(name)
whole.write_text("written again, whole")
(mount / "gone.txt").write_text("x")
(mount / "gone.txt").unlink()
(outside).open("a").write("appended")
print(json.dumps({"refused": refused, "attempts": list(attempts)}))
"""


def test_the_mount_takes_whole_files_only(
    globe: Globe, start_job: StartJob, query: Query, status: Status, until: Until, tmp_path: Path
) -> None:
    (tmp_path / "mount.py").write_text(MOUNT)
    job = start_job(f"MOUNT=$(pwd) python {tmp_path}/mount.py")
    until(lambda: status(job) in ("DONE", "FAILED"))
    said = json.loads(query("SELECT SYSTEM$GET_SERVICE_LOGS(?, ?, ?)", job, "0", "main")[0][0])
    assert said["refused"] == said["attempts"]
    stage = globe.directory / "stages/DB/S/QUICK/quick"
    assert (stage / "whole.txt").read_text() == "written again, whole"
    assert not (stage / "gone.txt").exists()


def test_whole_files_reach_the_stage_while_the_job_runs(start_job: StartJob, query: Query, until: Until) -> None:
    job = start_job("echo early > early.txt; sleep 60")
    until(lambda: any(row["name"] == "quick/quick/early.txt" for row in query("LIST @QUICK/quick/early.txt")))
    query(f"CALL {job}!SPCS_CANCEL_JOB()")


def test_a_job_cannot_start_in_a_pool_or_from_a_stage_that_is_not_there(start_job: StartJob, query: Query) -> None:
    with pytest.raises(SnowparkSQLException, match="Compute pool 'NOWHERE' does not exist"):
        start_job("true", pool="NOWHERE")


def test_a_job_s_session_has_the_role_that_submitted_it(
    query: Query, start_job: StartJob, status: Status, until: Until
) -> None:
    ask = (
        "from snowflake.ml._internal.utils.connection_params import SnowflakeLoginOptions as options;"
        "from snowflake.snowpark import Session;"
        "print(Session.builder.configs(options()).create().sql('SELECT CURRENT_ROLE()').collect()[0][0])"
    )
    query("CREATE ROLE IF NOT EXISTS SUBMITS")
    query("USE ROLE SUBMITS")
    try:
        job = start_job(f'python -c "{ask}"')
    finally:
        query("USE ROLE ACCOUNTADMIN")
    until(lambda: status(job) == "DONE", 60)
    assert query("SELECT SYSTEM$GET_SERVICE_LOGS(?, ?, ?)", job, "0", "main")[0][0] == "SUBMITS"
    assert query(f"DESCRIBE SERVICE {job}")[0]["owner"] == "SUBMITS"
