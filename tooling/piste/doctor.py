"""What an environment needs in Snowflake, what of it is missing, and the SQL that makes it. Pure but for `ask`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from piste.experiment import Experiment

if TYPE_CHECKING:
    from piste.environment import Environment

Ask = Callable[[str], Sequence[Mapping[str, Any]] | None]
"""Puts a statement to Snowflake; None if it was refused."""

SCHEMA_PRIVILEGES = ("USAGE", "CREATE STAGE", "CREATE TABLE", "CREATE VIEW", "CREATE SERVICE", "CREATE EXPERIMENT")
"""What a role that submits must have on the environment's schema."""


@dataclass(frozen=True)
class Finding:
    """One thing that piste needs; `sql` makes it where it is missing."""

    what: str
    well: bool
    detail: str = ""
    sql: str = ""


def examine(ask: Ask, environment: Environment, experiments: Iterable[Experiment]) -> tuple[Finding, ...]:
    session = (ask("SELECT CURRENT_ROLE() AS ROLE, CURRENT_WAREHOUSE() AS WAREHOUSE") or [{}])[0]
    role = str(session.get("ROLE") or environment.role or "PISTE")
    schema = f"{environment.database}.{environment.schema}"
    return (
        _place(ask, environment),
        _warehouse(session.get("WAREHOUSE"), role),
        *_privileges(ask, schema, role),
        *(_pool(ask, alias, pool, role) for alias, pool in sorted(environment.pools.items())),
        *(_integration(ask, name, role) for name in environment.external_access),
        *(_input(ask, location, schema) for location in sorted(_inputs(experiments))),
    )


def _place(ask: Ask, environment: Environment) -> Finding:
    database, schema = environment.database, environment.schema
    found = ask(f"SHOW SCHEMAS LIKE '{schema}' IN DATABASE {database}")
    sql = f"CREATE DATABASE IF NOT EXISTS {database};\nCREATE SCHEMA IF NOT EXISTS {database}.{schema};"
    return Finding(f"schema {database}.{schema}", bool(found), sql=sql)


def _warehouse(current: object, role: str) -> Finding:
    sql = (
        "CREATE WAREHOUSE IF NOT EXISTS PISTE_WH WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60;\n"
        f"GRANT USAGE ON WAREHOUSE PISTE_WH TO ROLE {role};"
    )
    return Finding("a warehouse for queries", bool(current), str(current or ""), sql)


def _privileges(ask: Ask, schema: str, role: str) -> list[Finding]:
    rows = ask(f"SHOW GRANTS TO ROLE {role}")
    if rows is None:
        return [Finding(f"privileges of role {role}", False, "SHOW GRANTS was refused")]
    held = {str(row["privilege"]) for row in rows if str(row["name"]).upper() == schema.upper()}
    owns = bool({"OWNERSHIP", "ALL", "ALL PRIVILEGES"} & held)
    return [
        Finding(
            f"{privilege} on schema {schema}",
            owns or privilege in held,
            f"role {role}",
            f"GRANT {privilege} ON SCHEMA {schema} TO ROLE {role};",
        )
        for privilege in SCHEMA_PRIVILEGES
    ]


def _pool(ask: Ask, alias: str, pool: str, role: str) -> Finding:
    found = [row for row in ask(f"SHOW COMPUTE POOLS LIKE '{pool}'") or () if row["name"] == pool.upper()]
    family = "GPU_NV_S" if "gpu" in alias.lower() else "CPU_X64_S"
    sql = (
        f"CREATE COMPUTE POOL IF NOT EXISTS {pool} MIN_NODES = 1 MAX_NODES = 1 INSTANCE_FAMILY = {family}"
        f" AUTO_SUSPEND_SECS = 300;\nGRANT USAGE, MONITOR ON COMPUTE POOL {pool} TO ROLE {role};"
    )
    detail = f"{found[0]['state']}, {found[0]['max_nodes']} × {found[0]['instance_family']}" if found else ""
    return Finding(f"compute pool {pool} ({alias})", bool(found), detail, sql)


def _integration(ask: Ask, name: str, role: str) -> Finding:
    found = ask(f"SHOW EXTERNAL ACCESS INTEGRATIONS LIKE '{name}'")
    sql = (
        f"CREATE EXTERNAL ACCESS INTEGRATION IF NOT EXISTS {name}\n"
        "  ALLOWED_NETWORK_RULES = (SNOWFLAKE.EXTERNAL_ACCESS.PYPI_RULE) ENABLED = TRUE;\n"
        f"GRANT USAGE ON INTEGRATION {name} TO ROLE {role};"
    )
    return Finding(f"external access integration {name}", bool(found), sql=sql)


def _inputs(experiments: Iterable[Experiment]) -> set[str]:
    inputs = (experiment.document["train"].get("inputs", {}) for experiment in experiments)
    return {location for named in inputs for location in named.values() if location.startswith("@")}


def _input(ask: Ask, location: str, schema: str) -> Finding:
    stage = location[1:].partition("/")[0]
    full = stage if "." in stage else f"{schema}.{stage}"
    found = ask(f"LIST @{full}{location[1 + len(stage) :]}")
    sql = f"CREATE STAGE IF NOT EXISTS {full} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE');\n-- then upload the files with PUT"
    return Finding(f"files at {location}", bool(found), f"{len(found)} files" if found else "", sql)


def text(findings: Iterable[Finding]) -> str:
    found = list(findings)
    lines = [
        f"{'ok     ' if one.well else 'MISSING'}  {one.what}{f'  ({one.detail})' if one.detail else ''}"
        for one in found
    ]
    missing = sql(found)
    return "\n".join(lines) + "\n" + (f"\nThis makes what is missing:\n\n{missing}" if missing else "\nall well\n")


def sql(findings: Iterable[Finding]) -> str:
    """Only what is missing, to be run as a role that may create it."""
    return "".join(f"{one.sql}\n" for one in findings if not one.well and one.sql)


def as_json(findings: Iterable[Finding]) -> str:
    return json.dumps([vars(one) for one in findings], indent=2) + "\n"


RENDER: Mapping[str, Callable[[Iterable[Finding]], str]] = {"text": text, "json": as_json, "sql": sql}
