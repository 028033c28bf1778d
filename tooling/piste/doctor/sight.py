"""What a role sees of an account, and how each thing is looked for. Pure but for `ask`; every question is put once."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
Ask = Callable[[str], Sequence[Row] | None]
"""Puts a statement to Snowflake; None if it was refused."""

ADMINISTRATORS = ("ACCOUNTADMIN", "SECURITYADMIN")
Right = tuple[str, str, str]
"""A privilege, the kind of the object and its full name, as SHOW GRANTS has them."""


@dataclass(frozen=True)
class Seen:
    """`well` is None where this role can't see whether it is so. `sql`, run by the role `by`, mends what is wrong; ""
    where what makes the thing does that too."""

    well: bool | None
    detail: str = ""
    sql: str = ""
    by: str = ""


@dataclass
class Eyes:
    """Those of a session's role."""

    ask: Ask
    _answers: dict[str, Sequence[Row] | None] = field(default_factory=dict)

    def rows(self, statement: str) -> Sequence[Row] | None:
        if statement not in self._answers:
            self._answers[statement] = self.ask(statement)
        return self._answers[statement]

    def named(self, things: str, name: str, where: str = "") -> Row | None:
        """The one of that name, where SHOW lists it."""
        rows = self.rows(f"SHOW {things} LIKE '{name}'{where}") or ()
        return next((row for row in rows if str(row["name"]).upper() == name.upper()), None)

    def of_session(self, what: str) -> str:
        asked = "SELECT CURRENT_ROLE() AS ROLE, CURRENT_USER() AS LOGIN, CURRENT_WAREHOUSE() AS WAREHOUSE"
        row = (self.rows(asked) or [{}])[0]
        return str(row.get(what) or "")

    @property
    def role(self) -> str:
        return self.of_session("ROLE")

    @property
    def administers(self) -> bool:
        return self.role in ADMINISTRATORS

    def own_rights(self, role: str) -> frozenset[Right] | None:
        """What was granted to a role itself; None if that can't be seen."""
        rows = self.rows(f"SHOW GRANTS TO ROLE {role}")
        if rows is None:
            return None
        return frozenset((str(r["privilege"]), _kind(r["granted_on"]), str(r["name"]).upper()) for r in rows)

    def rights(self, role: str) -> frozenset[Right] | None:
        """All that a role may, by itself and by the roles that it inherits."""
        found: frozenset[Right] = frozenset()
        known, due = {role}, [role]
        while due:
            own = self.own_rights(due.pop())
            if own is None:
                return None
            inherited = {name for privilege, kind, name in own if (privilege, kind) == ("USAGE", "ROLE")} - known
            found |= own
            known |= inherited
            due += inherited
        return found


Check = Callable[[Eyes], Seen]


def role(name: str) -> Check:
    return lambda eyes: Seen(eyes.named("ROLES", name) is not None)


def warehouse(name: str) -> Check:
    """The session's own; of an administrator, who may have another, the one that is made for piste."""

    def check(eyes: Eyes) -> Seen:
        used = name if eyes.administers else eyes.of_session("WAREHOUSE")
        row = eyes.named("WAREHOUSES", used) if used else None
        if not used or (eyes.administers and row is None):
            return Seen(False)
        if row is not None and not _seconds(row.get("auto_suspend")):
            return Seen(False, f"{used} never suspends", f"ALTER WAREHOUSE {used} SET AUTO_SUSPEND = 60;")
        return Seen(True, used)

    return check


def schema(database: str, name: str) -> Check:
    return lambda eyes: Seen(eyes.named("SCHEMAS", name, f" IN DATABASE {database}") is not None)


def rights(role: str, privileges: Collection[str], kind: str, name: str) -> Check:
    """`kind` as GRANT has it: COMPUTE POOL."""

    def check(eyes: Eyes) -> Seen:
        held = eyes.rights(role)
        if held is None:
            return Seen(False, f"SHOW GRANTS TO ROLE {role} was refused")
        lacking = missing(held, privileges, kind, name)
        if not lacking:
            return Seen(True, f"role {role}")
        less = f", lacks {', '.join(lacking)}" if len(lacking) < len(privileges) else ""
        return Seen(False, f"role {role}{less}", grant(lacking, kind, name, role))

    return check


def missing(held: Collection[Right], privileges: Collection[str], kind: str, name: str) -> list[str]:
    mine = {privilege for privilege, on, of in held if (on, of) == (_kind(kind), name.upper())}
    return [] if {"OWNERSHIP", "ALL", "ALL PRIVILEGES"} & mine else [one for one in privileges if one not in mine]


def grant(privileges: Collection[str], kind: str, name: str, role: str) -> str:
    return f"GRANT {', '.join(privileges)} ON {kind} {name} TO ROLE {role};"


def future_right(role: str, privilege: str, kind: str, place: str) -> Check:
    """On what is made later in a schema, or anywhere in its database."""

    def check(eyes: Eyes) -> Seen:
        rows = eyes.rows(f"SHOW FUTURE GRANTS TO ROLE {role}")
        if rows is None:
            return Seen(False if eyes.administers else None, f"SHOW FUTURE GRANTS TO ROLE {role} was refused")
        places = {f"{place}.<{kind}>".upper(), f"{place.partition('.')[0]}.<{kind}>".upper()}
        mine = {str(row["privilege"]) for row in rows if str(row["name"]).upper() in places}
        return Seen(privilege in mine, f"role {role}")

    return check


def pool(name: str) -> Check:
    def check(eyes: Eyes) -> Seen:
        row = eyes.named("COMPUTE POOLS", name)
        if row is None:
            return Seen(False)
        detail = f"{row['state']}, {row['max_nodes']} × {row['instance_family']}"
        if not _seconds(row.get("auto_suspend_secs")):
            sql = f"ALTER COMPUTE POOL {name} SET AUTO_SUSPEND_SECS = 300;"
            return Seen(False, f"{detail}, never suspends: it costs while it idles", sql)
        return Seen(True, f"{detail}, suspends after {row['auto_suspend_secs']} s")

    return check


def integration(name: str) -> Check:
    return lambda eyes: Seen(eyes.named("EXTERNAL ACCESS INTEGRATIONS", name) is not None)


def secret(name: str) -> Check:
    database, schema, last = name.split(".")
    return lambda eyes: Seen(eyes.named("SECRETS", last, f" IN SCHEMA {database}.{schema}") is not None)


def files(location: str) -> Check:
    def check(eyes: Eyes) -> Seen:
        found = eyes.rows(f"LIST {location}")
        return Seen(bool(found), f"{len(found)} files" if found else "")

    return check


def readable(query: str) -> Check:
    """Asks for no row: whether the query can be run is all that is of interest."""

    def check(eyes: Eyes) -> Seen:
        if eyes.rows(f"SELECT * FROM (\n{query.rstrip().rstrip(';')}\n) LIMIT 0") is not None:
            return Seen(True)
        return Seen(False, f"its query names what is not there, or what role {eyes.role} may not read")

    return check


def tables(place: str, needed: Mapping[str, tuple[str, Collection[str]]], role: str) -> Check:
    """Objects of a schema by name, each with its kind and what must be allowed on it."""

    def check(eyes: Eyes) -> Seen:
        absent = [
            name for name, (kind, _) in needed.items() if eyes.named(f"{kind}S", name, f" IN SCHEMA {place}") is None
        ]
        if absent:
            return Seen(False, f"not there: {', '.join(absent)}; the first `piste apply` makes them too")
        held = eyes.rights(role)
        if held is None:
            return Seen(False, f"SHOW GRANTS TO ROLE {role} was refused")
        lacking = {name: missing(held, rights, kind, f"{place}.{name}") for name, (kind, rights) in needed.items()}
        lines = [
            grant(privileges, needed[name][0], f"{place}.{name}", role)
            for name, privileges in lacking.items()
            if privileges
        ]
        if lines:
            return Seen(
                False, f"another role owns them, and role {role} may not use them", "\n".join(lines), "ACCOUNTADMIN"
            )
        return Seen(True, f"role {role}")

    return check


def guarded(place: str, table: str) -> Check:
    """By any row access policy: a company may have its own."""
    asked = (
        f"SELECT * FROM TABLE({place.partition('.')[0]}.INFORMATION_SCHEMA.POLICY_REFERENCES("
        f"REF_ENTITY_NAME => '{place}.{table}', REF_ENTITY_DOMAIN => 'TABLE'))"
    )

    def check(eyes: Eyes) -> Seen:
        if eyes.named("TABLES", table, f" IN SCHEMA {place}") is None:
            return Seen(False, "there is no such table yet")
        rows = eyes.rows(asked)
        if rows is None:
            return Seen(None, "this role can't see it")
        held = [str(row["POLICY_NAME"]) for row in rows if row["POLICY_KIND"] == "ROW_ACCESS_POLICY"]
        return Seen(bool(held), ", ".join(held))

    return check


def policy(place: str, name: str, tables: Collection[str]) -> Check:
    """The policy, or others in its stead on all of the tables."""

    def check(eyes: Eyes) -> Seen:
        there = eyes.named("ROW ACCESS POLICIES", name, f" IN SCHEMA {place}") is not None
        return Seen(there or all(guarded(place, table)(eyes).well for table in tables))

    return check


def login(user: str, issuer: str, subject: str) -> Check:
    """Whether a user's workload identity is what GitHub will say, to the letter; a user may have a key instead."""

    def check(eyes: Eyes) -> Seen:
        row = eyes.named("USERS", user)
        if row is None:
            return Seen(False)
        mine = eyes.of_session("LOGIN").upper() == user
        whose = "" if mine else f" FOR USER {user}"
        rows = eyes.rows(f"SHOW USER WORKLOAD IDENTITY AUTHENTICATION METHODS{whose}")
        if rows is None:
            return Seen(None, "this role can't see what it logs in with")
        told = [_identity(row) for row in rows]
        if (issuer, subject) in told:
            return Seen(True)
        if not told and (mine or str(row.get("has_rsa_public_key")).lower() == "true"):
            return Seen(True, "by a key pair")
        detail = f"it is for {', '.join(named for _, named in told)}" if told else "it has no workload identity"
        identity = f"(TYPE = OIDC ISSUER = '{issuer}' SUBJECT = '{subject}')"
        return Seen(False, detail, f"ALTER USER {user} SET WORKLOAD_IDENTITY = {identity};")

    return check


def _identity(row: Row) -> tuple[str, str]:
    """Its issuer and subject; of another kind than OIDC, its kind."""
    try:
        info = json.loads(str(row.get("additional_info")))
        return str(info["issuer"]), str(info["subject"])
    except (ValueError, KeyError, TypeError):
        return "", str(row.get("type"))


def limits(role: str, allowed: Callable[[Right], bool], concerned: Callable[[Right], bool]) -> Check:
    """That a role may do no more than is allowed with what is of concern; a role that it inherits counts as one."""

    def check(eyes: Eyes) -> Seen:
        held = eyes.own_rights(role)
        if held is None:
            return Seen(False, f"SHOW GRANTS TO ROLE {role} was refused")
        more = sorted(right for right in held if concerned(right) and not allowed(right))
        told = ", ".join(f"{privilege} on {kind.lower().replace('_', ' ')} {name}" for privilege, kind, name in more)
        if more:
            return Seen(False, f"it may more than look: {told}", "\n".join(filter(None, map(_revoke(role), more))))
        return Seen(True)

    return check


def _revoke(role: str) -> Callable[[Right], str]:
    """Nothing for what it owns: who shall have that is for people to say."""

    def sql(right: Right) -> str:
        privilege, kind, name = right
        if kind == "ROLE":
            return f"REVOKE ROLE {name} FROM ROLE {role};"
        if privilege == "OWNERSHIP":
            return ""
        return f"REVOKE {privilege} ON {kind.replace('_', ' ')} {name} FROM ROLE {role};"

    return sql


def _seconds(idle: object) -> int:
    """0 where nothing ever suspends, whatever Snowflake calls that."""
    return int(str(idle)) if str(idle).isdigit() else 0


def _kind(text: object) -> str:
    return str(text).upper().replace(" ", "_")
