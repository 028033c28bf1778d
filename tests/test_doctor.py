"""What an environment needs, as SQL and as findings; on an account, tests/journeys/test_setup.py."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from builders import experiment
from piste import settings
from piste.cli import main
from piste.doctor import REPOSITORY, Examination, Finding, examine
from piste.doctor.rendering import as_json, setup_sql, sql, text
from piste.environment import Environment, Roles
from piste.git import git, github_repository

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "snowflake-setup.md"
BLOCK = re.compile(r"(?<=## The SQL\n).*?```sql\n(.*?)```", re.DOTALL)
DEV = Environment("dev", "PISTE", "DEV", pools={"cpu": "PISTE_CPU"}, external_access=("PISTE_PYPI",))
PROD = Environment(
    "prod",
    "LIVE",
    "RUNS",
    role="acme_submit",
    analyst_role="Readers",
    warehouse="ACME_WH",
    pools={"gpu-large": "ACME_GPU"},
    external_access=("ACME_HUB",),
)
AGAIN = (
    r"USE (ROLE|SCHEMA) ",
    r"GRANT ",
    r"CREATE [A-Z ]+ IF NOT EXISTS ",
    r"ALTER TABLE \S+ DROP ALL ROW ACCESS POLICIES$",
    r"ALTER TABLE \S+ ADD ROW ACCESS POLICY ",
)
"""What may be run again: the last of them because of the one before."""


def statements(text: str) -> list[str]:
    bare = re.sub(r"--.*", "", text)
    return [" ".join(statement.split()) for statement in bare.split(";") if statement.strip()]


def piste(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["--root", str(ROOT), *arguments])


def test_the_document_holds_what_the_command_prints(update: bool) -> None:
    made = piste("doctor", "--setup", "--github", "OWNER/REPO")
    assert made.exit_code == 0, made.output
    document = DOCUMENT.read_text()
    held = BLOCK.search(document)
    assert held is not None
    if update:
        DOCUMENT.write_text(document[: held.start(1)] + made.stdout + document[held.end(1) :])
    else:
        assert held[1] == made.stdout, "Run this test with --update."


def test_the_document_s_second_environment_is_one(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(\[tool\.piste\.environments\.prod\]\n.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "pyproject.toml").write_text(example[1])
    prod = settings.read(tmp_path).chosen("prod")
    assert prod.roles == Roles("PISTE_PROD_SUBMIT", "PISTE_PROD_LOOK", "PISTE_ANALYST")
    made = setup_sql(prod, [], "me/it")
    for user in ("LOOK", "TRY", "SUBMIT"):
        assert f"CREATE USER IF NOT EXISTS PISTE_PROD_{user} " in made
        assert f"'repo:me/it:environment:piste-prod-{user.lower()}'" in made


@pytest.mark.parametrize("environment", [DEV, PROD])
def test_the_set_up_runs_from_top_to_bottom_and_again(environment: Environment) -> None:
    made = statements(setup_sql(environment, [experiment()], "me/it"))
    assert [one for one in made if not any(re.match(pattern, one) for pattern in AGAIN)] == []
    roles = [one for one in made if one.startswith("USE ROLE")]
    assert roles == ["USE ROLE ACCOUNTADMIN", f"USE ROLE {environment.roles.submit}"]
    assert made[0] == roles[0]
    known: set[str] = {"ACCOUNTADMIN", "SYSADMIN"}
    for statement in made:
        created = re.match(r"CREATE ROLE IF NOT EXISTS (\w+)", statement)
        named = re.search(r"(?:TO ROLE|USE ROLE|GRANT ROLE) (\w+)", statement)
        known |= {created[1]} if created else set()
        assert named is None or named[1] in known, statement
    assert len(set(made)) == len(made)


def test_names_of_one_s_own() -> None:
    made = setup_sql(PROD, [experiment(**{"train.inputs": {"base-model": "@SHARED.PUBLIC.MODELS/big"}})], "me@1/it@2")
    for line in (
        "GRANT USAGE ON WAREHOUSE ACME_WH TO ROLE ACME_LOOK;",
        "INSTANCE_FAMILY = GPU_NV_S AUTO_SUSPEND_SECS = 300",
        "CREATE NETWORK RULE IF NOT EXISTS LIVE.RUNS.ACME_HUB_HOSTS MODE = EGRESS TYPE = HOST_PORT",
        "ALLOWED_NETWORK_RULES = (LIVE.RUNS.ACME_HUB_HOSTS)",
        "GRANT USAGE ON SCHEMA SHARED.PUBLIC TO ROLE ACME_SUBMIT;",
        "GRANT READ ON STAGE SHARED.PUBLIC.MODELS TO ROLE ACME_SUBMIT;",
        "CURRENT_ROLE() IN ('ACME_SUBMIT', 'READERS');",
        "CREATE USER IF NOT EXISTS ACME_TRY TYPE = SERVICE",
        "SUBJECT = 'repo:me@1/it@2:environment:acme-look')",
        "DEFAULT_ROLE = ACME_SUBMIT DEFAULT_WAREHOUSE = ACME_WH",
        "GRANT SELECT ON VIEW LIVE.RUNS.LEDGER_LATEST TO ROLE ACME_LOOK;",
    ):
        assert line in made
    assert "PISTE_LOOK" not in made
    assert "CREATE STAGE" not in made.replace("CREATE STAGE,", "")
    assert "sub_claim_prefix" not in made


def test_without_a_repository_there_are_no_users_and_without_an_analyst_no_policy() -> None:
    made = setup_sql(DEV, [])
    assert "CREATE USER" not in made
    assert "POLICY" not in made
    assert made.endswith("Name one with --github OWNER/REPO.\n")


def test_the_looking_role_gets_nothing_of_rows_and_files() -> None:
    to_look = [
        one for one in statements(setup_sql(PROD, [experiment()], "me/it")) if re.match(r"GRANT .* ACME_LOOK$", one)
    ]
    assert to_look == [
        "GRANT USAGE ON WAREHOUSE ACME_WH TO ROLE ACME_LOOK",
        "GRANT USAGE ON DATABASE LIVE TO ROLE ACME_LOOK",
        "GRANT USAGE ON SCHEMA LIVE.RUNS TO ROLE ACME_LOOK",
        "GRANT MONITOR ON COMPUTE POOL ACME_GPU TO ROLE ACME_LOOK",
        "GRANT MONITOR ON FUTURE SERVICES IN SCHEMA LIVE.RUNS TO ROLE ACME_LOOK",
        "GRANT ROLE ACME_LOOK TO USER ACME_LOOK",
        "GRANT SELECT ON VIEW LIVE.RUNS.LEDGER_LATEST TO ROLE ACME_LOOK",
        "GRANT SELECT ON VIEW LIVE.RUNS.RUNS TO ROLE ACME_LOOK",
        "GRANT SELECT ON VIEW LIVE.RUNS.SCORES TO ROLE ACME_LOOK",
        "GRANT SELECT ON VIEW LIVE.RUNS.SPEND TO ROLE ACME_LOOK",
    ]


Rows = Sequence[dict[str, Any]]


def account(role: str, **answers: Rows | None) -> Any:
    """An account by the beginning of statements, `_` for a space; it refuses what is not among them."""
    known = {key.replace("_", " "): rows for key, rows in answers.items()}

    def ask(statement: str) -> Rows | None:
        if statement.startswith("SELECT CURRENT_ROLE"):
            return [{"ROLE": role, "LOGIN": "ANA", "WAREHOUSE": "WH"}]
        longest = max((key for key in known if statement.replace("_", " ").startswith(key)), key=len, default="")
        return known.get(longest)

    return ask


TABLES_AND_VIEWS = ("LEDGER", "PREDICTIONS", "SAMPLE_SCORES", "JUDGEMENTS", "LEDGER_LATEST", "RUNS", "SCORES", "SPEND")


def grants(*rights: tuple[str, str, str]) -> Rows:
    return [{"privilege": privilege, "granted_on": kind, "name": name} for privilege, kind, name in rights]


def found(ask: Any, what: str, environment: Environment = DEV) -> Finding:
    return next(one for one in examine(ask, environment, [experiment()]).findings if one.what.startswith(what))


def test_what_a_role_inherits_counts() -> None:
    direct = grants(("USAGE", "ROLE", "BASE"), ("CREATE STAGE", "SCHEMA", "PISTE.DEV"))
    base = grants(("USAGE", "ROLE", "RUNNER"), *((one, "SCHEMA", "PISTE.DEV") for one in ("USAGE", "CREATE TABLE")))
    ask = account("RUNNER", SHOW_GRANTS_TO_ROLE_RUNNER=direct, SHOW_GRANTS_TO_ROLE_BASE=base)
    finding = found(ask, "USAGE, CREATE STAGE")
    assert (finding.well, finding.detail) == (
        False,
        "role RUNNER, lacks CREATE VIEW, CREATE SERVICE, CREATE EXPERIMENT",
    )
    assert finding.sql == "GRANT CREATE VIEW, CREATE SERVICE, CREATE EXPERIMENT ON SCHEMA PISTE.DEV TO ROLE RUNNER;"


def test_who_owns_may_do_all() -> None:
    ask = account("RUNNER", SHOW_GRANTS_TO_ROLE_RUNNER=grants(("OWNERSHIP", "SCHEMA", "PISTE.DEV")))
    assert found(ask, "USAGE, CREATE STAGE").well


def test_tables_that_another_role_made_are_to_be_granted() -> None:
    named = [{"name": name} for name in TABLES_AND_VIEWS]
    views = (("OWNERSHIP", "VIEW", f"PISTE.DEV.{name}") for name in TABLES_AND_VIEWS[4:])
    mine = grants(("SELECT", "TABLE", "PISTE.DEV.LEDGER"), *views)
    finding = found(account("RUNNER", SHOW_TABLES=named, SHOW_VIEWS=named, SHOW_GRANTS_TO_ROLE_RUNNER=mine), "tables")
    assert (finding.well, finding.by) == (False, "ACCOUNTADMIN")
    assert finding.sql.splitlines() == [
        "GRANT INSERT ON TABLE PISTE.DEV.LEDGER TO ROLE RUNNER;",
        "GRANT SELECT, INSERT, DELETE ON TABLE PISTE.DEV.PREDICTIONS TO ROLE RUNNER;",
        "GRANT SELECT, INSERT, DELETE ON TABLE PISTE.DEV.SAMPLE_SCORES TO ROLE RUNNER;",
        "GRANT SELECT, INSERT, UPDATE ON TABLE PISTE.DEV.JUDGEMENTS TO ROLE RUNNER;",
    ]
    finding = found(account("RUNNER", SHOW_TABLES=named[:2], SHOW_VIEWS=[]), "tables")
    missing = "SAMPLE_SCORES, JUDGEMENTS, LEDGER_LATEST, RUNS, SCORES, SPEND"
    assert f"not there: {missing}; the first `piste apply` makes" in finding.detail


def test_what_the_looking_role_can_t_see_is_not_called_missing() -> None:
    ask = account("PISTE_LOOK", SHOW_GRANTS_TO_ROLE_PISTE_LOOK=grants(("MONITOR", "SERVICE", "PISTE.DEV.RUN_X_1")))
    finding = found(ask, "MONITOR on future services")
    assert (finding.well, finding.detail) == (None, "SHOW FUTURE GRANTS TO ROLE PISTE_LOOK was refused")
    assert found(ask, "limits of role PISTE_LOOK").well
    looked = {one.what for one in examine(ask, DEV, [experiment()], "me/it").findings}
    assert looked == {
        "a warehouse for queries",
        "schema PISTE.DEV",
        "USAGE on database PISTE",
        "USAGE on schema PISTE.DEV",
        "compute pool PISTE_CPU (cpu)",
        "MONITOR on compute pool PISTE_CPU",
        "MONITOR on future services in schema PISTE.DEV",
        "SELECT on view PISTE.DEV.LEDGER_LATEST",
        "SELECT on view PISTE.DEV.RUNS",
        "SELECT on view PISTE.DEV.SCORES",
        "SELECT on view PISTE.DEV.SPEND",
        "limits of role PISTE_LOOK",
    }


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("PISTE_LOOK", "asked by PISTE_LOOK, which may only look"),
        ("RUNNER", "asked by RUNNER, which submits: what it needs in PISTE.DEV"),
        ("ACCOUNTADMIN", "asked by ACCOUNTADMIN: the whole set-up of PISTE.DEV\nSubmit as PISTE_SUBMIT"),
    ],
)
def test_who_asks_is_said_first(role: str, words: str) -> None:
    examination = examine(account(role), DEV, [experiment()], "me/it")
    assert text(examination).startswith(words)
    assert not examination.well
    (first, *_) = json.loads(as_json(examination))
    assert set(first) == {"what", "well", "detail", "sql", "by"}
    parts = re.findall(r"^USE ROLE (\w+);$", sql(examination), re.MULTILINE)
    submit = "RUNNER" if role == "RUNNER" else "PISTE_SUBMIT"
    assert parts == ["ACCOUNTADMIN", submit]


@pytest.mark.parametrize(
    ("user", "identities", "seen"),
    [
        ({}, [], (False, "it has no workload identity")),
        ({"has_rsa_public_key": "true"}, [], (True, "by a key pair")),
        ({"has_rsa_public_key": True}, [], (True, "by a key pair")),
        ({}, [{"type": "AWS", "additional_info": "{}"}], (False, "it is for AWS")),
        ({}, [{"type": "OIDC", "additional_info": None}], (False, "it is for OIDC")),
        ({}, None, (None, "this role can't see what it logs in with")),
    ],
)
def test_what_a_user_logs_in_with(user: dict[str, Any], identities: Rows | None, seen: tuple[bool | None, str]) -> None:
    ask = account("ACCOUNTADMIN", SHOW_USERS=[{"name": "PISTE_TRY", **user}], SHOW_USER_WORKLOAD=identities)
    finding = next(one for one in examine(ask, DEV, [], "me/it").findings if one.what.startswith("user PISTE_TRY"))
    assert (finding.well, finding.detail) == seen


@pytest.mark.parametrize("idle", [None, "", 0, "0", "null"])
def test_what_never_suspends(idle: object) -> None:
    warehouse = {"name": "WH", "auto_suspend": idle}
    pool = {"name": "PISTE_CPU", "state": "IDLE", "max_nodes": 1, "instance_family": "F", "auto_suspend_secs": idle}
    ask = account("RUNNER", SHOW_WAREHOUSES=[warehouse], SHOW_COMPUTE_POOLS=[pool])
    assert found(ask, "a warehouse").sql == "ALTER WAREHOUSE WH SET AUTO_SUSPEND = 60;"
    assert found(ask, "compute pool").sql == "ALTER COMPUTE POOL PISTE_CPU SET AUTO_SUSPEND_SECS = 300;"


def test_what_can_t_be_seen_is_not_well_either() -> None:
    told = text(examine(account("ACCOUNTADMIN"), DEV, []))
    assert "unseen   service users  (no repository on GitHub is known: --github OWNER/REPO)" in told
    blind = Examination("asked by NOBODY", (Finding("a thing", True), Finding("another", None, "hidden")))
    assert text(blind) == (
        "asked by NOBODY\n\nok       a thing\nunseen   another  (hidden)\n\nnothing is missing that this role can see\n"
    )
    assert blind.well


def test_a_wider_role_than_one_may_look_with_keeps_what_it_owns_for_people_to_move() -> None:
    rights = grants(
        ("OWNERSHIP", "TABLE", "PISTE.DEV.LEDGER"),
        ("INSERT", "TABLE", "PISTE.DEV.LEDGER"),
        ("SELECT", "TABLE", "X.Y.Z"),
    )
    finding = found(account("PISTE_LOOK", SHOW_GRANTS_TO_ROLE_PISTE_LOOK=rights), "limits")
    assert finding.detail == (
        "it may more than look: INSERT on table PISTE.DEV.LEDGER, OWNERSHIP on table PISTE.DEV.LEDGER"
    )
    assert finding.sql == "REVOKE INSERT ON TABLE PISTE.DEV.LEDGER FROM ROLE PISTE_LOOK;"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--setup", "--format", "json"), "--setup prints SQL"),
        (("--setup", "--probe"), "--probe makes no SQL"),
        (("--setup", "--github", "https://github.com/me/it"), "--github takes OWNER/REPO"),
        (("--setup", "--github", "me/it'; DROP"), "--github takes OWNER/REPO"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], words: str) -> None:
    told = piste("doctor", *arguments)
    assert told.exit_code == 2
    assert words in told.output


@pytest.mark.parametrize(
    ("url", "repository"),
    [
        ("https://github.com/me/it.git", "me/it"),
        ("https://github.com/me/it", "me/it"),
        ("https://x-access-token:ghs_secret@github.com/Me/It.x.git", "Me/It.x"),
        ("git@github.com:me/it.git", "me/it"),
        ("ssh://git@github.com/me/it.git", "me/it"),
        ("https://github.com.evil.org/me/it", ""),
        ("https://gitlab.com/me/it", ""),
        ("/srv/git/it", ""),
    ],
)
def test_the_repository_by_its_remote(url: str, repository: str, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert github_repository(tmp_path) == ""
    git(tmp_path, "remote", "add", "origin", url)
    assert github_repository(tmp_path) == repository
    assert REPOSITORY.fullmatch(repository)
