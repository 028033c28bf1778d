"""Users: who they are, what they log in with, and which role they have then."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from snowglobe import identifiers, listing
from snowglobe.account import Account
from snowglobe.clock import now
from snowglobe.context import Context
from snowglobe.pools import options
from snowglobe.store import Document
from snowglobe.wire import Column, Rows, SqlError, exists, invalid, missing, moment, status

AUDIENCE = "snowflakecomputing.com"
ADMINISTRATORS = {"ACCOUNTADMIN", "SECURITYADMIN", "USERADMIN"}
_IDENTITY = re.compile(r"\bWORKLOAD_IDENTITY\s*=\s*\((?P<inside>(?:'(?:[^'\\]|''|\\.)*'|\([^)]*\)|[^()'])*)\)", re.I)
_AUDIENCES = re.compile(r"\bOIDC_AUDIENCE_LIST\s*=\s*\((?P<list>[^)]*)\)", re.IGNORECASE)
_STRING = re.compile(r"'(?:[^'\\]|''|\\.)*'")
COLUMNS: list[Column] = [
    "name", ("created_on", "timestamp_ltz"), "login_name", "display_name", "disabled", "comment", "default_warehouse",
    "default_namespace", "default_role", "default_secondary_roles", "owner", "has_password", "has_rsa_public_key",
    "type", "has_workload_identity",
]  # fmt: skip
IDENTITY_COLUMNS: list[Column] = [
    "name", "type", "comment", ("last_used", "timestamp_ltz"), ("created_on", "timestamp_ltz"), "additional_info",
]  # fmt: skip


def create(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    store = context.account.users
    if store.get((name,)) is not None and not match["replace"]:
        if match["maybe"]:
            return status(f"{name} already exists, statement succeeded.")
        raise exists(name)
    document = {"created": now().timestamp(), "owner": context.session.role, **_read(match["rest"] or "")}
    _require_alone(context.account, name, document)
    store.put((name,), document)
    return status(f"User {name} successfully created.")


def alter(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    document = context.account.users.get((name,))
    if document is None:
        if match["maybe"]:
            return status()
        raise missing("User", name)
    if match["unset"]:
        gone = {word.lower() for word in re.split(r"[\s,]+", match["unset"].strip())}
        changed = {key: value for key, value in document.items() if key not in gone}
    else:
        changed = {**document, **_read(match["rest"])}
    _require_alone(context.account, name, changed)
    context.account.users.put((name,), changed)
    return status()


def drop(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    if not context.account.users.delete((name,)) and not match["maybe"]:
        raise missing("User", name)
    for key, grant in context.account.grants.all():
        if (grant["to"], grant["grantee"]) == ("USER", name):
            context.account.grants.delete(key)
    return status(f"{name} successfully dropped.")


def show(context: Context, match: re.Match[str]) -> Rows:
    """Everybody sees herself; only administrators see others."""
    chosen = listing.parse(context, match["tail"], account=True).pick(context.account.users.all())
    rows = [
        [
            name[0], moment(d["created"]), d.get("login_name", name[0]), name[0], d.get("disabled", "false"),
            d.get("comment", ""), d.get("default_warehouse", ""), d.get("default_namespace", ""),
            d.get("default_role", ""), d.get("default_secondary_roles", '["ALL"]'), d["owner"],
            "false", _yes("rsa_public_key" in d), d.get("type", ""), _yes("workload_identity" in d),
        ]
        for name, d in chosen if _visible(context, name[0])
    ]  # fmt: skip
    return Rows(COLUMNS, rows)


def describe(context: Context, match: re.Match[str]) -> Rows:
    name, document = _one(context, match["name"])
    hidden = {"created", "owner"}
    properties = [["NAME", name], *([key.upper(), _text(d)] for key, d in document.items() if key not in hidden)]
    return Rows(
        ["property", "value", "default", "description"], [[key, value, "null", ""] for key, value in properties]
    )


def show_identities(context: Context, match: re.Match[str]) -> Rows:
    name, document = _one(context, match["who"] or identifiers.quote(context.session.user))
    identity = document.get("workload_identity")
    if identity is None:
        return Rows(IDENTITY_COLUMNS, [])
    made = moment(document["created"])
    info = json.dumps({key: identity[key] for key in ("issuer", "subject", "audienceList")})
    return Rows(IDENTITY_COLUMNS, [[name, identity["type"], "", None, made, info]])


def by_identity(account: Account, claims: dict[str, Any]) -> str | None:
    """The user whose issuer, subject and audience a token has, while it lasts. No signature is looked at."""
    audiences = claims.get("aud")
    given = {audiences} if isinstance(audiences, str) else set(audiences or ())
    expires = claims.get("exp")
    if not isinstance(expires, int | float) or expires <= time.time():  # whoever makes it has the machine's clock
        return None
    for name, document in account.users.all():
        identity = document.get("workload_identity", {})
        same = (identity.get("issuer"), identity.get("subject")) == (claims.get("iss"), claims.get("sub"))
        if identity and same and given & set(identity["audienceList"] or [AUDIENCE]):
            return name[0]
    return None


def has_identities(account: Account) -> bool:
    return any("workload_identity" in document for _, document in account.users.all())


def _read(text: str) -> Document:
    """The properties of CREATE and ALTER USER, by lower-case name."""
    match = _IDENTITY.search(text)
    rest = text[: match.start()] + text[match.end() :] if match else text
    secondary = re.search(r"\bDEFAULT_SECONDARY_ROLES\s*=\s*\(([^)]*)\)", rest, re.IGNORECASE)
    found: Document = dict(options(rest))
    for key in ("default_role", "default_warehouse", "type", "login_name"):
        if key in found:
            found[key] = found[key].upper()
    if secondary:
        found["default_secondary_roles"] = json.dumps(
            [s.strip().strip("'") for s in secondary[1].split(",") if s.strip()]
        )
    if match:
        found["workload_identity"] = _identity(match["inside"])
    return found


def _identity(text: str) -> Document:
    audiences = _AUDIENCES.search(text)
    given = options(text[: audiences.start()] + text[audiences.end() :] if audiences else text)
    kind = given.get("type", "").upper()
    if kind != "OIDC":
        raise invalid(f"snowglobe knows no workload identity of type {kind or 'none'} (tooling/snowglobe/users.py)")
    if not (given.get("issuer") and given.get("subject")):
        raise invalid("A workload identity of type OIDC needs ISSUER and SUBJECT.")
    named = [identifiers.literal(s) for s in _STRING.findall(audiences["list"])] if audiences else []
    return {"type": kind, "issuer": given["issuer"], "subject": given["subject"], "audienceList": named}


def _require_alone(account: Account, name: str, document: Document) -> None:
    """Two users with one identity: nobody could tell who logs in."""
    mine = document.get("workload_identity")
    for other, theirs in account.users.all():
        known = theirs.get("workload_identity")
        if mine and known and other != (name,) and all(mine[key] == known[key] for key in ("issuer", "subject")):
            raise invalid(f"The workload identity's issuer and subject are those of user '{other[0]}'.")


def _one(context: Context, text: str) -> tuple[str, Document]:
    name = identifiers.split(context.text(text))[-1]
    document = context.account.users.get((name,))
    if document is None and name == context.session.user:
        return name, {"created": now().timestamp(), "owner": "ACCOUNTADMIN"}
    if document is None:
        raise missing("User", name)
    if not _visible(context, name):
        raise SqlError(
            3001, f"SQL access control error:\nInsufficient privileges to operate on user '{name}'.", "42501"
        )
    return name, document


def _visible(context: Context, name: str) -> bool:
    return name == context.session.user or context.session.role in ADMINISTRATORS


def _yes(is_so: bool) -> str:
    return str(is_so).lower()


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
