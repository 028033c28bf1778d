"""Time, retention, nodes and replies, moved from outside: what the account says afterwards."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

import snowglobe
from snowglobe import Control, ControlError, Globe

Query = Callable[..., list[Row]]
Connect = Callable[..., Session]
StartJob = Callable[..., str]
Until = Callable[..., None]
Marked = Callable[[str], list[int]]
DAY = 24 * 3600.0


@pytest.fixture(scope="module")
def globe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Globe]:
    """A world of this module's own: its clock moves."""
    pools = {"POOL": 4}
    with snowglobe.serve(tmp_path_factory.mktemp("moved"), pools=pools, schemas=["DB.S"], grace_seconds=1) as running:
        yield running


@pytest.fixture(scope="module")
def session(globe: Globe, connect: Connect) -> Iterator[Session]:
    with connect(globe) as opened:
        yield opened


@pytest.fixture
def mark() -> str:
    return f"6{uuid.uuid4().int % 10**9:09d}"


def names(query: Query, like: str = "%") -> list[str]:
    return [row["name"] for row in query(f"SHOW JOB SERVICES LIKE '{like}'")]


def history(query: Query) -> list[str]:
    return [row["NAME"] for row in query("SELECT NAME FROM TABLE(SNOWFLAKE.SPCS.GET_JOB_HISTORY())")]


def unknown(query: Query, job: str) -> bool:
    for statement in (f"DESCRIBE SERVICE {job}", f"SELECT SYSTEM$GET_SERVICE_LOGS('{job}', '0', 'main')"):
        with pytest.raises(SnowparkSQLException, match="does not exist"):
            query(statement)
    return True


def last(job: str) -> str:
    return job.rsplit(".", 1)[-1]


def test_every_time_moves_with_the_clock(query: Query, globe: Globe, start_job: StartJob, until: Until) -> None:
    query("CREATE TABLE MOVED (N INT, AT TIMESTAMP_LTZ, BY_DEFAULT TIMESTAMP_LTZ DEFAULT CURRENT_TIMESTAMP())")
    query("CREATE VIEW CLOCK AS SELECT CURRENT_TIMESTAMP() AS NOW")
    query("INSERT INTO MOVED (N, AT) SELECT 1, CURRENT_TIMESTAMP()")
    before = query("SELECT NOW FROM CLOCK")[0]["NOW"]
    told = globe.advance(40 * DAY)
    assert dt.timedelta(days=40) < told - before < dt.timedelta(days=40, seconds=30)
    query("INSERT INTO MOVED (N, AT) SELECT 2, CURRENT_TIMESTAMP()")
    query("INSERT INTO MOVED (N, AT) VALUES (3, SYSDATE())")
    query("CREATE STAGE MOVED_STAGE")
    job = start_job("true")
    until(lambda: query(f"DESCRIBE SERVICE {job}")[0]["status"] == "DONE")
    shown = query(f"SHOW JOB SERVICES LIKE '{last(job)}'")[0]
    ended = query("SELECT CREATED_TIME AS C, COMPLETED_TIME AS E FROM TABLE(SNOWFLAKE.SPCS.GET_JOB_HISTORY())")[0]
    (first, first_default), *later = [(row["AT"], row["BY_DEFAULT"]) for row in query("SELECT * FROM MOVED ORDER BY N")]
    assert max(abs(first - before), abs(first_default - before)) < dt.timedelta(seconds=30)
    moved = [
        *(moment for row in later for moment in row),
        query("SELECT NOW FROM CLOCK")[0]["NOW"],
        query("SELECT CURRENT_TIMESTAMP()")[0][0],
        query("SELECT DATEADD('second', 0, CURRENT_TIMESTAMP) AS A")[0]["A"],
        query("SHOW STAGES LIKE 'MOVED_STAGE'")[0]["created_on"],
        shown["created_on"],
        shown["updated_on"],
        ended["C"],
        ended["E"],
        globe.now(),
    ]
    assert all(told <= moment < told + dt.timedelta(seconds=30) for moment in moved)
    assert query("SELECT CURRENT_DATE() AS A")[0]["A"] == told.date()


def test_rows_of_one_moment_stay_in_order(query: Query) -> None:
    query("CREATE TABLE ORDERED (N INT, AT TIMESTAMP_LTZ)")
    for number in range(20):
        query("INSERT INTO ORDERED SELECT ?, CURRENT_TIMESTAMP()", number)
    moments = [row["AT"] for row in query("SELECT AT FROM ORDERED ORDER BY N")]
    assert moments == sorted(set(moments))


def test_files_keep_the_time_at_which_they_were_put(query: Query, globe: Globe, tmp_path: Path) -> None:
    query("CREATE STAGE AGED")
    (tmp_path / "old.txt").write_text("old")
    (tmp_path / "new.txt").write_text("new")
    query(f"PUT 'file://{tmp_path}/old.txt' @AGED AUTO_COMPRESS = FALSE")
    time.sleep(0.05)
    globe.advance(DAY)
    query(f"PUT 'file://{tmp_path}/new.txt' @AGED AUTO_COMPRESS = FALSE")
    form = "%a, %d %b %Y %H:%M:%S GMT"
    times = {row["name"]: dt.datetime.strptime(row["last_modified"], form) for row in query("LIST @AGED")}
    assert dt.timedelta(hours=23) < times["aged/new.txt"] - times["aged/old.txt"] < dt.timedelta(hours=25)


def test_the_clock_is_the_same_after_a_restart(tmp_path: Path, connect: Connect) -> None:
    with snowglobe.serve(tmp_path, schemas=["DB.S"]) as globe, connect(globe) as session:
        session.sql("CREATE TABLE T (A INT, AT TIMESTAMP_LTZ DEFAULT CURRENT_TIMESTAMP())").collect()
        session.sql("CREATE VIEW V AS SELECT CURRENT_TIMESTAMP() AS NOW").collect()
        told = Control(globe.connection).advance(100 * DAY)
    with snowglobe.serve(tmp_path) as globe, connect(globe) as session:
        session.sql("INSERT INTO T (A) VALUES (1)").collect()
        kept = [session.sql(sql).collect()[0][0] for sql in ("SELECT AT FROM T", "SELECT NOW FROM V")]
    assert all(told < moment < told + dt.timedelta(seconds=60) for moment in kept)


def test_the_clock_does_not_go_back(globe: Globe) -> None:
    with pytest.raises(ControlError, match="forward only"):
        globe.advance(-1)
    with pytest.raises(ControlError, match="There is no lever 'turn_back'"):
        globe._pull("turn_back")


def test_ended_jobs_are_forgotten_after_a_while(
    query: Query, globe: Globe, start_job: StartJob, until: Until, marked: Marked, mark: str
) -> None:
    done, running = start_job("true"), start_job(f"sleep {mark}")
    until(lambda: query(f"DESCRIBE SERVICE {done}")[0]["status"] == "DONE")
    globe.advance(13 * DAY)
    assert last(done) in names(query)
    globe.advance(1 * DAY + 60)
    assert unknown(query, done)
    assert last(done) not in names(query) + history(query)
    assert last(running) in names(query)
    globe.keep_jobs(30 * DAY)
    assert {last(done), last(running)} <= set(names(query)) & set(history(query))
    globe.keep_jobs(14 * DAY)
    query(f"DROP SERVICE {running}")
    until(lambda: not marked(mark))


def test_the_history_can_be_emptied(
    query: Query, globe: Globe, start_job: StartJob, until: Until, marked: Marked, mark: str
) -> None:
    done, running = start_job("true"), start_job(f"sleep {mark}")
    until(lambda: query(f"DESCRIBE SERVICE {done}")[0]["status"] == "DONE")
    assert globe.forget_jobs() >= 1
    assert names(query) == history(query) == [last(running)]
    assert unknown(query, done)
    query(f"DROP SERVICE {running}")
    until(lambda: not marked(mark))


def test_a_list_may_be_empty_although_jobs_live(query: Query, globe: Globe, start_job: StartJob) -> None:
    job = start_job("sleep 30")
    globe.hide_jobs()
    assert names(query) == history(query) == []
    assert query(f"DESCRIBE SERVICE {job}")[0]["status"] in ("PENDING", "RUNNING")
    globe.hide_jobs(False)
    assert last(job) in names(query)
    query(f"DROP SERVICE {job}")


def test_a_lost_node(query: Query, globe: Globe, start_job: StartJob, until: Until, marked: Marked, mark: str) -> None:
    job = start_job(
        f"trap '' TERM; env -i setsid sleep {mark} & while :; do date > busy.txt; sleep 0.1; done & sleep {mark}"
    )
    until(lambda: len(marked(mark)) >= 3)
    begun = time.monotonic()
    globe.lose_node(job)
    assert time.monotonic() - begun < 1  # no grace
    assert marked(mark) == []
    shown = query(f"DESCRIBE SERVICE {job}")[0]
    assert shown["status"] == "INTERNAL_ERROR"
    assert query("LIST @QUICK/quick/busy.txt") == []  # at a job's own end it would be there
    with pytest.raises(ControlError, match="does not exist"):
        globe.lose_node(job)


def test_a_job_is_started_again(
    query: Query, globe: Globe, start_job: StartJob, until: Until, marked: Marked, mark: str
) -> None:
    script = f"ls; echo $SNOWFLAKE_SERVICE_NAME; echo here > here.txt; sleep 3; echo local > local.txt; sleep {mark}"
    job = start_job(script, name="AGAIN_")
    until(lambda: [row["name"] for row in query("LIST @QUICK/quick/here.txt")])
    first = marked(mark)
    globe.restart_job("AGAIN_")
    until(lambda: marked(mark) and not set(marked(mark)) & set(first))
    assert query(f"DESCRIBE SERVICE {job}")[0]["status"] == "RUNNING"
    assert query(f"SHOW SERVICE CONTAINERS IN SERVICE {job}")[0]["restart_count"] == 1
    until(lambda: last(job) in query(f"SELECT SYSTEM$GET_SERVICE_LOGS('{job}', '0', 'main')")[0][0])
    said = query(f"SELECT SYSTEM$GET_SERVICE_LOGS('{job}', '0', 'main')")[0][0].split()
    assert "here.txt" in said  # what the stage had is there, what was only local is not
    assert "local.txt" not in said
    query(f"CALL {job}!SPCS_CANCEL_JOB()")
    until(lambda: query(f"DESCRIBE SERVICE {job}")[0]["status"] == "CANCELLED")
    assert marked(mark) == []


def test_a_job_vanishes(
    query: Query, globe: Globe, start_job: StartJob, until: Until, marked: Marked, mark: str
) -> None:
    job = start_job(f"trap '' TERM; sleep {mark}")
    until(lambda: marked(mark))
    globe.vanish(job)
    assert marked(mark) == []
    assert unknown(query, job)
    assert last(job) not in names(query) + history(query)


def test_a_full_pool_keeps_jobs_waiting(query: Query, globe: Globe, start_job: StartJob, until: Until) -> None:
    globe.set_nodes("POOL", 0)
    waiting, lost = start_job("true"), start_job("true")
    globe.lose_node(lost)
    assert query(f"DESCRIBE SERVICE {lost}")[0]["status"] == "INTERNAL_ERROR"
    globe.restart_job(waiting)
    assert query(f"DESCRIBE SERVICE {waiting}")[0]["status"] == "PENDING"
    globe.set_nodes("POOL", 1)
    until(lambda: query(f"DESCRIBE SERVICE {waiting}")[0]["status"] == "DONE")
    query("ALTER COMPUTE POOL POOL SET MAX_NODES = 4")
    with pytest.raises(ControlError, match="'NOWHERE' does not exist"):
        globe.set_nodes("NOWHERE", 1)


def test_a_repeated_request_is_run_again_where_replies_are_forgotten(tmp_path: Path, connect: Connect) -> None:
    request_id = uuid.uuid4()
    with snowglobe.serve(tmp_path, schemas=["DB.S"], replies="forget") as globe, connect(globe) as session:
        rest = session.connection.rest
        url = f"/queries/v1/query-request?requestId={request_id}"
        answers = [rest.request(url, {"sqlText": "CREATE STAGE TWICE", "parameters": {}}) for _ in range(2)]
    assert [answer["success"] for answer in answers] == [True, False]
    assert answers[1]["code"] == "002002"
    assert [entry["repeated"] for entry in globe.trace() if "TWICE" in entry["sql"]] == [False, True]
