"""All that an environment needs in Snowflake, in the order in which it can be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from piste.doctor import sight
from piste.doctor.sight import Check, Right
from piste.environment import Environment, Roles
from piste.experiment import Experiment
from piste.tables import PRIVILEGES, ROWS, TABLES, VIEWS, view_statements

ADMINISTRATOR: Final = "ACCOUNTADMIN"
ISSUER: Final = "https://token.actions.githubusercontent.com"
WAREHOUSE: Final = "PISTE_WH"
POLICY: Final = "PISTE_READERS"

HUB_HOSTS = (
    "huggingface.co",
    "cdn-lfs.huggingface.co",
    "cdn-lfs-us-1.huggingface.co",
    "cas-bridge.xethub.hf.co",
    "cas-server.xethub.hf.co",
    "transfer.xethub.hf.co",
)
"""Where the hub's client asks for a model, and from where it gets the files."""

LOOKED_AT: Final = ("LEDGER_LATEST", *VIEWS)
"""Views that a role may read that only looks; none has a row of a sample."""

SCHEMA_PRIVILEGES = ("USAGE", "CREATE STAGE", "CREATE TABLE", "CREATE VIEW", "CREATE SERVICE", "CREATE EXPERIMENT")
"""What a role that submits must have on the environment's schema."""


@dataclass(frozen=True)
class Need:
    """One thing. `sql`, run by the role `by`, makes it and changes nothing where it is there.

    `of` are the roles and `login` the user that look for it in sessions of their own; an administrator looks for all.
    Without a `check` it is only made. `topic` heads it where all is printed.
    """

    topic: str
    what: str
    sql: str
    check: Check | None = None
    of: frozenset[str] = frozenset()
    login: str = ""
    by: str = ADMINISTRATOR


@dataclass(frozen=True)
class Place:
    """Where it is needed, and by whom. `repository` is OWNER/REPO on GitHub, "" if there is none."""

    environment: Environment
    roles: Roles
    repository: str = ""

    @property
    def schema(self) -> str:
        return f"{self.environment.database}.{self.environment.schema}"

    @property
    def warehouse(self) -> str:
        return self.environment.warehouse or WAREHOUSE

    @property
    def everybody(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.roles.submit, self.roles.look, self.roles.analyst)))

    @property
    def users(self) -> Mapping[str, str]:
        """Service users and their roles; each logs in from the GitHub environment of its name (piste-look)."""
        tries = f"{self.roles.submit.removesuffix('_SUBMIT')}_TRY"
        return {self.roles.look: self.roles.look, tries: self.roles.submit, self.roles.submit: self.roles.submit}

    def subject(self, user: str) -> str:
        return f"repo:{self.repository}:environment:{user.lower().replace('_', '-')}"


def needs(place: Place, experiments: Iterable[Experiment]) -> tuple[Need, ...]:
    known = list(experiments)
    return (
        *_roles(place),
        *_warehouse(place),
        *_schema(place),
        *_pools(place),
        *_packages(place),
        *_model_access(place),
        *_secrets(place),
        *_stages(place, known),
        *_data(place, known),
        *_jobs(place),
        *_policy(place),
        *_users(place),
        *_tables(place),
    )


def _may(
    topic: str, privileges: Iterable[str], kind: str, name: str, roles: Iterable[str], by: str = ADMINISTRATOR
) -> Iterator[Need]:
    wanted = tuple(privileges)
    for role in roles:
        yield Need(
            topic,
            f"{', '.join(wanted)} on {kind.lower()} {name}",
            sight.grant(wanted, kind, name, role),
            sight.rights(role, wanted, kind, name),
            frozenset({role}),
            by=by,
        )


def _roles(place: Place) -> Iterator[Need]:
    topic = "who submits, and who may only look"
    for role in (place.roles.submit, place.roles.look):
        sql = f"CREATE ROLE IF NOT EXISTS {role};\nGRANT ROLE {role} TO ROLE SYSADMIN;"
        yield Need(topic, f"role {role}", sql, sight.role(role))
    if analyst := place.roles.analyst:
        topic = "who may read predictions besides: grant it to people, and to no role above them"
        yield Need(topic, f"role {analyst}", f"CREATE ROLE IF NOT EXISTS {analyst};", sight.role(analyst))


def _warehouse(place: Place) -> Iterator[Need]:
    topic, name = "a warehouse for queries, which sleeps after a minute", place.warehouse
    sql = (
        f"CREATE WAREHOUSE IF NOT EXISTS {name}\n"
        "  WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60 AUTO_RESUME = TRUE INITIALLY_SUSPENDED = TRUE;"
    )
    of = frozenset({place.roles.submit, place.roles.look})
    yield Need(topic, "a warehouse for queries", sql, sight.warehouse(name), of)
    for need in _may(topic, ["USAGE"], "WAREHOUSE", name, place.everybody):
        yield replace(need, of=frozenset())  # a session has one already, or may use another


def _schema(place: Place) -> Iterator[Need]:
    topic, database, roles = "a database and schema for runs", place.environment.database, place.roles
    sql = f"CREATE DATABASE IF NOT EXISTS {database};\nCREATE SCHEMA IF NOT EXISTS {place.schema};"
    of = frozenset({roles.submit, roles.look})
    yield Need(topic, f"schema {place.schema}", sql, sight.schema(database, place.environment.schema), of)
    yield from _may(topic, ["USAGE"], "DATABASE", database, place.everybody)
    yield from _may(topic, SCHEMA_PRIVILEGES, "SCHEMA", place.schema, [roles.submit])
    lookers = [role for role in place.everybody if role != roles.submit]
    yield from _may(topic, ["USAGE"], "SCHEMA", place.schema, lookers)


def _pools(place: Place) -> Iterator[Need]:
    topic = "compute pools, which cost while they idle and sleep after five minutes of it"
    for alias, pool in sorted(place.environment.pools.items()):
        family = "GPU_NV_S" if "gpu" in alias.lower() else "CPU_X64_S"
        sql = (
            f"CREATE COMPUTE POOL IF NOT EXISTS {pool}\n"
            f"  MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = {family}"
            " AUTO_SUSPEND_SECS = 300 INITIALLY_SUSPENDED = TRUE;"
        )
        of = frozenset({place.roles.submit, place.roles.look})
        yield Need(topic, f"compute pool {pool} ({alias})", sql, sight.pool(pool), of)
        yield from _may(topic, ["USAGE", "MONITOR"], "COMPUTE POOL", pool, [place.roles.submit])
        yield from _may(topic, ["MONITOR"], "COMPUTE POOL", pool, [place.roles.look])


def _packages(place: Place) -> Iterator[Need]:
    """An integration for packages uses Snowflake's own network rule; of any other only its name is known."""
    topic = "what jobs may reach outside of Snowflake"
    for name in place.environment.external_access:
        rule, make = "SNOWFLAKE.EXTERNAL_ACCESS.PYPI_RULE", ""
        if "PYPI" not in name.upper():
            rule = f"{place.schema}.{name}_HOSTS"
            make = (
                f"CREATE NETWORK RULE IF NOT EXISTS {rule} MODE = EGRESS TYPE = HOST_PORT\n"
                "  VALUE_LIST = ('example.com');  -- put the hosts here\n"
            )
        sql = (
            f"{make}CREATE EXTERNAL ACCESS INTEGRATION IF NOT EXISTS {name}\n"
            f"  ALLOWED_NETWORK_RULES = ({rule}) ENABLED = TRUE;"
        )
        submit = place.roles.submit
        yield Need(topic, f"external access integration {name}", sql, sight.integration(name), frozenset({submit}))
        yield from _may(topic, ["USAGE"], "INTEGRATION", name, [submit])


def _model_access(place: Place) -> Iterator[Need]:
    name, submit = place.environment.model_access, place.roles.submit
    if not name:
        return
    topic, rule = "the hub, for `piste model add` alone", f"{place.schema}.{name}_HOSTS"
    hosts = ", ".join(f"'{host}'" for host in HUB_HOSTS)
    sql = (
        f"CREATE NETWORK RULE IF NOT EXISTS {rule} MODE = EGRESS TYPE = HOST_PORT\n"
        f"  VALUE_LIST = ({hosts});\n"
        f"CREATE EXTERNAL ACCESS INTEGRATION IF NOT EXISTS {name}\n"
        f"  ALLOWED_NETWORK_RULES = ({rule}) ENABLED = TRUE;"
    )
    what = f"external access integration {name} (the hub, for piste model add)"
    yield Need(topic, what, sql, sight.integration(name), frozenset({submit}))
    yield from _may(topic, ["USAGE"], "INTEGRATION", name, [submit])


def _secrets(place: Place) -> Iterator[Need]:
    topic, submit = "what jobs are given by name: put each value in place of <token>", place.roles.submit
    for variable, name in sorted(place.environment.secrets.items()):
        sql = f"CREATE SECRET IF NOT EXISTS {name} TYPE = GENERIC_STRING SECRET_STRING = '<token>';"
        yield Need(topic, f"secret {name} ({variable})", sql, sight.secret(name), frozenset({submit}))
        yield from _may(topic, ["READ"], "SECRET", name, [submit])


def _stages(place: Place, experiments: Iterable[Experiment]) -> Iterator[Need]:
    """Whoever submits reads models; it may not replace them. Stages elsewhere are somebody else's to make."""
    topic, submit = "base models: upload the files with PUT", place.roles.submit
    for location in sorted(_inputs(experiments)):
        stage, _, inside = location[1:].partition("/")
        parts = stage.split(".")
        database, schema, _ = [*place.schema.split(".")[: 3 - len(parts)], *parts]
        full = f"{database}.{schema}.{parts[-1]}"
        sql = [
            f"GRANT USAGE ON DATABASE {database} TO ROLE {submit};",
            f"GRANT USAGE ON SCHEMA {database}.{schema} TO ROLE {submit};",
        ]
        if f"{database}.{schema}".upper() == place.schema.upper():
            sql = [f"CREATE STAGE IF NOT EXISTS {full} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE');"]
        sql.append(sight.grant(["READ"], "STAGE", full, submit))
        check = sight.files(f"@{full}{f'/{inside}' if inside else ''}")
        yield Need(topic, f"files at {location}", "\n".join(sql), check, frozenset({submit}))


def _inputs(experiments: Iterable[Experiment]) -> set[str]:
    inputs = (experiment.document["train"].get("inputs", {}) for experiment in experiments)
    return {location for named in inputs for location in named.values() if location.startswith("@")}


def _data(place: Place, experiments: Iterable[Experiment]) -> Iterator[Need]:
    topic = "rows to train on and to evaluate with: those of this schema"
    submit = place.roles.submit
    sql = "\n".join(
        f"GRANT SELECT ON {which} {kind} IN SCHEMA {place.schema} TO ROLE {submit};"
        for kind in ("TABLES", "VIEWS")
        for which in ("ALL", "FUTURE")
    )
    yield Need(topic, "", sql)
    for query, title in sorted(_queries(experiments).items(), key=lambda item: item[1]):
        yield Need(topic, f"rows of {title}", sql, sight.readable(query), frozenset({submit}))


def _queries(experiments: Iterable[Experiment]) -> dict[str, str]:
    """Each query once, with the title of one that puts it."""
    found: dict[str, str] = {}
    for experiment in experiments:
        rows = experiment.suite.document["data"]
        found.setdefault(rows["sql"], f"suite {experiment.suite.name}")
        if "validation" in rows:
            found.setdefault(rows["validation"], f"suite {experiment.suite.name}, validation")
        data = (experiment.recipe or {}).get("data", {})
        for key in ("sources", "eval_sources"):
            queries = [
                source["sql"] for source in data.get(key) or () if isinstance(source, Mapping) and "sql" in source
            ]
            for number, query in enumerate(queries, 1):
                several = f", {key} {number}" if len(queries) > 1 or key != "sources" else ""
                found.setdefault(query, f"recipe {experiment.name}{several}")
    return found


def _jobs(place: Place) -> Iterator[Need]:
    topic = "that plans on pull requests see which jobs live"
    look = place.roles.look
    sql = f"GRANT MONITOR ON FUTURE SERVICES IN SCHEMA {place.schema} TO ROLE {look};"
    check = sight.future_right(look, "MONITOR", "SERVICE", place.schema)
    yield Need(topic, f"MONITOR on future services in schema {place.schema}", sql, check, frozenset({look}))


def _policy(place: Place) -> Iterator[Need]:
    if place.roles.analyst:
        topic = "who may read rows of predictions; without Enterprise Edition remove analyst_role from the settings"
        check = sight.policy(place.schema, POLICY, ROWS)
        what = f"row access policy {POLICY}"
        yield Need(topic, what, _policy_sql(place), check, frozenset({place.roles.submit}))


def _policy_sql(place: Place) -> str:
    """By the session's own role: a role that inherits one of these reads nothing."""
    name, roles = f"{place.schema}.{POLICY}", place.roles
    return (
        f"CREATE ROW ACCESS POLICY IF NOT EXISTS {name} AS (RUN VARCHAR) RETURNS BOOLEAN ->\n"
        f"  CURRENT_ROLE() IN ('{roles.submit}', '{roles.analyst}');\n"
        f"{sight.grant(['APPLY'], 'ROW ACCESS POLICY', name, roles.submit)}"
    )


def _users(place: Place) -> Iterator[Need]:
    topic = "service users, one for each environment of the GitHub repository; none has a password or a key"
    if not place.repository:
        return
    if "@" not in place.repository:
        yield Need(topic, "", _NUMBERS.format(place.repository))
    for user, role in place.users.items():
        subject = place.subject(user)
        sql = (
            f"CREATE USER IF NOT EXISTS {user} TYPE = SERVICE\n"
            f"  WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = '{ISSUER}'\n"
            f"    SUBJECT = '{subject}')\n"
            f"  DEFAULT_ROLE = {role} DEFAULT_WAREHOUSE = {place.warehouse} DEFAULT_SECONDARY_ROLES = ();\n"
            f"GRANT ROLE {role} TO USER {user};"
        )
        yield Need(topic, f"user {user} for {subject}", sql, sight.login(user, ISSUER, subject), login=user)


_NUMBERS = """\
-- A repository made or renamed since July 15, 2026 is OWNER@1/REPO@2 in GitHub's tokens, with numbers: --github takes
-- them so, as  gh api repos/{}/actions/oidc/customization/sub --jq .sub_claim_prefix  tells."""


def _tables(place: Place) -> Iterator[Need]:
    topic, roles = "the ledger and the rows of runs, as `piste apply` makes them", place.roles
    sql = "\n".join([f"USE SCHEMA {place.schema};", *(f"{statement};" for statement in (*TABLES, *view_statements()))])
    check = sight.tables(place.schema, PRIVILEGES, roles.submit)
    what = f"tables LEDGER, PREDICTIONS, SAMPLE_SCORES, JUDGEMENTS and views {', '.join(LOOKED_AT)}"
    yield Need(topic, what, sql, check, frozenset({roles.submit}), by=roles.submit)
    topic = "the ledger is all that may be looked at, besides jobs and pools"
    for view in LOOKED_AT:  # by name: a grant on all future views would cover those of people's rows
        yield from _may(topic, ["SELECT"], "VIEW", f"{place.schema}.{view}", [roles.look], roles.submit)
    yield _limits(place, topic)
    yield from _readers(place)


def _limits(place: Place, topic: str) -> Need:
    schema, look = place.schema.upper(), place.roles.look
    pools = {pool.upper() for pool in place.environment.pools.values()}

    def concerned(right: Right) -> bool:
        _, kind, name = right
        inside = name == schema or name.startswith(f"{schema}.")
        return inside or kind == "ROLE" or (kind == "COMPUTE_POOL" and name in pools)

    def allowed(right: Right) -> bool:
        by_kind = {("MONITOR", "COMPUTE_POOL"), ("MONITOR", "SERVICE"), ("USAGE", "SCHEMA")}
        return right[:2] in by_kind or right in {("SELECT", "VIEW", f"{schema}.{view}") for view in LOOKED_AT}

    return Need(topic, f"limits of role {look}", "", sight.limits(look, allowed, concerned), frozenset({look}))


def _readers(place: Place) -> Iterator[Need]:
    topic, roles = "runs and their scores, for whoever reads predictions", place.roles
    for view in VIEWS if roles.analyst else ():
        yield from _may(topic, ["SELECT"], "VIEW", f"{place.schema}.{view}", [roles.analyst], roles.submit)
    topic = "rows of predictions, for those two roles alone"
    for table in ROWS if roles.analyst else ():
        name = f"{place.schema}.{table}"
        yield from _may(topic, ["SELECT"], "TABLE", name, [roles.analyst], roles.submit)
        sql = (
            f"ALTER TABLE {name} DROP ALL ROW ACCESS POLICIES;\n"
            f"ALTER TABLE {name} ADD ROW ACCESS POLICY {place.schema}.{POLICY} ON (RUN);"
        )
        what = f"a row access policy on {table}"
        yield Need(topic, what, sql, sight.guarded(place.schema, table), frozenset({roles.submit}), by=roles.submit)
