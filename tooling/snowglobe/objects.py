"""Databases, schemas, tables and views, as SHOW lists them; tables and views themselves are fakesnow's."""

from __future__ import annotations

import re
from typing import Any

from snowglobe import grants, identifiers, listing, stages
from snowglobe.context import Context
from snowglobe.identifiers import Name
from snowglobe.wire import Cell, Column, Rows, exists, missing, status

_TABLES = """
    SELECT database_name, schema_name, table_name, comment, estimated_size FROM duckdb_tables()
    WHERE NOT internal AND NOT temporary
"""
_VIEWS = "SELECT database_name, schema_name, view_name, comment, sql FROM duckdb_views() WHERE NOT internal"
_HIDDEN_DATABASES = {"memory", "system", "temp", "_fs_global"}
_HIDDEN_SCHEMAS = {"main", "pg_catalog", "_fs_information_schema", "information_schema"}


def create_database(context: Context, match: re.Match[str]) -> Rows:
    """As in Snowflake, the new database comes with PUBLIC and becomes the current one."""
    name = identifiers.split(context.text(match["name"]))[-1]
    known = {database for database, _ in context.engine.schemas()}
    if name in known and not match["maybe"]:
        raise exists(name)
    if name not in known:
        context.engine.create(name)
        context.engine.use(context.session, name, "PUBLIC")
    return status(f"Database {name} successfully created." if name not in known else f"{name} already exists.")


def drop_database(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    if name in {database for database, _ in context.engine.schemas()}:
        stages.remove_below(context.account, (name,))
        context.engine.drop_database(context.session, name)
    elif not match["maybe"]:
        raise missing("Database", name)
    return status(f"{name} successfully dropped.")


def drop_schema(context: Context, match: re.Match[str]) -> Rows:
    name = (*context.home[:1], *identifiers.split(context.text(match["name"])))[-2:]
    if len(name) == 2 and context.engine.has(name[0], name[1]):
        stages.remove_below(context.account, name)
        context.engine.drop_schema(context.session, name[0], name[1])
    elif not match["maybe"]:
        raise missing("Schema", identifiers.dotted(name))
    return status(f"{name[-1]} successfully dropped.")


def use_database(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))
    if len(name) == 2:
        return _use(context, (name[0], name[1]))
    if name[0] not in {database for database, _ in context.engine.schemas()}:
        raise missing("Database", name[0])
    context.engine.use(context.session, name[0], "PUBLIC" if context.engine.has(name[0], "PUBLIC") else None)
    return status()


def use_schema(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))
    if len(name) == 1:
        name = (*context.home[:1], *name)
    return _use(context, name)


def show_databases(context: Context, match: re.Match[str]) -> Rows:
    names = sorted({(database,) for database, _ in context.engine.schemas()})
    chosen = listing.parse(context, match["tail"], account=True).pick([(name, None) for name in names])
    current = context.home[:1]
    columns: list[Column] = ["name", "is_default", "is_current", "origin", "owner", "comment", "kind"]
    rows = [[n[0], "N", "Y" if n == current else "N", "", "ACCOUNTADMIN", "", "STANDARD"] for n, _ in chosen]
    return Rows(columns, rows)


def show_schemas(context: Context, match: re.Match[str]) -> Rows:
    found = listing.parse(context, match["tail"], schemas=True)
    _require(context, found.scope)
    names: list[tuple[Name, None]] = [(name, None) for name in sorted(context.engine.schemas())]
    columns: list[Column] = ["name", "is_default", "is_current", "database_name", "owner", "comment"]
    rows = [[n[1], "N", "Y" if n == context.home else "N", n[0], "ACCOUNTADMIN", ""] for n, _ in found.pick(names)]
    return Rows(columns, rows)


def show_tables(context: Context, match: re.Match[str]) -> Rows:
    columns: list[Column] = ["name", "database_name", "schema_name", "kind", "comment", ("rows", "fixed"), "owner"]
    chosen = _pick(context, match, _TABLES)
    rows = [[n[2], n[0], n[1], "TABLE", d[0] or "", d[1], _owner(context, "TABLE", n)] for n, d in chosen]
    return Rows(columns, rows)


def show_views(context: Context, match: re.Match[str]) -> Rows:
    columns: list[Column] = ["name", "database_name", "schema_name", "comment", "owner", "text", "is_secure"]
    chosen = _pick(context, match, _VIEWS)
    rows = [[n[2], n[0], n[1], d[0] or "", _owner(context, "VIEW", n), d[1], "false"] for n, d in chosen]
    return Rows(columns, rows)


def show_objects(context: Context, match: re.Match[str]) -> Rows:
    columns: list[Column] = ["name", "database_name", "schema_name", "kind", "owner"]
    rows: list[list[Cell]] = []
    for kind, query in (("TABLE", _TABLES), ("VIEW", _VIEWS)):
        rows += [[n[2], n[0], n[1], kind, _owner(context, kind, n)] for n, _ in _pick(context, match, query)]
    return Rows(columns, sorted(rows, key=str))


def _pick(context: Context, match: re.Match[str], query: str) -> list[tuple[Name, tuple[Any, Any]]]:
    found = listing.parse(context, match["tail"])
    _require(context, found.scope)
    rows = context.engine.cursor().execute(query).fetchall()
    shown = [r for r in rows if r[0] not in _HIDDEN_DATABASES and r[1] not in _HIDDEN_SCHEMAS]
    return found.pick(sorted(((r[0], r[1], r[2]), (r[3], r[4])) for r in shown))


def _owner(context: Context, kind: str, name: Name) -> str:
    return grants.owner(context.account, kind, identifiers.dotted(name)) or "ACCOUNTADMIN"


def _require(context: Context, scope: Name) -> None:
    known = set(context.engine.schemas())
    if len(scope) == 2 and scope not in known:
        raise missing("Schema", identifiers.dotted(scope))
    if len(scope) == 1 and scope[0] not in {database for database, _ in known}:
        raise missing("Database", scope[0])


def _use(context: Context, name: Name) -> Rows:
    _require(context, name)
    context.engine.use(context.session, name[0], name[1])
    return status()
