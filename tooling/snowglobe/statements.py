"""The one table of statements that snowglobe answers itself; all others are rewritten (rewrite.py) and go to fakesnow.

A pattern is a regular expression over the whole statement, any case, in which a space stands for white space and
<name>, <place>, <string> for an object's name, a place in a stage and a string literal ('…' or ?);
<name:run> is a name in the group "run". A new statement is one new line here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from snowglobe import (
    catalog,
    experiments,
    files,
    grants,
    loading,
    objects,
    policies,
    pools,
    secret,
    services,
    stages,
    users,
)
from snowglobe.context import Context
from snowglobe.wire import Reply

Handler = Callable[[Context, re.Match[str]], Reply | Awaitable[Reply]]

_PART = r'(?:"(?:[^"]|"")*"|[\w$])+'
_KINDS = {
    "name": rf"IDENTIFIER\s*\(\s*(?:\?|'[^']*')\s*\)|\?|{_PART}(?:\.{_PART})*",
    "place": r"'(?:[^'\\]|''|\\.)*'|(?:\"(?:[^\"]|\"\")*\"|[^\s\"'])+",
    "string": r"\?|'(?:[^'\\]|''|\\.)*'",
}
REPLACE, MAYBE, GONE = "(?P<replace>OR REPLACE )?", "(?P<maybe>IF NOT EXISTS )?", "(?P<maybe>IF EXISTS )?"
REST, TAIL = r"(?P<rest>\s.*)?", r"(?P<tail>\s.*)?"
ITEM = rf'CURRENT_(?:{catalog.CURRENT})\s*\(\s*\)(?: (?:AS )?(?:"[^"]*"|\w+))?'
THINGS = (
    r"(?P<kind>(?:EXTERNAL ACCESS|API|NOTIFICATION|SECURITY|STORAGE) INTEGRATION|IMAGE REPOSITORY|NETWORK RULE"
    r"|ROW ACCESS POLICY)"
)
RUN = "ALTER EXPERIMENT <name>"
TO = r"TO (?P<grantee>ROLE|USER|DATABASE ROLE) <name>"
FROM = r"FROM (?P<grantee>ROLE|USER|DATABASE ROLE) <name>"
SCOPE = r"(?:(?:ALL|FUTURE) [\w ]+? IN )?(?:COMPUTE POOL|IMAGE REPOSITORY|NETWORK RULE|ROW ACCESS POLICY|[\w]+)"
ON = rf"(?P<privileges>[\w ,]+?) ON (?P<kind>{SCOPE})(?P<object>(?: (?!TO |FROM )\S+)?)"
METRICS, PARAMETERS = (
    rf"{RUN} MODIFY RUN <name:run> ADD {what}\s*=\s*\$\$(?P<json>.*)\$\$" for what in ("METRICS", "PARAMETERS")
)

STATEMENTS: tuple[tuple[str, Handler], ...] = (
    # the session
    (rf"SELECT (?P<items>{ITEM}(?:\s*,\s*{ITEM})*)", catalog.about),
    (r"SELECT SYSTEM\$CANCEL_ALL_QUERIES\(.*\)", catalog.cancel_queries),
    (r"USE ROLE <name>", catalog.use_role),
    (r"USE WAREHOUSE <name>", catalog.use_warehouse),
    (r"USE SECONDARY ROLES .*", catalog.accept),
    (r"ALTER SESSION (?:UN)?SET (?!AUTOCOMMIT\b).*", catalog.accept),
    # databases, schemas, tables, views
    (rf"CREATE (?:TRANSIENT )?DATABASE {MAYBE}<name>{REST}", objects.create_database),
    (rf"DROP DATABASE {GONE}<name>(?: (?:CASCADE|RESTRICT))?", objects.drop_database),
    (rf"DROP SCHEMA {GONE}<name>(?: (?:CASCADE|RESTRICT))?", objects.drop_schema),
    (r"USE (?:DATABASE )?(?!ROLE |WAREHOUSE |SCHEMA |SECONDARY )<name>", objects.use_database),
    (r"USE SCHEMA <name>", objects.use_schema),
    (rf"SHOW (?:TERSE )?DATABASES{TAIL}", objects.show_databases),
    (rf"SHOW (?:TERSE )?SCHEMAS{TAIL}", objects.show_schemas),
    (rf"SHOW (?:TERSE )?TABLES{TAIL}", objects.show_tables),
    (rf"SHOW (?:TERSE )?VIEWS{TAIL}", objects.show_views),
    (rf"SHOW (?:TERSE )?OBJECTS{TAIL}", objects.show_objects),
    # roles, warehouses, grants, integrations
    (rf"CREATE {REPLACE}ROLE {MAYBE}<name>{REST}", catalog.create_role),
    (rf"SHOW ROLES{TAIL}", catalog.show_roles),
    (rf"CREATE {REPLACE}WAREHOUSE {MAYBE}<name>{REST}", catalog.create_warehouse),
    (r"ALTER WAREHOUSE (?:IF EXISTS )?<name>(?P<rest> .*)", catalog.alter_warehouse),
    (rf"SHOW WAREHOUSES{TAIL}", catalog.show_warehouses),
    (r"GRANT ROLE <name:role> TO (?P<grantee>ROLE|USER) <name>", grants.grant_role),
    (r"REVOKE ROLE <name:role> FROM (?P<grantee>ROLE|USER) <name>", grants.revoke_role),
    (rf"GRANT {ON} {TO}(?P<option> WITH GRANT OPTION)?", grants.grant),
    (rf"REVOKE {ON} {FROM}(?: (?:CASCADE|RESTRICT))?", grants.revoke),
    (
        r"SHOW GRANTS(?: (?:TO (?P<to>ROLE|USER) <name:who>|(?P<of>OF) ROLE <name:role>"
        r"|ON (?P<on>COMPUTE POOL|IMAGE REPOSITORY|\w+)(?P<object>(?: \S+)?)))?",
        grants.show,
    ),
    (r"SHOW FUTURE GRANTS (?:TO ROLE <name:who>|IN (?P<scope>SCHEMA|DATABASE) <name>)", grants.show_future),
    # users
    (rf"CREATE {REPLACE}USER {MAYBE}<name>{REST}", users.create),
    (r"ALTER USER (?P<maybe>IF EXISTS )?<name> (?:SET(?P<rest>\s.*)|UNSET (?P<unset>.*))", users.alter),
    (rf"DROP USER {GONE}<name>", users.drop),
    (rf"SHOW (?:TERSE )?USERS{TAIL}", users.show),
    (r"DESC(?:RIBE)? USER <name>", users.describe),
    (r"SHOW USER WORKLOAD IDENTITY AUTHENTICATION METHODS(?: FOR USER <name:who>)?", users.show_identities),
    # row access policies
    (r"ALTER TABLE (?:IF EXISTS )?<name> ADD ROW ACCESS POLICY <name:policy> ON (?P<columns>\(.*\))", policies.attach),
    (
        r"ALTER TABLE (?:IF EXISTS )?<name> DROP (?:ALL ROW ACCESS POLICIES|ROW ACCESS POLICY <name:policy>)",
        policies.detach,
    ),
    (
        r"SELECT \* FROM TABLE\(\s*<name:database>\.INFORMATION_SCHEMA\.POLICY_REFERENCES\("
        r"\s*REF_ENTITY_NAME\s*=>\s*<string:entity>\s*,\s*REF_ENTITY_DOMAIN\s*=>\s*'TABLE'\s*\)\s*\)",
        policies.references,
    ),
    (rf"CREATE {REPLACE}{THINGS} {MAYBE}<name>{REST}", catalog.create_object),
    (rf"DROP {THINGS} {GONE}<name>", catalog.drop_object),
    (
        rf"SHOW (?P<kind>(?:EXTERNAL ACCESS|API|NOTIFICATION|SECURITY|STORAGE) )?INTEGRATIONS{TAIL}",
        catalog.show_integrations,
    ),
    (r"DESC(?:RIBE)? (?:EXTERNAL ACCESS )?INTEGRATION <name>", catalog.describe_integration),
    (rf"SHOW (?P<kind>IMAGE REPOSITORIES|NETWORK RULES|ROW ACCESS POLICIES){TAIL}", catalog.show_objects),
    # secrets
    (rf"CREATE {REPLACE}SECRET {MAYBE}<name>{REST}", secret.create),
    (rf"ALTER SECRET {GONE}<name> SET{REST}", secret.alter),
    (rf"DROP SECRET {GONE}<name>", secret.drop),
    (rf"SHOW SECRETS{TAIL}", secret.show),
    # stages and files
    (rf"CREATE {REPLACE}(?P<temporary>(?:SCOPED )?TEMP(?:ORARY)? )?STAGE {MAYBE}<name>{REST}", stages.create),
    (r"DESC(?:RIBE)? STAGE <name>", stages.describe),
    (rf"ALTER STAGE {GONE}<name> (?:SET(?P<rest>\s.*)|(?P<unset>UNSET COMMENT))", stages.alter),
    (rf"DROP STAGE {GONE}<name>", stages.drop),
    (rf"SHOW STAGES{TAIL}", stages.show),
    (rf"PUT <string:file> <place>{REST}", files.put),
    (rf"GET <place> <string:file>{REST}", files.get),
    (rf"(?:LIST|LS) <place>{REST}", files.show),
    (rf"(?:REMOVE|RM) <place>{REST}", files.remove),
    (rf"COPY FILES INTO <place> FROM <place:source>{REST}", files.copy),
    # write_pandas
    (r"SELECT COLUMN_NAME,\s*TYPE FROM TABLE\(\s*INFER_SCHEMA\(\s*LOCATION\s*=>\s*<string:place>,.*", loading.infer),
    (
        r"COPY INTO <name:table>\s*\((?P<columns>[^)]*)\)\s*FROM\s*\(\s*SELECT (?P<select>.*?) FROM (?P<place>'@[^']*')"
        r"\s*\)\s*FILE_FORMAT\s*=\s*\(\s*TYPE\s*=\s*PARQUET.*",
        loading.load,
    ),
    # compute pools
    (rf"CREATE COMPUTE POOL {MAYBE}<name>{REST}", pools.create),
    (r"ALTER COMPUTE POOL (?:IF EXISTS )?<name>(?P<rest> .*)", pools.alter),
    (rf"DROP COMPUTE POOL {GONE}<name>", pools.drop),
    (rf"SHOW COMPUTE POOL INSTANCE FAMILIES{TAIL}", pools.families),
    (rf"SHOW COMPUTE POOLS{TAIL}", pools.show),
    (r"DESC(?:RIBE)? COMPUTE POOL <name>", pools.describe),
    # jobs
    (r"CALL SYSTEM\$GET_ML_JOB_RUNTIME\((?P<arguments>.*)\)", services.runtime),
    (r"CALL SYSTEM\$EXECUTE_ML_JOB\((?P<arguments>.*)\)", services.execute),
    (r"DESC(?:RIBE)? SERVICE <name>", services.describe),
    (rf"SHOW JOB SERVICES{TAIL}", services.show),
    (r"SHOW SERVICE INSTANCES IN SERVICE <name>", services.instances),
    (r"SHOW SERVICE CONTAINERS IN SERVICE <name>", services.containers),
    (r"SHOW ENDPOINTS IN SERVICE <name>", services.endpoints),
    (r"(?:SELECT|CALL) SYSTEM\$GET_SERVICE_LOGS\((?P<arguments>.*)\)", services.logs),
    (r"CALL <name>!SPCS_WAIT_FOR\(\s*'DONE'\s*,\s*(?P<seconds>\d+)\s*\)", services.wait),
    (r"CALL <name>!SPCS_CANCEL_JOB\(\)", services.cancel),
    (rf"DROP SERVICE {GONE}<name>(?: FORCE)?", services.drop),
    # experiments
    (rf"CREATE EXPERIMENT {MAYBE}<name>{REST}", experiments.create),
    (rf"DROP EXPERIMENT {GONE}<name>", experiments.drop),
    (rf"SHOW EXPERIMENTS{TAIL}", experiments.show),
    (rf"{RUN} ADD RUN <name:run>{REST}", experiments.add_run),
    (rf"{RUN} COMMIT RUN <name:run>{REST}", experiments.commit_run),
    (rf"{RUN} DROP RUN <name:run>", experiments.drop_run),
    (METRICS, experiments.add_metrics),
    (PARAMETERS, experiments.add_parameters),
    (r"SHOW RUNS(?: LIKE <string:like>)? IN EXPERIMENT <name>", experiments.show_runs),
    (r"SHOW RUN METRICS(?: LIKE <string:like>)? IN EXPERIMENT <name>(?: RUN <name:run>)?", experiments.show_metrics),
    (
        r"SHOW RUN PARAMETERS(?: LIKE <string:like>)? IN EXPERIMENT <name>(?: RUN <name:run>)?",
        experiments.show_parameters,
    ),
    (r"CALL SYSTEM\$RESOLVE_EXPERIMENT(?:_RUN)?_ID\(.*\)", experiments.resolve),
)


def find(sql: str) -> tuple[Handler, re.Match[str]] | None:
    for pattern, handler in _COMPILED:
        if match := pattern.fullmatch(sql):
            return handler, match
    return None


def _compile(pattern: str) -> re.Pattern[str]:
    def kind(match: re.Match[str]) -> str:
        return f"(?P<{match[2] or match[1]}>{_KINDS[match[1]]})"

    spaced = re.sub(r"(?<!\[) (?![^\[]*\])", r"\\s+", pattern)
    return re.compile(re.sub(r"(?<!\(\?P)<(name|place|string)(?::(\w+))?>", kind, spaced), re.IGNORECASE | re.DOTALL)


_COMPILED = tuple((_compile(pattern), handler) for pattern, handler in STATEMENTS)
