"""What `piste doctor --probe` runs in place of a run: looks at what a job can do here, and says so in rows.

Two jobs of one claim run it. The one that passes the fence looks; the other one sleeps until it is cancelled.
"""

from __future__ import annotations

import json
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

from payload import snowflake_session
from payload.failure import Cancelled, snowflake_code
from payload.snowflake_session import Store

RACERS = 8
CHILD = "from payload.snowflake_session import open_session; open_session().sql('SELECT 1').collect()"
CHILD_SECONDS, PIP_SECONDS = 60.0, 45.0


def run(app: Path | None = None) -> dict[str, Any]:
    """Do what probe.json says: {"run", "ledger", "word", "package", "sleep_seconds"}."""
    app = app or Path(__file__).resolve().parents[1]
    task = json.loads((app / "probe.json").read_text())
    store = Store(snowflake_session.open_session(), task["run"])
    service = snowflake_session.service_name()
    if store.fence(service):
        _look(_Probe(store, task, app), service)
    else:
        _sleep(_Probe(store, task, app), service)
    return {"run": task["run"]}


class _Probe:
    def __init__(self, store: Store, task: Mapping[str, Any], app: Path) -> None:
        self.store, self.task, self.app = store, task, app

    def tell(self, event: str, body: Mapping[str, Any], request: str | None = None) -> None:
        """A row in the probe's own ledger; `request` is the request's id, else the client makes one."""
        statement = f"INSERT INTO {self.task['ledger']} SELECT ?, CURRENT_TIMESTAMP(), ?, PARSE_JSON(?)"
        inserted = self.store.session.sql(statement, params=[self.store.run, event, json.dumps(body)])
        inserted.collect(statement_params={"requestId": request} if request else None)


def _look(probe: _Probe, service: str) -> None:
    seen: dict[str, Any] = {"service": service, "python": platform.python_version()}
    quick: dict[str, Callable[[], Any]] = {
        "fence_again": lambda: probe.store.fence(service),
        "exists": lambda: _create(probe.store.session, probe.store.run),
        "marker": lambda: (probe.app / "marker.txt").read_text(),
        "append": lambda: _append(probe.app / "marker.txt"),
        "fetched": lambda: _there_and_back(probe),
        "repeated": lambda: _repeat(probe),
        "role": lambda: probe.store.rows("SELECT CURRENT_ROLE() AS ROLE")[0]["ROLE"],
    }
    slow: dict[str, Callable[[], Any]] = {
        "race": lambda: _race(f"{probe.task['ledger']}_RACE"),
        "child": lambda: _child(probe.app),
        "package": lambda: _package(probe.task["package"]),
    }
    probe.tell("passed", {"service": service})
    for event, looks in (("looked", quick), ("tried", slow)):
        found = {name: _said(look) for name, look in looks.items()}
        seen |= found
        probe.tell(event, {**found, "service": service, "python": seen["python"]})
    print(f"piste | probed {probe.task['word']}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results.json")
        results.write_text(json.dumps({**seen, "word": probe.task["word"]}) + "\n")
        probe.store.upload(results)


def _said(look: Callable[[], Any]) -> Any:
    """What a look found, or the kind of its failure: a word and, of Snowflake's errors, the number."""
    try:
        return look()
    except Exception as error:
        return {"error": type(error).__name__, "code": snowflake_code(error)}


def _create(session: Any, stage: str) -> int:
    """0 if the stage is ours now, else the number of the error."""
    try:
        session.sql(f"CREATE STAGE {stage} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").collect()
    except Exception as error:
        code = snowflake_code(error)
        if code is None:
            raise
        return code
    return 0


def _append(path: Path) -> str:
    try:
        with path.open("a") as file:
            file.write("more")
    except OSError:
        return "refused"
    return "accepted"


def _there_and_back(probe: _Probe) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        sent = Path(folder, "sent.txt")
        sent.write_text(probe.task["word"])
        probe.store.upload(sent, "kept")
        probe.store.upload(sent, "kept-too")
        (back,) = probe.store.fetch(f"@{probe.store.run}/kept", Path(folder, "back"))
        return back.read_text() == sent.read_text()


def _repeat(probe: _Probe) -> int:
    """How many rows an insert leaves that is sent twice under one request id."""
    request = str(uuid.uuid4())
    for _ in range(2):
        probe.tell("repeated", {}, request)
    counted = f"SELECT COUNT(*) AS ROWS_FOUND FROM {probe.task['ledger']} WHERE EVENT = 'repeated'"
    return int(probe.store.rows(counted)[0]["ROWS_FOUND"])


def _race(stage: str) -> list[int]:
    """What each of the racers was answered; each has a session of its own, and all start at once."""
    from snowflake.ml._internal.utils.connection_params import SnowflakeLoginOptions
    from snowflake.snowpark import Session

    start = threading.Barrier(RACERS, timeout=30)

    def racer(_: int) -> int:
        with Session.builder.configs(SnowflakeLoginOptions()).create() as session:
            start.wait()
            return _create(session, stage)

    with ThreadPoolExecutor(RACERS) as racers:
        return list(racers.map(racer, range(RACERS)))


def _child(app: Path) -> int:
    """The exit code of a process that opens a session of its own."""
    return subprocess.run([sys.executable, "-c", CHILD], cwd=app, timeout=CHILD_SECONDS, check=False).returncode


def _package(package: str) -> int | None:
    """pip's exit code; None if there is nothing to try."""
    if not package:
        return None
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--no-cache-dir", "--retries", "0", "--timeout", "10", "--dest", folder]
        command = ["pip", "download", "--quiet", *options, package]
        return subprocess.run(command, timeout=PIP_SECONDS, check=False).returncode


def _sleep(probe: _Probe, service: str) -> None:
    def told(number: int, frame: FrameType | None) -> None:
        raise Cancelled

    signal.signal(signal.SIGTERM, told)
    probe.tell("stayed", {"service": service})
    try:
        time.sleep(probe.task["sleep_seconds"])
    except Cancelled:
        probe.tell("told", {"service": service})
        raise SystemExit(1) from None
