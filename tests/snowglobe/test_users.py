"""Users, their identities and their roles: who may log in, as whom, and who sees whom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from snowflake.connector.errors import DatabaseError
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

import snowglobe
from issuer import ISSUER, PLANTED, token
from snowglobe import Globe

Query = Callable[..., list[Row]]
Connect = Callable[..., Session]
SUBJECT = "repo:me/it:environment:prod"
USER = f"""CREATE USER IF NOT EXISTS DEPLOYER
  TYPE = SERVICE
  WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = '{ISSUER}' SUBJECT = '{SUBJECT}')
  DEFAULT_ROLE = deploy DEFAULT_WAREHOUSE = COMPUTE_WH DEFAULT_SECONDARY_ROLES = ()"""
OIDC: dict[str, Any] = {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "OIDC", "password": None}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Globe]:
    with snowglobe.serve(tmp_path_factory.mktemp("users"), schemas=["DB.S"]) as running:
        yield running


@pytest.fixture(scope="module")
def admin(account: Globe, connect: Connect) -> Iterator[Query]:
    with connect(account) as session:
        ask: Query = lambda sql: session.sql(sql).collect()  # noqa: E731
        for statement in (
            "CREATE ROLE DEPLOY", "CREATE ROLE READS", "CREATE ROLE APART", USER, USER,
            "GRANT ROLE READS TO ROLE DEPLOY", "GRANT ROLE DEPLOY TO USER DEPLOYER",
        ):  # fmt: skip
            ask(statement)
        yield ask


@pytest.fixture
def login(account: Globe, admin: Query, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Session]:
    monkeypatch.setenv("SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES", "127.0.0.1")

    def open_session(proof: str, **more: Any) -> Session:
        return connect(account, **OIDC, **{"user": None, "token": proof, **more})

    return open_session


def test_a_token_logs_in_as_the_user_that_has_its_identity(login: Callable[..., Session]) -> None:
    with login(token(SUBJECT)) as session:
        who = session.sql("SELECT CURRENT_USER(), CURRENT_ROLE(), CURRENT_WAREHOUSE()").collect()[0]
        assert tuple(who) == ("DEPLOYER", "DEPLOY", "COMPUTE_WH")
    with login(token(SUBJECT, aud=["other", "snowflakecomputing.com"]), user="deployer", role="READS") as session:
        assert session.sql("SELECT CURRENT_ROLE()").collect()[0][0] == "READS"


@pytest.mark.parametrize(
    ("claims", "more"),
    [
        ({"sub": "repo:me/it:environment:other"}, {}),
        ({"sub": SUBJECT.upper()}, {}),
        ({"iss": "https://elsewhere"}, {}),
        ({"aud": "https://github.com/me"}, {}),
        ({"aud": None}, {}),
        ({"exp": 1700000000}, {}),
        ({"exp": None}, {}),
        ({}, {"user": "somebody"}),
    ],
    ids=lambda value: json.dumps(value, default=str)[:40],
)
def test_any_other_token_is_refused(
    claims: dict[str, Any], more: dict[str, Any], login: Callable[..., Session], account: Globe
) -> None:
    with pytest.raises(DatabaseError, match=r"JWT token is invalid\. \[[0-9a-f-]{36}\]") as refused:
        login(token(SUBJECT, **claims), **more)
    said = (account.directory / "server.log").read_text()
    assert str(refused.value).split("[")[-1].rstrip("]") in said
    assert PLANTED not in said


def test_a_user_takes_only_its_own_roles(login: Callable[..., Session]) -> None:
    with pytest.raises(DatabaseError, match="Role 'APART' specified in the connect string"):
        login(token(SUBJECT), role="APART")
    with login(token(SUBJECT)) as session:
        session.sql("USE ROLE READS").collect()
        session.sql("USE ROLE DEPLOY").collect()
        with pytest.raises(SnowparkSQLException, match="Requested role 'APART' is not assigned"):
            session.sql("USE ROLE APART").collect()


def test_a_service_user_has_no_password(login: Callable[..., Session], account: Globe, connect: Connect) -> None:
    with pytest.raises(DatabaseError, match="Incorrect username or password"):
        connect(account, user="deployer", password="x")
    with connect(account, user="a_person", password="x") as session:
        assert session.sql("SELECT CURRENT_ROLE()").collect()[0][0] == "ACCOUNTADMIN"


def test_who_sees_whom(login: Callable[..., Session], admin: Query) -> None:
    admin("CREATE USER IF NOT EXISTS OTHER DEFAULT_ROLE = READS COMMENT = 'no identity'")
    assert [row["name"] for row in admin("SHOW USERS")] == ["DEPLOYER", "OTHER"]
    row = admin("SHOW USERS LIKE 'deploy%'")[0]
    assert (row["type"], row["default_role"], row["has_workload_identity"]) == ("SERVICE", "DEPLOY", "true")
    (method,) = admin("SHOW USER WORKLOAD IDENTITY AUTHENTICATION METHODS FOR USER DEPLOYER")
    assert json.loads(method["additional_info"]) == {"issuer": ISSUER, "subject": SUBJECT, "audienceList": []}
    described = {row["property"]: row["value"] for row in admin("DESCRIBE USER DEPLOYER")}
    assert (described["NAME"], described["DEFAULT_SECONDARY_ROLES"]) == ("DEPLOYER", "[]")
    with login(token(SUBJECT)) as session:
        assert [row["name"] for row in session.sql("SHOW USERS").collect()] == ["DEPLOYER"]
        (mine,) = session.sql("SHOW USER WORKLOAD IDENTITY AUTHENTICATION METHODS").collect()
        assert json.loads(mine["additional_info"])["subject"] == SUBJECT
        for statement in ("DESCRIBE USER OTHER", "SHOW USER WORKLOAD IDENTITY AUTHENTICATION METHODS FOR USER OTHER"):
            with pytest.raises(SnowparkSQLException, match="Insufficient privileges"):
                session.sql(statement).collect()


def test_users_are_changed_and_dropped(admin: Query, login: Callable[..., Session]) -> None:
    identity = "WORKLOAD_IDENTITY = (TYPE = OIDC, ISSUER = 'https://i', SUBJECT = 's', OIDC_AUDIENCE_LIST = ('a', 'b'))"
    admin(f"CREATE USER PASSING TYPE = SERVICE {identity} DEFAULT_ROLE = READS")
    admin("GRANT ROLE READS TO USER PASSING")
    with login(token("s", iss="https://i", aud="b")) as session:
        assert session.sql("SELECT CURRENT_USER()").collect()[0][0] == "PASSING"
    with pytest.raises(SnowparkSQLException, match="are those of user 'DEPLOYER'"):
        admin(f"ALTER USER PASSING SET WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = '{ISSUER}' SUBJECT = '{SUBJECT}')")
    admin("ALTER USER PASSING SET WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = 'https://i' SUBJECT = 't')")
    with pytest.raises(DatabaseError, match="JWT token is invalid"):
        login(token("s", iss="https://i"))
    admin("ALTER USER PASSING UNSET WORKLOAD_IDENTITY")
    assert admin("SHOW USER WORKLOAD IDENTITY AUTHENTICATION METHODS FOR USER PASSING") == []
    admin("DROP USER PASSING")
    admin("DROP USER IF EXISTS PASSING")
    assert [row["grantee_name"] for row in admin("SHOW GRANTS OF ROLE READS")] == ["DEPLOY"]
    for statement, words in (
        ("DROP USER PASSING", "does not exist"),
        ("ALTER USER PASSING SET COMMENT = 'x'", "does not exist"),
        ("GRANT ROLE READS TO USER PASSING", "does not exist"),
        ("CREATE USER DEPLOYER", "already exists"),
        ("CREATE USER X WORKLOAD_IDENTITY = (TYPE = AWS ARN = 'a')", "type AWS"),
        ("CREATE USER X WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = 'a')", "needs ISSUER and SUBJECT"),
    ):
        with pytest.raises(SnowparkSQLException, match=words):
            admin(statement)
