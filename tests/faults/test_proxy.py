"""The proxy between the real client and snowglobe: what the account has seen, and what the client is told."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from snowflake.connector.vendored.requests.exceptions import ChunkedEncodingError
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

import snowglobe
from faults.proxy import Fault, Kind, Proxy, path, share
from snowglobe import Globe

Query = Callable[..., list[Row]]
FAULTS: list[Kind] = [
    "drop-before", "drop-after", "http-500-before", "http-503-before", "http-500-after", "http-503-after",
    "expire-token",
]  # fmt: skip


@pytest.fixture(scope="module")
def globe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Globe]:
    with snowglobe.serve(tmp_path_factory.mktemp("globe"), schemas=["DB.S"]) as running:
        yield running


@pytest.fixture(scope="module")
def between(globe: Globe) -> Iterator[Proxy]:
    with Proxy(globe.connection) as proxy:
        yield proxy


def connected(proxy: Proxy, **more: Any) -> Session:
    given = {"database": "DB", "schema": "S", "network_timeout": 20, "backoff_policy": lambda: itertools.repeat(0.01)}
    return Session.builder.configs({**proxy.connection, **given, **more}).create()


@pytest.fixture
def proxy(between: Proxy) -> Iterator[Proxy]:
    between.reset()
    yield between
    between.reset()


@pytest.fixture
def session(proxy: Proxy) -> Iterator[Session]:
    with connected(proxy) as opened:
        proxy.reset()
        yield opened
        proxy.reset()


@pytest.fixture
def query(session: Session) -> Query:
    return lambda sql: session.sql(sql).collect()


def told(globe: Globe, sql: str) -> int:
    return sum(entry["sql"] == sql for entry in globe.trace())


def test_statements_are_numbered_and_nothing_is_changed(query: Query, proxy: Proxy, globe: Globe) -> None:
    sql = "SELECT 'it''s — ünchanged' AS A"
    assert query(sql)[0]["A"] == "it's — ünchanged"
    query("SELECT 2 AS B")
    assert [(one.number, one.attempt, one.fault, one.forwarded) for one in proxy.statements] == [
        (1, 1, None, True),
        (2, 1, None, True),
    ]
    assert proxy.statements[0].sql == sql
    assert proxy.count == 2
    assert told(globe, sql) == 1
    assert globe.trace()[-1]["request_id"] == proxy.statements[-1].request_id


@pytest.mark.parametrize("kind", FAULTS)
def test_the_client_repeats_what_was_lost(query: Query, proxy: Proxy, globe: Globe, kind: Kind) -> None:
    stage = f"STAGE_{kind.replace('-', '_')}"
    proxy.plan([Fault(kind, when=2)])
    query("SELECT 1 AS A")
    query(f"CREATE STAGE {stage}")
    query("SELECT 2 AS B")
    assert [one.number for one in proxy.statements] == [1, 2, 2, 3]
    lost, again = proxy.statements[1:3]
    assert (lost.fault, again.fault, lost.request_id) == (kind, None, again.request_id)
    assert told(globe, f"CREATE STAGE {stage}") == 1 + lost.forwarded
    assert len(query(f"SHOW STAGES LIKE '{stage}'")) == 1
    assert lost.forwarded == (kind in ("drop-after", "http-500-after", "http-503-after"))


def test_a_reset_within_the_reply_is_not_repeated_by_the_client(query: Query, proxy: Proxy, globe: Globe) -> None:
    """It was executed, and what reaches the caller is not even an error of Snowflake's client."""
    proxy.plan([Fault("reset", when=1)])
    with pytest.raises(ChunkedEncodingError):
        query("CREATE STAGE HALF_A_REPLY")
    assert told(globe, "CREATE STAGE HALF_A_REPLY") == 1
    assert len(query("SHOW STAGES LIKE 'HALF_A_REPLY'")) == 1


def test_a_session_that_cannot_be_renewed_ends_and_a_new_login_helps(query: Query, proxy: Proxy) -> None:
    proxy.plan([Fault("end-session", when="MARKED")])
    query("SELECT 1 AS A")
    with pytest.raises(SnowparkSQLException, match="390114"):
        query("SELECT 'MARKED' AS A")
    with pytest.raises(SnowparkSQLException, match="390114"):
        query("SELECT 'anything' AS A")
    proxy.plan([])
    with connected(proxy) as another:
        assert another.sql("SELECT 3 AS A").collect()[0]["A"] == 3


def test_a_delay(query: Query, proxy: Proxy) -> None:
    proxy.plan([Fault("delay", when="LATE", seconds=0.3)])
    begun = time.monotonic()
    query("SELECT 'LATE' AS A")
    assert time.monotonic() - begun >= 0.3


def test_times_and_most(query: Query, proxy: Proxy) -> None:
    proxy.plan([Fault("drop-before", when="select 'm", times=2, most=1), Fault("http-503-before", when="'mb'")])
    query("SELECT 'ma' AS A")
    query("SELECT 'mb' AS A")
    assert [(one.number, one.fault) for one in proxy.statements] == [
        (1, "drop-before"),
        (1, "drop-before"),
        (1, None),
        (2, "http-503-before"),
        (2, None),
    ]


def test_the_same_seed_hits_the_same_part(query: Query, proxy: Proxy) -> None:
    hit = []
    for _ in range(2):
        proxy.reset()
        proxy.plan([Fault("drop-after", when=share(0.3, seed=4))])
        for number in range(30):
            query(f"SELECT {number} AS A")
        hit.append([one.number for one in proxy.statements if one.fault])
    assert hit[0] == hit[1]
    assert 3 <= len(hit[0]) <= 15
    assert proxy.count == 30


def test_any_path(proxy: Proxy) -> None:
    proxy.plan([Fault("drop-before", when=path("login-request"), most=1)])
    with connected(proxy):
        pass
    logins = [one for one in proxy.requests if "login" in one.path]
    assert [(one.number, one.fault) for one in logins] == [(0, "drop-before"), (0, None)]


def test_a_function_chooses(query: Query, proxy: Proxy) -> None:
    proxy.plan([Fault("http-503-after", when=lambda seen: seen.number == 2 and seen.attempt <= 2, times=9)])
    for number in range(3):
        query(f"SELECT {number} AS A")
    assert [one.number for one in proxy.statements] == [1, 2, 2, 2, 3]


def test_an_outage_lasts_until_it_is_over(query: Query, proxy: Proxy, globe: Globe) -> None:
    proxy.plan([Fault("outage", when=2)])
    query("SELECT 1 AS A")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(query, "SELECT 'after the outage' AS A")
        while sum(one.fault == "outage" for one in proxy.requests) < 3:
            time.sleep(0.01)
        assert told(globe, "SELECT 'after the outage' AS A") == 0
        proxy.down = False
        assert waiting.result()[0]["A"] == "after the outage"
    assert told(globe, "SELECT 'after the outage' AS A") == 1


def test_a_client_with_a_time_limit_says_that_nobody_answers(proxy: Proxy) -> None:
    with connected(proxy, network_timeout=1, backoff_policy=lambda: itertools.repeat(0.3)) as session:
        proxy.down = True
        with pytest.raises(Exception, match=r"(?i)failed to execute request|connection"):
            session.sql("SELECT 1 AS A").collect()
        proxy.down = False


CLIENT = """
import json, sys
from snowflake.snowpark import Session
with Session.builder.configs(json.loads(sys.argv[1])).create() as session:
    for name in "ABC":
        session.sql(f"CREATE STAGE {sys.argv[2]}_{name}").collect()
"""


@pytest.mark.parametrize(("kind", "left"), [("kill-before", ["A"]), ("kill-after", ["A", "B"])])
def test_the_client_is_killed_at_a_statement(
    proxy: Proxy, globe: Globe, tmp_path: Path, kind: Kind, left: list[str]
) -> None:
    prefix = kind.upper().replace("-", "_")
    proxy.plan([Fault(kind, when=f"CREATE STAGE {prefix}_B")])
    given = {**proxy.connection, "database": "DB", "schema": "S"}
    program = [sys.executable, "-c", CLIENT, json.dumps(given), prefix]
    with subprocess.Popen(program, cwd=tmp_path) as client:
        proxy.victim = client.pid
        assert client.wait(30) == -signal.SIGKILL
    with connected(proxy) as session:
        shown = session.sql(f"SHOW STAGES LIKE '{prefix}%'").collect()
    assert [row["name"] for row in shown] == [f"{prefix}_{name}" for name in left]


def test_sessions_side_by_side(proxy: Proxy) -> None:
    proxy.plan([Fault("drop-after", when=share(0.2, seed=1))])
    sessions = [connected(proxy) for _ in range(4)]

    def create(number: int) -> int:
        won = 0
        for round_ in range(5):
            try:
                sessions[number].sql(f"CREATE STAGE SIDE_{round_}").collect()
                won += 1
            except SnowparkSQLException as error:
                assert error.sql_error_code == 2002  # noqa: PT017
        return won

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(create, range(4))) == 5
    for session in sessions:
        session.close()


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no kind of fault"):
        Fault("explode", when=1)  # type: ignore[arg-type]


def test_a_kill_without_a_victim_is_told_at_the_end(globe: Globe) -> None:
    with pytest.raises(RuntimeError, match="whom to kill"):
        nobody_to_kill(globe)


def nobody_to_kill(globe: Globe) -> None:
    with Proxy(globe.connection) as proxy:
        proxy.plan([Fault("kill-before", when=path("login"), most=1)])
        with connected(proxy):
            pass
