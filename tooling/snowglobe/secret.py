"""Secrets: each kept in one file of the state folder, given to jobs, and shown to nobody."""

from __future__ import annotations

import re
from typing import Any

from snowglobe import identifiers, listing, stages
from snowglobe.account import Account
from snowglobe.clock import now
from snowglobe.context import Context
from snowglobe.identifiers import Name
from snowglobe.pools import options
from snowglobe.store import Document
from snowglobe.wire import Column, Json, Rows, exists, invalid, missing, moment, status

KIND, KEY = "GENERIC_STRING", "secret_string"
"""The kind of secrets whose value is kept, and what a job's specification calls that value."""

_STRING = re.compile(r"\bSECRET_STRING\s*=\s*(\?|'(?:[^'\\]|''|\\.)*'|\$\$.*?\$\$)", re.IGNORECASE | re.DOTALL)
_COLUMNS: list[Column] = [
    ("created_on", "timestamp_ltz"), "name", "schema_name", "database_name", "owner", "comment", "secret_type",
    "oauth_scopes", "owner_role_type",
]  # fmt: skip


def create(context: Context, match: re.Match[str]) -> Rows:
    name, given = context.name(match["name"]), options(match["rest"])
    kind = given.get("type", "").upper()
    if not kind:
        raise invalid("Missing option(s): [TYPE]")
    string = _string(context, match["rest"])
    if kind == KIND and not string:
        raise invalid("Missing option(s): [SECRET_STRING]")
    stages.require_schema(context, name)
    document: Document = {
        "created": now().timestamp(), "type": kind, "owner": context.session.role,
        "comment": stages.comment(match["rest"]) or "", **({KEY: string} if kind == KIND else {}),
    }  # fmt: skip
    if match["replace"]:
        context.account.secrets.delete(name)
    if not context.account.secrets.create(name, document):
        if not match["maybe"]:
            raise exists(name[-1])
        return status(f"{name[-1]} already exists, statement succeeded.")
    return status(f"Secret {name[-1]} successfully created.")


def alter(context: Context, match: re.Match[str]) -> Rows:
    name = context.name(match["name"])
    if context.account.secrets.get(name) is None and match["maybe"]:
        return status()
    _find(context.account, name)
    changes = {KEY: _string(context, match["rest"]), "comment": stages.comment(match["rest"])}
    if not any(value is not None for value in changes.values()):
        raise context.unknown()
    known = {key: value for key, value in changes.items() if value is not None}
    context.account.secrets.change(name, lambda document: document.update(known))
    return status()


def drop(context: Context, match: re.Match[str]) -> Rows:
    name = context.name(match["name"])
    if not context.account.secrets.delete(name) and not match["maybe"]:
        raise missing("Secret", identifiers.dotted(name))
    return status(f"{name[-1]} successfully dropped.")


def show(context: Context, match: re.Match[str]) -> Rows:
    chosen = listing.parse(context, match["tail"]).pick(context.account.secrets.all())
    rows = [
        [moment(d["created"]), n[2], n[1], n[0], d["owner"], d["comment"], d["type"], None, "ROLE"] for n, d in chosen
    ]
    return Rows(_COLUMNS, rows)


def qualified(context: Context, spec: Json) -> None:
    """Makes the names of all secrets of a job's specification full ones.

    Raises SqlError for one that does not exist, or that can't be given in the way that is asked for.
    """
    for container in ((spec.get("SPEC_OVERRIDES") or {}).get("spec") or {}).get("containers") or []:
        container["secrets"] = [_qualified(context, asked) for asked in container.get("secrets") or []]


def values(account: Account, container: Json) -> dict[str, str]:
    """What a starting container gets, by variable. Raises SqlError for a secret that is gone."""
    return {
        asked["envVarName"]: str(_find(account, identifiers.split(asked["snowflakeSecret"]["objectName"]))[KEY])
        for asked in container.get("secrets") or []
    }


def _qualified(context: Context, asked: Json) -> Json:
    named: Any = asked.get("snowflakeSecret")
    text = named.get("objectName") if isinstance(named, dict) else named
    if not isinstance(text, str) or not isinstance(asked.get("envVarName"), str):
        raise invalid("snowglobe gives secrets to jobs by envVarName and objectName only (tooling/snowglobe/secret.py)")
    name = context.name(text)
    document = _find(context.account, name)
    if asked.get("secretKeyRef") != KEY or KEY not in document:
        raise invalid(
            f"Secret '{identifiers.dotted(name)}' of type {document['type']} has no {asked.get('secretKeyRef')!r}."
        )
    return {**asked, "snowflakeSecret": {"objectName": identifiers.dotted(name)}}


def _find(account: Account, name: Name) -> Document:
    document = account.secrets.get(name)
    if document is None:
        raise missing("Secret", identifiers.dotted(name))
    return document


def _string(context: Context, rest: str | None) -> str | None:
    match = _STRING.search(rest or "")
    return context.text(match[1]) if match else None
