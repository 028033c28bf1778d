"""Who may do what, and which roles somebody has: recorded as it was granted, never enforced on a statement."""

from __future__ import annotations

import re
from collections.abc import Callable

from snowglobe import identifiers
from snowglobe.account import Account
from snowglobe.clock import now
from snowglobe.context import Context
from snowglobe.identifiers import Name
from snowglobe.store import Document
from snowglobe.wire import Column, Rows, SqlError, missing, moment, status

_WHEN: Column = ("created_on", "timestamp_ltz")
COLUMNS: list[Column] = [
    _WHEN, "privilege", "granted_on", "name", "granted_to", "grantee_name", "grant_option", "granted_by",
]  # fmt: skip
FUTURE_COLUMNS: list[Column] = [_WHEN, "privilege", "grant_on", "name", "grant_to", "grantee_name", "grant_option"]
_OF_THE_ACCOUNT = {"ACCOUNT", "DATABASE", "WAREHOUSE", "COMPUTE_POOL", "INTEGRATION", "ROLE", "USER"}
_FUTURE = re.compile(r"FUTURE_(?P<kinds>\w+)_IN_(?P<scope>SCHEMA|DATABASE)")
_OWNED = re.compile(
    r"(?P<verb>CREATE|DROP)\s+(?P<replace>OR\s+REPLACE\s+)?(?:(?:TRANSIENT|SECURE)\s+)?(?P<kind>TABLE|VIEW)\s+"
    r'(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(?P<name>(?:"(?:[^"]|"")*"|[\w$])+(?:\.(?:"(?:[^"]|"")*"|[\w$])+)*)',
    re.IGNORECASE,
)


def grant(context: Context, match: re.Match[str]) -> Rows:
    given = now().timestamp()
    for document in _named(context, match):
        document |= {"created": given, "option": bool(match["option"]), "by": context.session.role}
        if document["to"] == "ROLE":
            _require_role(context.account, document["grantee"])
        context.account.grants.put(_key(document), document)
    return status()


def revoke(context: Context, match: re.Match[str]) -> Rows:
    for document in _named(context, match):
        context.account.grants.delete(_key(document))
    return status()


def grant_role(context: Context, match: re.Match[str]) -> Rows:
    document = _of_role(match)
    _require_role(context.account, document["name"])
    if document["to"] == "USER" and document["grantee"] not in {context.session.user, *_users(context.account)}:
        raise missing("User", document["grantee"])
    document |= {"created": now().timestamp(), "option": False, "by": context.session.role}
    context.account.grants.put(_key(document), document)
    return status()


def revoke_role(context: Context, match: re.Match[str]) -> Rows:
    context.account.grants.delete(_key(_of_role(match)))
    return status()


def show(context: Context, match: re.Match[str]) -> Rows:
    if match["to"]:
        kind, who = match["to"].upper(), identifiers.split(match["who"])[-1]
        if kind == "ROLE":
            _require_role(context.account, who)
        return _rows(context, lambda d: (d["to"], d["grantee"]) == (kind, who))
    if match["of"]:
        role = identifiers.split(match["role"])[-1]
        return _rows(context, lambda d: (d["on"], d["name"]) == ("ROLE", role))
    if match["on"]:
        kind = _kind(match["on"])
        wanted = _object(context, kind, match["object"] or "")
        return _rows(context, lambda d: d["on"] == kind and d["name"] in (wanted, ""))
    return _rows(context, lambda d: (d["to"], d["grantee"]) == ("USER", context.session.user))


def show_future(context: Context, match: re.Match[str]) -> Rows:
    """SHOW GRANTS does not list them: they are of no object yet."""
    if match["who"]:
        who = identifiers.split(match["who"])[-1]
        _require_role(context.account, who)
        chosen = [d for d in _all(context) if d["grantee"] == who]
    else:
        scope = match["scope"].upper()
        name = _object(context, scope, match["name"])
        chosen = [d for d in _all(context) if d["on"].endswith(f"_IN_{scope}") and d["name"] == name]
    rows = [
        [
            moment(d["created"]), d["privilege"], _singular(m["kinds"]), f"{d['name']}.<{_singular(m['kinds'])}>",
            d["to"], d["grantee"], str(d["option"]).lower(),
        ]
        for d in chosen if (m := _FUTURE.fullmatch(d["on"]))
    ]  # fmt: skip
    return Rows(FUTURE_COLUMNS, rows)


def note_owner(context: Context, sql: str) -> None:
    """After a table or view was made or dropped: who makes one owns it."""
    match = _OWNED.match(sql)
    if not match:
        return
    kind, name = match["kind"].upper(), identifiers.dotted(context.name(match["name"]))
    if match["verb"].upper() == "DROP" or match["replace"]:
        for key, document in context.account.grants.all():
            if (document["on"], document["name"]) == (kind, name):
                context.account.grants.delete(key)
    if match["verb"].upper() == "CREATE" and owner(context.account, kind, name) is None:
        document = {
            "created": now().timestamp(), "privilege": "OWNERSHIP", "on": kind, "name": name, "to": "ROLE",
            "grantee": context.session.role, "option": True, "by": context.session.role,
        }  # fmt: skip
        context.account.grants.put(_key(document), document)


def owner(account: Account, kind: str, name: str) -> str | None:
    wanted = ("OWNERSHIP", kind, name)
    found = (d["grantee"] for _, d in account.grants.all() if (d["privilege"], d["on"], d["name"]) == wanted)
    return next(found, None)


def roles_of(account: Account, user: str) -> set[str]:
    """The roles that a user may take: those that were granted, and what these inherit."""
    granted = [(d["to"], d["grantee"], d["name"]) for _, d in account.grants.all() if d["on"] == "ROLE"]
    found = {"PUBLIC"}
    due = {name for to, grantee, name in granted if (to, grantee) == ("USER", user)}
    while due:
        found |= due
        due = {name for to, grantee, name in granted if to == "ROLE" and grantee in due} - found
    return found


def require_mine(context: Context, role: str) -> None:
    """A user that was created takes only roles that were granted to it; anybody else takes any."""
    user = context.session.user
    if context.account.users.get((user,)) is not None and role not in roles_of(context.account, user):
        message = f"Requested role '{role}' is not assigned to the executing user. Specify another role to activate."
        raise SqlError(3013, message, "42501")


def _named(context: Context, match: re.Match[str]) -> list[Document]:
    kind = _kind(match["kind"])
    return [
        {
            "privilege": re.sub(r"\s+", " ", privilege).upper(), "on": kind,
            "name": _object(context, kind, match["object"]), "to": match["grantee"].upper(),
            "grantee": identifiers.split(match["name"])[-1],
        }
        for privilege in re.split(r"\s*,\s*", match["privileges"].strip())
    ]  # fmt: skip


def _of_role(match: re.Match[str]) -> Document:
    return {
        "privilege": "USAGE", "on": "ROLE", "name": identifiers.split(match["role"])[-1],
        "to": match["grantee"].upper(), "grantee": identifiers.split(match["name"])[-1],
    }  # fmt: skip


def _object(context: Context, kind: str, text: str) -> str:
    """An object's full name, as SHOW GRANTS gives it."""
    if not text.strip():
        return ""
    parts = identifiers.split(text)
    if kind in _OF_THE_ACCOUNT or kind.endswith("_IN_DATABASE"):
        return identifiers.dotted(parts[-1:])
    if kind == "SCHEMA" or kind.endswith("_IN_SCHEMA"):
        return identifiers.dotted((*context.home[:1], *parts)[-2:])
    return identifiers.dotted(context.name(text))


def _kind(text: str) -> str:
    return re.sub(r"\s+", "_", text.strip()).upper()


def _singular(kinds: str) -> str:
    words = kinds.replace("_", " ")
    return re.sub(r"IES$", "Y", words) if words.endswith("IES") else words.removesuffix("S")


def _key(document: Document) -> Name:
    return tuple(str(document[key]) for key in ("to", "grantee", "on", "name", "privilege"))


def _all(context: Context) -> list[Document]:
    return [document for _, document in context.account.grants.all()]


def _rows(context: Context, wanted: Callable[[Document], bool]) -> Rows:
    chosen = [d for d in _all(context) if wanted(d) and not _FUTURE.fullmatch(d["on"])]
    rows = [
        [
            moment(d["created"]), d["privilege"], d["on"], d["name"], d["to"], d["grantee"], str(d["option"]).lower(),
            d["by"],
        ]
        for d in chosen
    ]  # fmt: skip
    return Rows(COLUMNS, rows)


def _require_role(account: Account, role: str) -> None:
    if account.roles.get((role,)) is None:
        raise missing("Role", role)


def _users(account: Account) -> set[str]:
    return {name[0] for name, _ in account.users.all()}
