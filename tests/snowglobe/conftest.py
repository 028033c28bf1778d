from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from snowflake.snowpark import Row, Session

import snowglobe
from snowglobe import Globe

Query = Callable[..., list[Row]]
Connect = Callable[..., Session]
StartJob = Callable[..., str]


@pytest.fixture(scope="session")
def payload() -> Path:
    return Path(__file__).parent / "payload"


@pytest.fixture(scope="session")
def connect() -> Connect:
    """Opens a session; the test closes it, because an open one waits for its server when Python ends."""

    def open_session(globe: Globe, **more: Any) -> Session:
        given = {**globe.connection, "database": "DB", "schema": "S", "network_timeout": 20, **more}
        return Session.builder.configs({key: value for key, value in given.items() if value is not None}).create()

    return open_session


@pytest.fixture(scope="session")
def globe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Globe]:
    directory = tmp_path_factory.mktemp("globe")
    pools = {"POOL": 4, "NARROW": (1, "GPU_NV_S")}
    with snowglobe.serve(directory, pools=pools, schemas=["DB.S"], grace_seconds=1) as running:
        yield running


@pytest.fixture(scope="session")
def session(globe: Globe, connect: Connect) -> Iterator[Session]:
    with connect(globe) as opened:
        yield opened


@pytest.fixture
def query(session: Session) -> Query:
    return asking(session)


@pytest.fixture
def start_job(query: Query) -> StartJob:
    return starter(query)


def asking(session: Session) -> Query:
    return lambda sql, *bindings: session.sql(sql, params=list(bindings) or None).collect()


def starter(query: Query) -> StartJob:
    """Starts a shell script as a job, by the statement that the client sends but without its launcher: it is quick."""

    def start(script: str, pool: str = "POOL", name: str = "QUICK_", **options: Any) -> str:
        query("CREATE STAGE IF NOT EXISTS QUICK")
        spec = {"STAGE_PATH": "@QUICK/quick", "ARGS": ["sh", "-c", script], "ENV_VARS": {}, "RUNTIME": "image:tag"}
        given = {"TARGET_INSTANCES": 1, "MIN_INSTANCES": 1, "GENERATE_SUFFIX": True, "ASYNC": True, **options}
        arguments = ", ".join("'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" for text in (
            name, pool, json.dumps(spec), json.dumps(given)))  # fmt: skip
        return str(query(f"CALL SYSTEM$EXECUTE_ML_JOB({arguments})")[0][0])

    return start


@pytest.fixture
def status(query: Query) -> Callable[[str], str]:
    return lambda job: str(query(f"DESCRIBE SERVICE {job}")[0]["status"])


@pytest.fixture
def until() -> Callable[..., None]:
    def wait(happened: Callable[[], object], seconds: float = 15) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.05)

    return wait


@pytest.fixture
def marked() -> Callable[[str], list[int]]:
    """Processes whose command line holds the marker."""

    def find(marker: str) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if marker.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found

    return find
