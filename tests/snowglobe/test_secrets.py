"""Secrets reach the jobs that name them, and nothing else that can be read."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from snowflake.ml import jobs
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

from snowglobe import Globe

Query = Callable[..., list[Row]]
PLANTED = "planted-5f0c1d"


def asked(name: str, variable: str = "TOKEN", key: str = "secret_string") -> dict[str, object]:
    return {"snowflakeSecret": {"objectName": name}, "envVarName": variable, "secretKeyRef": key}


def submit(session: Session, script: str, *secrets: dict[str, object]) -> jobs.MLJob:
    folder = Path(__file__).parent / "payload"
    return jobs.submit_directory(
        str(folder), "POOL", entrypoint=["sh", "-c", script], stage_name="JOBS", session=session, name="WITH_SECRET",
        spec_overrides={"spec": {"containers": [{"name": "main", "secrets": list(secrets)}]}},
    )  # fmt: skip


def refusal(query: Query, sql: str, *bindings: object) -> SnowparkSQLException:
    with pytest.raises(SnowparkSQLException) as caught:
        query(sql, *bindings)
    return caught.value


def test_a_job_gets_what_it_names_and_nothing_shows_it(globe: Globe, session: Session, query: Query) -> None:
    query(f"CREATE SECRET DB.S.TOKEN TYPE = GENERIC_STRING SECRET_STRING = '{PLANTED}-1' COMMENT = 'of the hub'")
    query("CREATE OR REPLACE SECRET BOUND TYPE = GENERIC_STRING SECRET_STRING = ?", f"{PLANTED}-2")
    query("CREATE SECRET CHANGED TYPE = GENERIC_STRING SECRET_STRING = $$before$$")
    query(f"ALTER SECRET CHANGED SET SECRET_STRING = '{PLANTED}-3'")
    for wrong in ("ALTER SECRET IF EXISTS NONE UNSET", "CREATE SECRETS X", "EXECUTE IMMEDIATE 'CREATE SECRET X"):
        assert PLANTED not in str(refusal(query, f"{wrong} SECRET_STRING = ''{PLANTED}''"))
    script = 'printf %s "$TOKEN|$SECOND|$THIRD|${HF_TOKEN-none}" | rev'
    job = submit(session, script, asked("TOKEN"), asked("DB.S.BOUND", "SECOND"), asked("S.CHANGED", "THIRD"))
    assert job.wait(60) == "DONE", job.get_logs()
    assert f"{PLANTED}-1|{PLANTED}-2|{PLANTED}-3|none"[::-1] in job.get_logs()
    shown = [str(row.as_dict()) for sql in ("SHOW SECRETS", f"DESCRIBE SERVICE {job.id}") for row in query(sql)]
    assert "DB.S.BOUND" in shown[-1]
    assert PLANTED not in "".join(shown)
    found = subprocess.run(["grep", "-rl", PLANTED, str(globe.directory)], capture_output=True, text=True, check=False)
    kept = sorted(str(Path(line).relative_to(globe.directory)) for line in found.stdout.splitlines())
    assert kept == [f"catalog/secrets/DB/S/{name}.json" for name in ("BOUND", "CHANGED", "TOKEN")]
    assert any("SECRET_STRING = '****'" in entry["sql"] for entry in globe.trace())


def test_a_secret_that_is_not_there_starts_no_job(session: Session, query: Query) -> None:
    query("CREATE SECRET OTHER TYPE = PASSWORD USERNAME = 'u' PASSWORD = 'p'")
    before = len(query("SHOW JOB SERVICES"))
    with pytest.raises(
        SnowparkSQLException, match=r"Secret 'DB\.S\.NOWHERE' does not exist or not authorized"
    ) as caught:
        submit(session, "true", asked("NOWHERE"))
    assert caught.value.sql_error_code == 2003
    for wrong in (asked("OTHER"), asked("OTHER", key="password"), {"snowflakeSecret": "OTHER", "directoryPath": "/x"}):
        with pytest.raises(SnowparkSQLException):
            submit(session, "true", wrong)
    assert len(query("SHOW JOB SERVICES")) == before


def test_a_secret_that_is_dropped_before_the_job_starts_ends_it(
    session: Session, query: Query, until: Callable[..., None]
) -> None:
    query("CREATE SECRET SHORT TYPE = GENERIC_STRING SECRET_STRING = 'x'")
    query("CREATE COMPUTE POOL LATER MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = CPU_X64_S")
    query("ALTER COMPUTE POOL LATER SET MAX_NODES = 0")
    spec = {
        "STAGE_PATH": "@JOBS/later", "ARGS": ["true"], "ENV_VARS": {}, "RUNTIME": "image:tag",
        "SPEC_OVERRIDES": {"spec": {"containers": [{"name": "main", "secrets": [asked("SHORT")]}]}},
    }  # fmt: skip
    options = {"TARGET_INSTANCES": 1, "GENERATE_SUFFIX": True, "ASYNC": True}
    call = f"CALL SYSTEM$EXECUTE_ML_JOB('LATE_', 'LATER', '{json.dumps(spec)}', '{json.dumps(options)}')"
    job = query(call)[0][0]
    query("DROP SECRET SHORT")
    query("ALTER COMPUTE POOL LATER SET MAX_NODES = 1")
    until(lambda: query(f"DESCRIBE SERVICE {job}")[0]["status"] == "INTERNAL_ERROR")


def test_making_and_dropping(query: Query) -> None:
    query("CREATE SECRET IF NOT EXISTS MADE TYPE = GENERIC_STRING SECRET_STRING = 'it''s' COMMENT = 'c'")
    query("CREATE SECRET IF NOT EXISTS MADE TYPE = GENERIC_STRING SECRET_STRING = 'x'")
    assert refusal(query, "CREATE SECRET MADE TYPE = GENERIC_STRING SECRET_STRING = 'x'").sql_error_code == 2002
    (row,) = query("SHOW SECRETS LIKE 'MADE' IN SCHEMA DB.S")
    assert (row["name"], row["schema_name"], row["secret_type"], row["comment"]) == ("MADE", "S", "GENERIC_STRING", "c")
    assert "SECRET_STRING" in str(refusal(query, "CREATE SECRET LACKING TYPE = GENERIC_STRING"))
    query("DROP SECRET MADE")
    query("DROP SECRET IF EXISTS MADE")
    assert refusal(query, "DROP SECRET MADE").sql_error_code == 2003
    assert refusal(query, "ALTER SECRET MADE SET SECRET_STRING = 'x'").sql_error_code == 2003
