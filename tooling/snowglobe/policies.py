"""Row access policies on tables: which one a table has. Recorded, never enforced; the policies are in catalog.py."""

from __future__ import annotations

import json
import re

from snowglobe import identifiers
from snowglobe.context import Context
from snowglobe.identifiers import Name
from snowglobe.wire import Rows, invalid, missing, status

COLUMNS = [
    "POLICY_DB", "POLICY_SCHEMA", "POLICY_NAME", "POLICY_KIND", "REF_DATABASE_NAME", "REF_SCHEMA_NAME",
    "REF_ENTITY_NAME", "REF_ENTITY_DOMAIN", "REF_ARG_COLUMN_NAMES", "POLICY_STATUS",
]  # fmt: skip
KIND = "ROW ACCESS POLICY"


def attach(context: Context, match: re.Match[str]) -> Rows:
    table, policy = context.name(match["name"]), context.name(match["policy"])
    _require_table(context, table)
    if context.account.objects.get((KIND, *policy)) is None:
        raise missing("Row access policy", identifiers.dotted(policy))
    columns = [identifiers.split(column)[0] for column in match["columns"].strip("()").split(",")]
    if not context.account.policies.create(table, {"policy": list(policy), "columns": columns}):
        raise invalid(f"Object {table[-1]} already has a ROW_ACCESS_POLICY. Only one is allowed at a time.")
    return status()


def detach(context: Context, match: re.Match[str]) -> Rows:
    table = context.name(match["name"])
    _require_table(context, table)
    held = context.account.policies.get(table)
    if match["policy"] and (held is None or tuple(held["policy"]) != context.name(match["policy"])):
        raise invalid(f"The row access policy {match['policy']} is not attached to {table[-1]}.")
    context.account.policies.delete(table)
    return status()


def references(context: Context, match: re.Match[str]) -> Rows:
    table = context.name(match["entity"])
    _require_table(context, table)
    held = context.account.policies.get(table)
    rows = (
        [[*held["policy"], "ROW_ACCESS_POLICY", *table, "TABLE", json.dumps(held["columns"]), "ACTIVE"]] if held else []
    )
    return Rows(COLUMNS, rows)


def _require_table(context: Context, table: Name) -> None:
    query = "SELECT 1 FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? AND table_name = ?"
    if context.engine.cursor().execute(query, list(table)).fetchone() is None:
        raise missing("Table", identifiers.dotted(table))
