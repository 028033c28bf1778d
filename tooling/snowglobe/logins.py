"""Logins. Users that were created log in as what they are; besides them anybody may, by whatever has the right form."""

from __future__ import annotations

import base64
import json
import logging
import secrets
import uuid

from snowglobe import grants, users
from snowglobe.account import Account
from snowglobe.context import Session
from snowglobe.engine import Engine
from snowglobe.identifiers import split
from snowglobe.job import JOB_TOKEN
from snowglobe.wire import Json, SqlError, succeed

VALIDITY_SECONDS = 14400
DEFAULT_USER = "SNOWGLOBE"
DEFAULT_ROLE = "ACCOUNTADMIN"
_NEEDS_TOKEN = {"SNOWFLAKE_JWT", "OAUTH", "PROGRAMMATIC_ACCESS_TOKEN", "WORKLOAD_IDENTITY"}
_KNOWN = _NEEDS_TOKEN | {"SNOWFLAKE", ""}
log = logging.getLogger("snowglobe")


def open_session(account: Account, engine: Engine, query: dict[str, str], data: Json) -> Session:
    user = _user(account, data)
    known = account.users.get((user,))
    own = _role_of_job(data) or (known or {}).get("default_role") or ("PUBLIC" if known else DEFAULT_ROLE)
    role = _one(query.get("roleName")) or own
    if account.roles.get((role,)) is None or (known and role not in grants.roles_of(account, user)):
        raise SqlError(390189, f"Role '{role}' specified in the connect string does not exist or not authorized.")
    token = secrets.token_urlsafe(32)
    connection = engine.connect(token, _one(query.get("databaseName")), _one(query.get("schemaName")))
    warehouse = _one(query.get("warehouse")) or (known or {}).get("default_warehouse")
    there = account.warehouses.get((warehouse,)) if warehouse else None
    return Session(token, connection, user, role, warehouse if there is not None else None)


def renewed(session: Session) -> Json:
    """To a client that renews: the session goes on under the token it has."""
    answer = reply(session, {})
    answer["data"] |= {"sessionToken": session.token, "validityInSecondsST": VALIDITY_SECONDS}
    return answer


def reply(session: Session, parameters: Json) -> Json:
    return succeed(
        {
            "token": session.token,
            "masterToken": f"master-{session.token}",
            "validityInSeconds": VALIDITY_SECONDS,
            "masterValidityInSeconds": VALIDITY_SECONDS,
            "sessionId": session.id,
            "displayUserName": session.user,
            "serverVersion": "9.0.0",
            "idToken": None,
            "parameters": [
                {"name": "AUTOCOMMIT", "value": parameters.get("AUTOCOMMIT", True)},
                {"name": "TIMEZONE", "value": "Etc/UTC"},
                {"name": "PYTHON_SNOWPARK_ENABLE_THREAD_SAFE_SESSION", "value": True},
                {"name": "CLIENT_SESSION_KEEP_ALIVE_HEARTBEAT_FREQUENCY", "value": 3600},
                {"name": "CLIENT_STAGE_ARRAY_BINDING_THRESHOLD", "value": 0},
            ],
            "sessionInfo": {
                "databaseName": session.connection.database,
                "schemaName": session.connection.schema,
                "warehouseName": session.warehouse,
                "roleName": session.role,
            },
        }
    )


def _user(account: Account, data: Json) -> str:
    method = str(data.get("AUTHENTICATOR") or "").upper()
    if method not in _KNOWN:
        raise SqlError(390144, f"snowglobe does not know the authenticator {method!r} (tooling/snowglobe/logins.py)")
    token, name = data.get("TOKEN"), str(data.get("LOGIN_NAME") or "").upper()
    if method in _NEEDS_TOKEN and not token:
        raise SqlError(390303, f"Invalid token: {method} needs one.")
    if method == "WORKLOAD_IDENTITY" and users.has_identities(account):
        return _by_identity(account, _claims(str(token), method), name)
    if method in {"SNOWFLAKE_JWT", "WORKLOAD_IDENTITY"}:
        claims = _claims(str(token), method)
        return name or str(claims.get("sub") or DEFAULT_USER).upper()
    known = account.users.get((name,))
    if known and known.get("type") == "SERVICE" and method not in _NEEDS_TOKEN:
        raise SqlError(390100, "Incorrect username or password was specified.")
    return name or DEFAULT_USER


def _role_of_job(data: Json) -> str | None:
    """A job's sessions have the role that submitted it; its token says which that was."""
    token = str(data.get("TOKEN") or "")
    return token.removeprefix(JOB_TOKEN).partition(":")[0] if token.startswith(JOB_TOKEN) else None


def _by_identity(account: Account, claims: Json, name: str) -> str:
    """The refusal says no more than Snowflake's, whose administrators ask by its number; here server.log tells."""
    user = users.by_identity(account, claims)
    if user is None or (name and name != user):
        number = uuid.uuid4()
        said = {key: claims.get(key) for key in ("iss", "sub", "aud", "exp")}
        log.info("login refused [%s]: no user has this workload identity, or it has expired: %s", number, said)
        raise SqlError(390144, f"JWT token is invalid. [{number}]", "08001")
    return user


def _claims(token: str, method: str) -> Json:
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError) as error:
        raise SqlError(390144, f"JWT token is invalid ({method}).") from error
    return claims if isinstance(claims, dict) else {}


def _one(text: str | None) -> str | None:
    return split(text)[0] if text else None
