"""An account set up by what `piste doctor --setup` prints: each GitHub user may do its part, and doctor says so."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from snowflake.snowpark import Session

import snowglobe
from issuer import Issuer
from piste.cli import main
from piste.tables import PRIVILEGES
from showcase import loader, soap_notes
from snowglobe import Globe

ROOT = Path(__file__).parents[2]
REPOSITORY = "OWNER/REPO"
USERS = ("PISTE_LOOK", "PISTE_TRY", "PISTE_SUBMIT")
Doctor = Callable[..., Result]


def statements(sql: str) -> list[str]:
    """One after the other, as a worksheet runs them."""
    return [statement.strip() for statement in re.sub(r"--.*", "", sql).split(";") if statement.strip()]


def piste(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["--root", str(ROOT), *arguments])


def execute(session: Session, sql: str) -> None:
    for statement in statements(sql):
        session.sql(statement).collect()


@pytest.fixture(scope="module")
def globe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Globe]:
    with snowglobe.serve(tmp_path_factory.mktemp("globe")) as running:
        yield running


@pytest.fixture(scope="module")
def admin(globe: Globe, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """An administrator's session, after the set-up ran twice and the example's rows and a model came in."""
    made = piste("doctor", "--setup", "--github", REPOSITORY)
    assert made.exit_code == 0, made.output
    with Session.builder.configs(globe.connection).create() as session:
        for _ in range(2):
            execute(session, made.stdout)
        execute(session, "USE ROLE ACCOUNTADMIN;\nUSE SCHEMA PISTE.DEV;\n")
        loader.load_rows(session, list(soap_notes.visits({"train": 2, "test": 2})), lambda _: None)
        model = tmp_path_factory.mktemp("model") / "config.json"
        model.write_text("{}")
        session.file.put(str(model), "@MODELS/smollm2-135m-instruct", auto_compress=False)
        yield session


@pytest.fixture
def login(globe: Globe, admin: Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Makes this process a job of the GitHub environment that a user is for; "" makes it an administrator's laptop."""
    place = {key: globe.connection[key] for key in ("account", "host", "port", "protocol")}
    identity = {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "OIDC"}
    laptop = {"user": "ana", "password": "x"}
    with Issuer("") as issuer:
        for name, value in issuer.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES", "127.0.0.1")

        def log_in(user: str) -> None:
            issuer.subject = f"repo:{REPOSITORY}:environment:{user.lower().replace('_', '-')}"
            chosen = {**place, **(identity if user else laptop)}
            lines = [f"{key} = {json.dumps(value)}" for key, value in chosen.items()]
            monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", "\n".join(["[default]", *lines]))

        yield log_in


def doctor(*arguments: str) -> Result:
    return piste("doctor", "--github", REPOSITORY, *arguments)


@pytest.mark.parametrize("user", [*USERS, ""])
def test_all_is_well_for_each_user_and_for_an_administrator(user: str, login: Callable[[str], None]) -> None:
    login(user)
    told = doctor()
    assert told.exit_code == 0, told.output
    assert told.stdout.endswith("all well\n")
    assert "unseen" not in told.stdout
    found = {one["what"]: one["well"] for one in json.loads(doctor("--format", "json").stdout)}
    assert set(found.values()) == {True}
    assert doctor("--format", "sql").stdout == ""
    mine = [what for what in found if what.startswith("user ")]
    seen = USERS if not user else (user,)
    assert mine == [f"user {one} for repo:{REPOSITORY}:environment:{one.lower().replace('_', '-')}" for one in seen]
    assert ("files at @MODELS/smollm2-135m-instruct" in found) is (user != "PISTE_LOOK")


BROKEN: dict[str, tuple[str, str, str, str]] = {
    "a privilege on the schema": (
        "REVOKE CREATE STAGE, CREATE VIEW ON SCHEMA PISTE.DEV FROM ROLE PISTE_SUBMIT",
        "PISTE_SUBMIT", "lacks CREATE STAGE, CREATE VIEW",
        "USE ROLE ACCOUNTADMIN;\nGRANT CREATE STAGE, CREATE VIEW ON SCHEMA PISTE.DEV TO ROLE PISTE_SUBMIT;\n",
    ),
    "monitor on a pool": (
        "REVOKE MONITOR ON COMPUTE POOL PISTE_CPU FROM ROLE PISTE_LOOK",
        "PISTE_LOOK", "MONITOR on compute pool PISTE_CPU",
        "USE ROLE ACCOUNTADMIN;\nGRANT MONITOR ON COMPUTE POOL PISTE_CPU TO ROLE PISTE_LOOK;\n",
    ),
    "the ledger's view": (
        "REVOKE SELECT ON VIEW PISTE.DEV.LEDGER_LATEST FROM ROLE PISTE_LOOK",
        "PISTE_LOOK", "SELECT on view PISTE.DEV.LEDGER_LATEST",
        "USE ROLE PISTE_SUBMIT;\nGRANT SELECT ON VIEW PISTE.DEV.LEDGER_LATEST TO ROLE PISTE_LOOK;\n",
    ),
    "jobs to come": (
        "REVOKE MONITOR ON FUTURE SERVICES IN SCHEMA PISTE.DEV FROM ROLE PISTE_LOOK",
        "PISTE_LOOK", "MONITOR on future services in schema PISTE.DEV",
        "USE ROLE ACCOUNTADMIN;\nGRANT MONITOR ON FUTURE SERVICES IN SCHEMA PISTE.DEV TO ROLE PISTE_LOOK;\n",
    ),
    "a look at predictions": (
        "GRANT SELECT, DELETE ON TABLE PISTE.DEV.PREDICTIONS TO ROLE PISTE_LOOK",
        "PISTE_LOOK",
        "it may more than look: DELETE on table PISTE.DEV.PREDICTIONS, SELECT on table PISTE.DEV.PREDICTIONS",
        "USE ROLE ACCOUNTADMIN;\nREVOKE DELETE ON TABLE PISTE.DEV.PREDICTIONS FROM ROLE PISTE_LOOK;\n"
        "REVOKE SELECT ON TABLE PISTE.DEV.PREDICTIONS FROM ROLE PISTE_LOOK;\n",
    ),
    "a role of another's": (
        "GRANT ROLE PISTE_SUBMIT TO ROLE PISTE_LOOK",
        "PISTE_LOOK", "it may more than look: USAGE on role PISTE_SUBMIT",
        "USE ROLE ACCOUNTADMIN;\nREVOKE ROLE PISTE_SUBMIT FROM ROLE PISTE_LOOK;\n",
    ),
    "a pool that never sleeps": (
        "ALTER COMPUTE POOL PISTE_CPU SET AUTO_SUSPEND_SECS = 0",
        "PISTE_SUBMIT", "never suspends: it costs while it idles",
        "USE ROLE ACCOUNTADMIN;\nALTER COMPUTE POOL PISTE_CPU SET AUTO_SUSPEND_SECS = 300;\n",
    ),
    "a warehouse that never sleeps": (
        "ALTER WAREHOUSE PISTE_WH SET AUTO_SUSPEND = 0",
        "", "PISTE_WH never suspends", "USE ROLE ACCOUNTADMIN;\nALTER WAREHOUSE PISTE_WH SET AUTO_SUSPEND = 60;\n",
    ),
    "an unguarded table": (
        "ALTER TABLE PISTE.DEV.SAMPLE_SCORES DROP ALL ROW ACCESS POLICIES",
        "PISTE_SUBMIT", "a row access policy on SAMPLE_SCORES",
        "USE ROLE PISTE_SUBMIT;\nALTER TABLE PISTE.DEV.SAMPLE_SCORES DROP ALL ROW ACCESS POLICIES;\n"
        "ALTER TABLE PISTE.DEV.SAMPLE_SCORES ADD ROW ACCESS POLICY PISTE.DEV.PISTE_READERS ON (RUN);\n",
    ),
    "another repository's user": (
        "ALTER USER PISTE_TRY SET WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER ="
        " 'https://token.actions.githubusercontent.com' SUBJECT = 'repo:A@1/B@2:environment:piste-try')",
        "", "it is for repo:A@1/B@2:environment:piste-try",
        "USE ROLE ACCOUNTADMIN;\nALTER USER PISTE_TRY SET WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER ="
        " 'https://token.actions.githubusercontent.com' SUBJECT = 'repo:OWNER/REPO:environment:piste-try');\n",
    ),
    "a user": ("DROP USER PISTE_TRY", "", "user PISTE_TRY for repo:OWNER/REPO:environment:piste-try", ""),
    "an integration": (
        "DROP EXTERNAL ACCESS INTEGRATION PISTE_PYPI", "PISTE_SUBMIT", "external access integration PISTE_PYPI", "",
    ),
    "files": ("DROP STAGE PISTE.DEV.MODELS", "PISTE_TRY", "files at @MODELS/smollm2-135m-instruct", ""),
}  # fmt: skip


@pytest.mark.parametrize(("harm", "user", "words", "mends"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_wrong_is_named_with_the_sql_that_mends_it(
    harm: str, user: str, words: str, mends: str, login: Callable[[str], None], admin: Session
) -> None:
    login(user)
    execute(admin, f"USE ROLE ACCOUNTADMIN;\n{harm};\n")
    told, sql = doctor(), doctor("--format", "sql").stdout
    assert told.exit_code == 1
    assert len(re.findall(r"^MISSING", told.stdout, re.MULTILINE)) == 1, told.stdout
    assert words in told.stdout
    assert not mends or sql == mends
    execute(admin, sql)
    if "STAGE" in harm and "DROP" in harm:
        admin.file.put_stream(
            io.BytesIO(b"{}"), "@PISTE.DEV.MODELS/smollm2-135m-instruct/config.json", auto_compress=False
        )
    assert doctor().exit_code == 0, doctor().output


def test_each_user_does_its_part(login: Callable[[str], None], globe: Globe) -> None:
    login("PISTE_LOOK")
    told = piste("plan")
    assert told.exit_code == 4
    assert "The ledger of dev (PISTE.DEV) knows no run" in told.stdout
    login("PISTE_SUBMIT")
    assert piste("ledger", "new").exit_code == 0
    login("PISTE_LOOK")
    planned = piste("plan", "--format", "json")
    assert planned.exit_code == 0, planned.output
    due = {one["action"] for one in json.loads(planned.stdout)["actions"]}
    assert due == {"evaluate", "wait"}, "all of it is new, and more than the pool takes at once"
    assert piste("status").exit_code == 0
    asked = {one["sql"] for one in globe.trace() if one["user"] == "PISTE_LOOK"}
    fine = re.compile(
        r"SHOW |SELECT CURRENT_|SELECT RUN, AT, EVENT, BODY, CURRENT_T|SELECT SYSTEM\$CANCEL_", re.IGNORECASE
    )
    assert [sql for sql in asked if not fine.match(sql)] == []
    made = {
        (row["privilege"], row["name"]) for row in _grants(globe, "PISTE_SUBMIT") if row["privilege"] == "OWNERSHIP"
    }
    assert made == {("OWNERSHIP", f"PISTE.DEV.{name}") for name in PRIVILEGES}


def _grants(globe: Globe, role: str) -> list[Any]:
    with Session.builder.configs(globe.connection).create() as session:
        return session.sql(f"SHOW GRANTS TO ROLE {role}").collect()
