"""The wire: replies by request id, logins, what is not known, and that nothing becomes an HTTP error."""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector.errors import DatabaseError
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

from snowglobe import Globe

Query = Callable[..., list[Row]]
Connect = Callable[..., Session]
Json = dict[str, Any]
USER = "SELECT CURRENT_USER()"


class Wire:
    """A client by hand, which can say the same request id again."""

    def __init__(self, globe: Globe) -> None:
        self._base, self._token = f"http://127.0.0.1:{globe.port}", ""
        data = {"LOGIN_NAME": "hand", "PASSWORD": "x", "SESSION_PARAMETERS": {}}
        login = self.post("/session/v1/login-request?databaseName=DB&schemaName=S", {"data": data})
        self._token, self.master = login["data"]["token"], login["data"]["masterToken"]

    def post(self, path: str, body: Json, token: str | None = None) -> Json:
        headers = {"Content-Type": "application/json", "Authorization": f'Snowflake Token="{token or self._token}"'}
        request = urllib.request.Request(self._base + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: Json = json.load(response)
            return answer

    def ask(self, sql: str, request_id: str | None = None, **more: Any) -> Json:
        request_id = request_id or str(uuid.uuid4())
        path = f"/queries/v1/query-request?requestId={request_id}&request_guid={uuid.uuid4()}"
        return self.post(path, {"sqlText": sql, **more})


@pytest.fixture
def wire(globe: Globe) -> Wire:
    return Wire(globe)


def test_a_repeated_request_is_answered_and_not_run_again(wire: Wire, query: Query) -> None:
    first, again = (wire.ask("CREATE STAGE REPLAYED", "11111111-1111-4111-8111-111111111111") for _ in range(2))
    assert first["success"]
    assert again == first
    assert wire.ask("CREATE STAGE REPLAYED")["code"] == "002002"
    refused, again = (wire.ask("CREATE STAGE REPLAYED", "11111111-1111-4111-8111-111111111112") for _ in range(2))
    assert refused == again
    assert refused["data"]["sqlState"] == "42710"


def test_a_repeated_submission_is_one_job(wire: Wire, query: Query) -> None:
    query("CREATE STAGE IF NOT EXISTS QUICK")
    spec = json.dumps({"STAGE_PATH": "@QUICK/q", "ARGS": ["true"], "ENV_VARS": {}, "RUNTIME": "i:t"})
    submit = f"CALL SYSTEM$EXECUTE_ML_JOB('ONCE_', 'POOL', '{spec}', '{json.dumps({'GENERATE_SUFFIX': True})}')"
    answers = [wire.ask(submit, "22222222-2222-4222-8222-222222222222") for _ in range(3)]
    assert len({json.dumps(answer) for answer in answers}) == 1
    assert len(query("SHOW JOB SERVICES LIKE 'ONCE\\\\_%'")) == 1


def test_a_request_repeated_while_it_runs_waits_for_the_first(
    wire: Wire, globe: Globe, start_job: Callable[..., str]
) -> None:
    job, request_id, answers = start_job("sleep 2"), str(uuid.uuid4()), []

    def ask() -> None:
        answers.append(wire.ask(f"CALL {job}!SPCS_WAIT_FOR('DONE', 30)", request_id))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    assert [answer["data"]["rowset"] for answer in answers] == [[["DONE"]]] * 3
    assert len({answer["data"]["queryId"] for answer in answers}) == 1
    traced = [entry["repeated"] for entry in globe.trace() if entry["request_id"] == request_id]
    assert traced == [False, True, True]


def test_the_trace_holds_every_statement_with_its_bindings(query: Query, globe: Globe) -> None:
    query("SELECT ? AS TRACED", "a binding")
    entry = next(entry for entry in reversed(globe.trace()) if "TRACED" in entry["sql"])
    assert entry["bindings"] == {"1": "a binding"}
    assert entry["user"] == "SNOWGLOBE"
    assert entry["session"]
    assert Path(globe.directory / "trace.jsonl").stat().st_size > 0


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT SYSTEM$SOMETHING(1)", "CALL DB.S.JOB!SPCS_SOMETHING()", "EXECUTE JOB SERVICE IN COMPUTE POOL POOL",
        "CALL SYSTEM$EXECUTE_OTHER_JOB('X')", "ALTER EXPERIMENT E RENAME TO F", "SELECT AI_EMBED('m', 'x')",
        "SELECT SNOWFLAKE.CORTEX.COMPLETE('m', 'x')", "SHOW SERVICES", "CREATE CODE BUNDLE X FROM '@S'", "SHOW MODELS",
        "CREATE STAGE EXTERNAL URL = 's3://bucket'", "LIST @~", "CALL MY_PROCEDURE()",
        "ALTER STAGE QUICK SET DIRECTORY = (ENABLE = TRUE)",
    ],
)  # fmt: skip
def test_what_is_not_known_says_so_and_where_to_add_it(wire: Wire, query: Query, sql: str) -> None:
    query("CREATE STAGE IF NOT EXISTS QUICK")
    answer = wire.ask(sql)
    assert not answer["success"]
    assert answer["message"] == f"snowglobe does not know this statement: {sql} (tooling/snowglobe/statements.py)"


@pytest.mark.parametrize(
    "sql", ["", "SELECT 'unclosed", "DESCRIBE INTEGRATION", ")", "SELECT * FROM T AT (OFFSET => -60)"]
)
def test_nonsense_is_an_sql_error(wire: Wire, sql: str) -> None:
    answer = wire.ask(sql)
    assert not answer["success"]
    assert len(answer["code"]) == 6


def test_words_in_text_are_no_statements(query: Query) -> None:
    text = "SYSTEM$X() AI_EMBED( EXPERIMENT x JOB SERVICE y -- CURRENT_ROLE() /* AT */"
    assert query(f"SELECT '{text}' AS X")[0]["X"] == text
    assert query("SELECT ? AS X -- a comment's end", text)[0]["X"] == text


def test_tokens_are_renewed_and_sessions_end(wire: Wire) -> None:
    renewed = wire.post("/session/token-request", {"oldSessionToken": "x", "requestType": "RENEW"}, wire.master)
    assert renewed["success"]
    assert wire.ask("SELECT 1")["success"]
    assert wire.post("/session?delete=true", {})["success"]
    assert wire.ask("SELECT 1")["code"] == "390104"


def jwt(**claims: object) -> str:
    parts = ({"alg": "none"}, claims, {})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def test_key_pair(globe: Globe, connect: Connect) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with connect(globe, user="ci", password=None, authenticator="SNOWFLAKE_JWT", private_key=der) as session:
        assert session.sql(USER).collect()[0][0] == "CI"


def test_programmatic_access_token(globe: Globe, connect: Connect) -> None:
    pat = {"authenticator": "PROGRAMMATIC_ACCESS_TOKEN", "token": "secret", "password": None}
    with connect(globe, user="pat", **pat) as session:
        assert session.sql(USER).collect()[0][0] == "PAT"


def test_workload_identity(globe: Globe, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES", "127.0.0.1")
    oidc = {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "OIDC", "user": None, "password": None}
    token = jwt(sub="repo:me/it:environment:prod", iss="https://issuer", aud="snowflakecomputing.com")
    with connect(globe, token=token, **oidc) as session:
        assert session.sql(USER).collect()[0][0] == "REPO:ME/IT:ENVIRONMENT:PROD"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"AUTHENTICATOR": "WORKLOAD_IDENTITY", "TOKEN": "no token"}, "390144"),
        ({"AUTHENTICATOR": "PROGRAMMATIC_ACCESS_TOKEN"}, "390303"),
        ({"AUTHENTICATOR": "CARRIER_PIGEON"}, "390144"),
    ],
)
def test_refused_logins(wire: Wire, given: Json, code: str) -> None:
    answer = wire.post("/session/v1/login-request", {"data": {"LOGIN_NAME": "x", **given}})
    assert (answer["success"], answer["code"]) == (False, code)


def test_a_role_that_is_not_there_cannot_log_in(globe: Globe, connect: Connect) -> None:
    with pytest.raises(DatabaseError, match="Role 'NOBODY'"):
        connect(globe, role="NOBODY")


def test_a_session_on_a_database_that_is_not_there(globe: Globe, connect: Connect) -> None:
    with connect(globe, database="LATER", schema="X") as session:
        assert session.get_current_database() is None
        with pytest.raises(SnowparkSQLException, match="does not have a current database"):
            session.sql("CREATE STAGE A").collect()
        session.sql("CREATE DATABASE LATER").collect()
        session.sql("CREATE SCHEMA LATER.X").collect()
        session.sql("CREATE STAGE A").collect()
        assert session.sql("SHOW STAGES IN LATER.X").collect()[0]["name"] == "A"
        session.sql("DROP DATABASE LATER").collect()
        assert session.sql("SHOW STAGES IN ACCOUNT STARTS WITH 'A'").collect() == []
