"""What a session asks about itself and the account: roles, warehouses, integrations, repositories, policies."""

from __future__ import annotations

import re
from collections.abc import Callable

from snowglobe import account, grants, identifiers, listing
from snowglobe.clock import now
from snowglobe.context import Context
from snowglobe.identifiers import Name
from snowglobe.pools import options
from snowglobe.wire import Cell, Column, Rows, SqlError, exists, missing, single, status

VERSION = "9.38.0"
DEFAULT_SUSPEND = 600
"""Seconds that a warehouse idles before it suspends, unless told."""
_ABOUT: dict[str, Callable[[Context], Cell]] = {
    "ACCOUNT": lambda c: account.NAME,
    "ACCOUNT_NAME": lambda c: account.NAME,
    "ORGANIZATION_NAME": lambda c: account.NAME,
    "REGION": lambda c: account.REGION,
    "VERSION": lambda c: VERSION,
    "CLIENT": lambda c: "snowglobe",
    "ROLE": lambda c: c.session.role,
    "USER": lambda c: c.session.user,
    "WAREHOUSE": lambda c: c.session.warehouse,
    "DATABASE": lambda c: c.home[0] if c.home else None,
    "SCHEMA": lambda c: c.home[1] if len(c.home) > 1 else None,
    "SESSION": lambda c: c.session.id,
    "SECONDARY_ROLES": lambda c: '{"roles":"","value":""}',
    "AVAILABLE_ROLES": lambda c: str([name[0] for name, _ in c.account.roles.all()]).replace("'", '"'),
}
CURRENT = "|".join(_ABOUT)


def about(context: Context, match: re.Match[str]) -> Rows:
    """SELECT CURRENT_X()[, …]: one row, no table."""
    found = re.findall(r'CURRENT_(\w+)\s*\(\s*\)(?:\s+(?:AS\s+)?("[^"]*"|\w+))?', match["items"], re.IGNORECASE)
    columns = [identifiers.split(alias)[0] if alias else f"CURRENT_{what.upper()}()" for what, alias in found]
    return Rows(columns, [[_ABOUT[what.upper()](context) for what, _ in found]])


def value(context: Context, what: str) -> str:
    """CURRENT_X() inside a larger statement, as a literal."""
    found = _ABOUT[what.upper()](context)
    return "NULL" if found is None else "'" + str(found).replace("'", "''") + "'"


def accept(context: Context, match: re.Match[str]) -> Rows:
    return status()


def cancel_queries(context: Context, match: re.Match[str]) -> Rows:
    return single("SYSTEM$CANCEL_ALL_QUERIES", "0 cancelled")


def use_role(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    if context.account.roles.get((name,)) is None:
        raise missing("Role", name)
    grants.require_mine(context, name)
    context.session.role = name
    return status()


def use_warehouse(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    if context.account.warehouses.get((name,)) is None:
        raise SqlError(2043, "SQL compilation error:\nObject does not exist, or operation cannot be performed.")
    context.session.warehouse = name
    return status()


def create_warehouse(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    given = options(match["rest"])
    suspend = int(given.get("auto_suspend", DEFAULT_SUSPEND))
    document = {"size": given.get("warehouse_size", "XSMALL").upper(), "auto_suspend": suspend}
    made = context.account.warehouses.create((name,), document)
    if not made and not match["maybe"] and not match["replace"]:
        raise exists(name)
    context.session.warehouse = name
    return status(f"Warehouse {name} successfully created.")


def alter_warehouse(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    if context.account.warehouses.get((name,)) is None:
        raise missing("Warehouse", name)
    given = options(match["rest"])
    if "auto_suspend" in given:
        context.account.warehouses.change((name,), lambda d: d.update(auto_suspend=int(given["auto_suspend"])))
    return status()


def show_warehouses(context: Context, match: re.Match[str]) -> Rows:
    columns: list[Column] = [
        "name", "state", "type", "size", "is_default", "is_current", ("auto_suspend", "fixed"), "auto_resume", "owner",
        "comment",
    ]  # fmt: skip
    chosen = listing.parse(context, match["tail"], account=True).pick(context.account.warehouses.all())
    rows: list[list[Cell]] = [
        [name[0], "STARTED", "STANDARD", document.get("size", "XSMALL"), "N",
         "Y" if name[0] == context.session.warehouse else "N", document.get("auto_suspend", DEFAULT_SUSPEND), "true",
         "ACCOUNTADMIN", document.get("comment", "")]
        for name, document in chosen
    ]  # fmt: skip
    return Rows(columns, rows)


def create_role(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    if not context.account.roles.create((name,), {"comment": ""}) and not match["maybe"] and not match["replace"]:
        raise exists(name)
    return status(f"Role {name} successfully created.")


def show_roles(context: Context, match: re.Match[str]) -> Rows:
    columns = ["name", "is_default", "is_current", "owner", "comment"]
    chosen = listing.parse(context, match["tail"], account=True).pick(context.account.roles.all())
    current = context.session.role
    return Rows(columns, [[n[0], "N", "Y" if n[0] == current else "N", "USERADMIN", d["comment"]] for n, d in chosen])


def create_object(context: Context, match: re.Match[str]) -> Rows:
    """Objects that only need to be there: integrations, image repositories, network rules, policies."""
    kind = re.sub(r"\s+", " ", match["kind"]).upper()
    text = context.text(match["name"])
    name = identifiers.split(text)[-1:] if "INTEGRATION" in kind else context.name(match["name"])
    document = {"kind": kind, "created": now().isoformat(), "definition": (match["rest"] or "").strip()}
    if match["replace"]:
        context.account.objects.delete((kind, *name))
    if not context.account.objects.create((kind, *name), document) and not match["maybe"]:
        raise exists(name[-1])
    return status(f"{kind.capitalize()} {name[-1]} successfully created.")


def drop_object(context: Context, match: re.Match[str]) -> Rows:
    kind = re.sub(r"\s+", " ", match["kind"]).upper()
    text = context.text(match["name"])
    name = identifiers.split(text)[-1:] if "INTEGRATION" in kind else context.name(match["name"])
    if not context.account.objects.delete((kind, *name)) and not match["maybe"]:
        raise missing(kind.capitalize(), text)
    return status(f"{name[-1]} successfully dropped.")


def show_integrations(context: Context, match: re.Match[str]) -> Rows:
    kinds = re.sub(r"\s+", " ", match["kind"] or "").strip().upper()
    items = [
        (name[1:], d)
        for name, d in context.account.objects.all()
        if name[0].startswith(kinds) and "INTEGRATION" in name[0]
    ]
    chosen = listing.parse(context, match["tail"], account=True).pick(items)
    rows: list[list[Cell]] = [
        [n[-1], d["kind"].replace(" INTEGRATION", "").replace(" ", "_"), "SECURITY", "true", "", d["created"]]
        for n, d in chosen
    ]
    return Rows(["name", "type", "category", "enabled", "comment", "created_on"], rows)


def show_objects(context: Context, match: re.Match[str]) -> Rows:
    kind = re.sub(r"\s+", " ", match["kind"]).upper().rstrip("S")
    kind = re.sub(r"IE$", "Y", kind)
    items: list[tuple[Name, dict[str, str]]] = [(n[1:], d) for n, d in context.account.objects.all() if n[0] == kind]
    chosen = listing.parse(context, match["tail"]).pick(items)
    columns = ["created_on", "name", "database_name", "schema_name", "owner", "repository_url", "comment"]
    rows = [[d["created"], n[2], n[0], n[1], "ACCOUNTADMIN", f"local/{'/'.join(n).lower()}", ""] for n, d in chosen]
    return Rows(columns, rows)


def describe_integration(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(match["name"])[-1]
    found = [(n, d) for n, d in context.account.objects.all() if "INTEGRATION" in n[0] and n[-1] == name]
    if not found:
        raise missing("Integration", name)
    columns = ["property", "property_type", "property_value", "property_default"]
    return Rows(
        columns, [[key.upper(), "String", value, ""] for key, value in options(found[0][1]["definition"]).items()]
    )
