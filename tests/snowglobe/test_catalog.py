"""What somebody asks who wants to know whether an account is ready."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

from snowglobe import Globe

Query = Callable[..., list[Row]]
Connect = Callable[..., Session]


def test_who_and_where(query: Query) -> None:
    asked = ("ACCOUNT_NAME", "ACCOUNT", "ROLE", "USER", "WAREHOUSE", "DATABASE", "SCHEMA", "VERSION")
    row = query("SELECT " + ", ".join(f"CURRENT_{what}()" for what in asked))[0]
    assert tuple(row)[:-1] == ("SNOWGLOBE", "SNOWGLOBE", "ACCOUNTADMIN", "SNOWGLOBE", None, "DB", "S")
    assert row["CURRENT_VERSION()"]
    assert query("SELECT CURRENT_ROLE() AS R, current_user() u")[0].as_dict() == {"R": "ACCOUNTADMIN", "U": "SNOWGLOBE"}
    assert query("SELECT UPPER(CURRENT_SCHEMA()) AS S, 1 AS N")[0]["S"] == "S"


def test_use(globe: Globe, connect: Connect) -> None:
    with connect(globe, warehouse="COMPUTE_WH") as session:
        ask = lambda sql: session.sql(sql).collect()  # noqa: E731
        for statement in (
            "CREATE ROLE CI",
            "CREATE WAREHOUSE SMALL WAREHOUSE_SIZE = XSMALL",
            "CREATE DATABASE USED",
            "CREATE SCHEMA USED.IT",
        ):
            ask(statement)
        ask("USE ROLE CI")
        ask("USE WAREHOUSE SMALL")
        ask("USE DATABASE USED")
        assert ask("SELECT CURRENT_SCHEMA()")[0][0] == "PUBLIC"
        ask("USE SCHEMA IT")
        asked = ask("SELECT CURRENT_ROLE(), CURRENT_WAREHOUSE(), CURRENT_DATABASE(), CURRENT_SCHEMA()")[0]
        assert tuple(asked) == ("CI", "SMALL", "USED", "IT")
        for statement in (
            "USE ROLE NOBODY",
            "USE WAREHOUSE NONE",
            "USE DATABASE NONE",
            "USE SCHEMA NONE",
            "USE SCHEMA A.B",
        ):
            with pytest.raises(SnowparkSQLException, match="does not exist"):
                ask(statement)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        (r"SHOW TABLES LIKE 'L\\_%' IN SCHEMA DB.SHOWN", ["L_1"]),
        ("SHOW TABLES LIKE 'L_%' IN SCHEMA DB.SHOWN", ["LX1", "L_1"]),
        ("SHOW VIEWS IN DB.SHOWN", ["L_V"]),
        ("SHOW OBJECTS IN SCHEMA DB.SHOWN", ["LX1", "L_1", "L_V"]),
        ("SHOW SCHEMAS LIKE 'SHO%' IN DATABASE DB", ["SHOWN"]),
        ("SHOW SCHEMAS LIKE 'SHO%'", ["SHOWN"]),
        ("SHOW DATABASES LIKE 'DB'", ["DB"]),
        ("SHOW WAREHOUSES LIKE 'COMPUTE%'", ["COMPUTE_WH"]),
        ("SHOW ROLES LIKE 'SYS%'", ["SYSADMIN"]),
        ("SHOW COMPUTE POOLS LIKE 'NARROW'", ["NARROW"]),
        ("SHOW COMPUTE POOL INSTANCE FAMILIES LIKE 'GPU_NV_S'", ["GPU_NV_S"]),
        ("DESCRIBE COMPUTE POOL NARROW", ["NARROW"]),
        ("SHOW IMAGE REPOSITORIES IN SCHEMA DB.SHOWN", ["IMAGES"]),
        ("SHOW EXTERNAL ACCESS INTEGRATIONS LIKE 'PYPI%'", ["PYPI_ACCESS"]),
        ("SHOW INTEGRATIONS", ["PYPI_ACCESS"]),
        ("SHOW SECRETS IN SCHEMA DB.SHOWN", ["TOKEN"]),
    ],
)
def test_show(query: Query, sql: str, names: list[str]) -> None:
    for statement in (
        "CREATE SCHEMA IF NOT EXISTS DB.SHOWN", "CREATE TABLE IF NOT EXISTS DB.SHOWN.L_1 (N INT)", "USE SCHEMA DB.S",
        "CREATE TABLE IF NOT EXISTS DB.SHOWN.LX1 (N INT)",
        "CREATE VIEW IF NOT EXISTS DB.SHOWN.L_V AS SELECT 1 AS N",
        "CREATE IMAGE REPOSITORY IF NOT EXISTS DB.SHOWN.IMAGES",
        "CREATE SECRET IF NOT EXISTS DB.SHOWN.TOKEN TYPE = GENERIC_STRING SECRET_STRING = 'x'",
        "CREATE OR REPLACE EXTERNAL ACCESS INTEGRATION PYPI_ACCESS ALLOWED_NETWORK_RULES = (R) ENABLED = TRUE",
    ):  # fmt: skip
        query(statement)
    assert sorted(row["name"] for row in query(sql)) == names


def test_grants_are_recorded(query: Query) -> None:
    query("CREATE ROLE IF NOT EXISTS RUNNER")
    for statement in (
        "GRANT USAGE, MONITOR ON COMPUTE POOL POOL TO ROLE RUNNER", "GRANT USAGE ON DATABASE DB TO ROLE RUNNER",
        "GRANT CREATE STAGE, CREATE TABLE ON SCHEMA DB.S TO ROLE RUNNER WITH GRANT OPTION",
        "GRANT BIND SERVICE ENDPOINT ON ACCOUNT TO ROLE RUNNER", "GRANT USAGE ON INTEGRATION X TO ROLE RUNNER",
        "GRANT SELECT ON ALL TABLES IN SCHEMA DB.S TO ROLE RUNNER", "GRANT ROLE RUNNER TO USER SNOWGLOBE",
        "REVOKE MONITOR ON COMPUTE POOL POOL FROM ROLE RUNNER",
    ):  # fmt: skip
        query(statement)
    shown = {(row["privilege"], row["granted_on"], row["name"]) for row in query("SHOW GRANTS TO ROLE RUNNER")}
    assert shown == {
        ("USAGE", "COMPUTE_POOL", "POOL"), ("USAGE", "DATABASE", "DB"), ("CREATE STAGE", "SCHEMA", "DB.S"),
        ("CREATE TABLE", "SCHEMA", "DB.S"), ("BIND SERVICE ENDPOINT", "ACCOUNT", ""), ("USAGE", "INTEGRATION", "X"),
        ("SELECT", "ALL_TABLES_IN_SCHEMA", "DB.S"),
    }  # fmt: skip
    assert [row["grantee_name"] for row in query("SHOW GRANTS ON COMPUTE POOL POOL")] == ["RUNNER"]
    assert [row["name"] for row in query("SHOW GRANTS")] == ["RUNNER"]
    assert [row["grantee_name"] for row in query("SHOW GRANTS OF ROLE RUNNER")] == ["SNOWGLOBE"]
    with pytest.raises(SnowparkSQLException, match="Role 'NOBODY' does not exist"):
        query("SHOW GRANTS TO ROLE NOBODY")


def test_pools_are_made_and_changed(query: Query) -> None:
    query("CREATE COMPUTE POOL IF NOT EXISTS GROWING MIN_NODES = 1 MAX_NODES = 2 INSTANCE_FAMILY = CPU_X64_M")
    query("ALTER COMPUTE POOL GROWING SET MAX_NODES = 5")
    pool = query("DESCRIBE COMPUTE POOL GROWING")[0]
    assert (pool["max_nodes"], pool["instance_family"], pool["state"]) == (5, "CPU_X64_M", "IDLE")
    with pytest.raises(SnowparkSQLException) as caught:
        query("CREATE COMPUTE POOL GROWING MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = CPU_X64_S")
    assert caught.value.sql_error_code == 2002
    query("DROP COMPUTE POOL GROWING")
    with pytest.raises(SnowparkSQLException, match="does not exist"):
        query("DESCRIBE COMPUTE POOL GROWING")


def test_future_grants_are_apart(query: Query) -> None:
    query("CREATE ROLE IF NOT EXISTS WATCHER")
    query("GRANT MONITOR ON FUTURE SERVICES IN SCHEMA DB.S TO ROLE WATCHER")
    query("GRANT USAGE ON SCHEMA S TO ROLE WATCHER")
    assert [row["name"] for row in query("SHOW GRANTS TO ROLE WATCHER")] == ["DB.S"]
    for statement in ("SHOW FUTURE GRANTS TO ROLE WATCHER", "SHOW FUTURE GRANTS IN SCHEMA DB.S"):
        (row,) = query(statement)
        assert tuple(row)[1:6] == ("MONITOR", "SERVICE", "DB.S.<SERVICE>", "ROLE", "WATCHER")
    query("REVOKE MONITOR ON FUTURE SERVICES IN SCHEMA DB.S FROM ROLE WATCHER")
    assert query("SHOW FUTURE GRANTS TO ROLE WATCHER") == []


def test_who_makes_a_table_owns_it(globe: Globe, connect: Connect) -> None:
    with connect(globe) as session:
        ask = lambda sql: session.sql(sql).collect()  # noqa: E731
        ask("CREATE ROLE IF NOT EXISTS MAKER")
        ask("USE ROLE MAKER")
        ask("CREATE TABLE IF NOT EXISTS OWNED (N INT)")
        ask("CREATE VIEW IF NOT EXISTS OWNED_V AS SELECT N FROM OWNED")
        ask("USE ROLE ACCOUNTADMIN")
        ask("CREATE TABLE IF NOT EXISTS OWNED (N INT)")
        ask("GRANT SELECT ON TABLE OWNED TO ROLE MAKER")
        shown = {(row["privilege"], row["granted_on"], row["name"]) for row in ask("SHOW GRANTS TO ROLE MAKER")}
        assert shown == {
            ("OWNERSHIP", "TABLE", "DB.S.OWNED"), ("OWNERSHIP", "VIEW", "DB.S.OWNED_V"),
            ("SELECT", "TABLE", "DB.S.OWNED"),
        }  # fmt: skip
        assert [row["owner"] for row in ask("SHOW TABLES LIKE 'OWNED'") + ask("SHOW VIEWS LIKE 'OWNED_V'")] == [
            "MAKER"
        ] * 2
        ask("DROP VIEW OWNED_V")
        ask("DROP TABLE OWNED")
        assert ask("SHOW GRANTS TO ROLE MAKER") == []


def test_idle_seconds_are_kept(query: Query) -> None:
    query("CREATE WAREHOUSE IF NOT EXISTS IDLES WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 INITIALLY_SUSPENDED = TRUE")
    query("CREATE COMPUTE POOL IF NOT EXISTS IDLES MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = CPU_X64_S")
    assert query("SHOW WAREHOUSES LIKE 'IDLES'")[0]["auto_suspend"] == 60
    assert query("SHOW COMPUTE POOLS LIKE 'IDLES'")[0]["auto_suspend_secs"] == 3600
    query("ALTER WAREHOUSE IDLES SET AUTO_SUSPEND = 0")
    query("ALTER COMPUTE POOL IDLES SET AUTO_SUSPEND_SECS = 300")
    assert query("SHOW WAREHOUSES LIKE 'IDLES'")[0]["auto_suspend"] == 0
    assert query("SHOW COMPUTE POOLS LIKE 'IDLES'")[0]["auto_suspend_secs"] == 300


def test_a_table_has_one_row_access_policy(query: Query) -> None:
    references = (
        "SELECT * FROM TABLE(DB.INFORMATION_SCHEMA.POLICY_REFERENCES("
        "REF_ENTITY_NAME => 'DB.S.GUARDED', REF_ENTITY_DOMAIN => 'TABLE'))"
    )
    query("CREATE TABLE IF NOT EXISTS GUARDED (RUN VARCHAR)")
    query("CREATE ROLE IF NOT EXISTS APPLIES")
    body = "AS (RUN VARCHAR) RETURNS BOOLEAN -> CURRENT_ROLE() IN ('A', 'B')"
    query(f"CREATE ROW ACCESS POLICY IF NOT EXISTS READERS {body}")
    query("GRANT APPLY ON ROW ACCESS POLICY READERS TO ROLE APPLIES")
    assert [row["name"] for row in query("SHOW GRANTS TO ROLE APPLIES")] == ["DB.S.READERS"]
    assert [row["name"] for row in query("SHOW ROW ACCESS POLICIES IN SCHEMA DB.S")] == ["READERS"]
    for _ in range(2):
        query("ALTER TABLE GUARDED DROP ALL ROW ACCESS POLICIES")
        assert query(references) == []
        query("ALTER TABLE GUARDED ADD ROW ACCESS POLICY READERS ON (RUN)")
    assert [row["POLICY_NAME"] for row in query(references)] == ["READERS"]
    with pytest.raises(SnowparkSQLException, match="already has a ROW_ACCESS_POLICY"):
        query("ALTER TABLE GUARDED ADD ROW ACCESS POLICY READERS ON (RUN)")
    with pytest.raises(SnowparkSQLException, match="does not exist"):
        query("ALTER TABLE GUARDED ADD ROW ACCESS POLICY NOBODY ON (RUN)")
