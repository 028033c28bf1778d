"""What is left when the server ends, politely or not, and what it knows when it starts again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from snowflake.snowpark import Row, Session

import snowglobe
from snowglobe import Globe

Query = Callable[..., list[Row]]
Connect = Callable[..., Session]
Until = Callable[..., None]
Marked = Callable[[str], list[int]]
CLING = "env -i setsid sleep {mark} & sh -c 'trap \"\" TERM; while :; do sleep {mark}; done' & sleep {mark}"


def asking(session: Session) -> Query:
    return lambda sql, *bindings: session.sql(sql, params=list(bindings) or None).collect()


def start(query: Query, script: str) -> str:
    spec = {"STAGE_PATH": "@HOME/q", "ARGS": ["sh", "-c", script], "ENV_VARS": {}, "RUNTIME": "i:t"}
    texts = ("J_", "ONE", json.dumps(spec), json.dumps({"GENERATE_SUFFIX": True}))
    literals = ", ".join("'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" for text in texts)
    return str(query(f"CALL SYSTEM$EXECUTE_ML_JOB({literals})")[0][0])


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Globe]:
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))

    def begin() -> Globe:
        return snowglobe.serve(
            tmp_path / "state", pools={"ONE": 1}, schemas=["DB.S"], scorer="scorer:score", grace_seconds=0.5
        )

    return begin


def test_state_survives(
    serve: Callable[[], Globe], connect: Connect, marked: Marked, until: Until, tmp_path: Path
) -> None:
    mark = f"7{uuid.uuid4().int % 10**9:09d}"
    with serve() as globe, connect(globe) as session:
        query = asking(session)
        query("CREATE STAGE HOME COMMENT = 'it''s home'")
        query("CREATE TABLE KEPT (RUN VARCHAR, AT TIMESTAMP_LTZ, BODY VARIANT)")
        query(
            "CREATE VIEW SEEN AS SELECT * FROM KEPT QUALIFY ROW_NUMBER() OVER (PARTITION BY RUN ORDER BY AT DESC) = 1"
        )
        query("INSERT INTO KEPT SELECT 'r', CURRENT_TIMESTAMP(), PARSE_JSON('{\"a\": 1}')")
        query("CREATE ROLE KEPT_ROLE")
        query("GRANT USAGE ON DATABASE DB TO ROLE KEPT_ROLE")
        query("CREATE EXPERIMENT KEPT_EXPERIMENT")
        done = start(query, "echo said; echo file > out.txt")
        until(lambda: query(f"DESCRIBE SERVICE {done}")[0]["status"] == "DONE")
        running, waiting = start(query, CLING.format(mark=mark)), start(query, "true")
        until(lambda: len(marked(mark)) >= 3)
    assert marked(mark) == []
    assert marked(str(tmp_path)) == []
    with serve() as globe, connect(globe) as session:
        query = asking(session)
        assert query("SHOW STAGES LIKE 'HOME'")[0]["comment"] == "it's home"
        assert [row["name"] for row in query("LIST @HOME")] == ["home/q/out.txt"]
        query("CREATE TABLE LOADED (LINE VARCHAR)")
        query("COPY INTO LOADED FROM @HOME/q/out.txt FILE_FORMAT = (TYPE = CSV)")
        assert query("SELECT LINE FROM LOADED")[0]["LINE"] == "file"
        assert query("SELECT RUN, BODY:a::INT AS A FROM SEEN")[0]["A"] == 1
        assert [row["name"] for row in query("SHOW GRANTS TO ROLE KEPT_ROLE")] == ["DB"]
        assert len(query("SHOW EXPERIMENTS LIKE 'KEPT%'")) == 1
        assert query("SELECT SYSTEM$GET_SERVICE_LOGS(?, ?, ?)", done, "0", "main")[0][0] == "said"
        assert query(f"DESCRIBE SERVICE {done}")[0]["status"] == "DONE"
        assert query(f"DESCRIBE SERVICE {running}")[0]["status"] == "INTERNAL_ERROR"
        until(lambda: query(f"DESCRIBE SERVICE {waiting}")[0]["status"] == "DONE")
        name = running.rsplit(".", 1)[-1]
        messages = query("SELECT MESSAGE FROM TABLE(SNOWFLAKE.SPCS.GET_JOB_HISTORY()) WHERE NAME = ?", name)
        assert messages[0][0] == "the server ended while this job ran"
        answered = json.loads(query("SELECT AI_COMPLETE('m', 'abc', {'temperature': 0}) AS A")[0]["A"])
        assert answered == {"model": "m", "letters": 3, "temperature": 0}
        assert query("SELECT AI_COMPLETE('m', 'fail') AS A")[0]["A"] is None


def test_a_killed_server_leaves_no_process(
    serve: Callable[[], Globe], connect: Connect, marked: Marked, until: Until
) -> None:
    mark = f"8{uuid.uuid4().int % 10**9:09d}"
    globe = serve()
    with connect(globe) as session:
        query = asking(session)
        query("CREATE STAGE HOME")
        job = start(query, CLING.format(mark=mark))
    until(lambda: len(marked(mark)) >= 3)
    os.kill(globe.process.pid, signal.SIGKILL)
    globe.process.wait()
    until(lambda: marked(mark) == [])
    with serve() as again, connect(again) as session:
        assert asking(session)(f"DESCRIBE SERVICE {job}")[0]["status"] == "INTERNAL_ERROR"


def test_the_server_ends_with_the_process_that_began_it(tmp_path: Path, marked: Marked, until: Until) -> None:
    script = f"import os, snowglobe; snowglobe.serve({str(tmp_path / 'state')!r}); os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script], check=False)
    until(lambda: marked(f"{tmp_path}/state") == [])


def test_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "snowglobe", "--dir", str(tmp_path), "--pool", "A=2:GPU_NV_S", "--schema", "D.E"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert said["protocol"] == "http"
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert "is in use by another snowglobe" in second.stderr
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
