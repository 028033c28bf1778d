"""One statement being answered: who asks, with which bindings, and how names resolve for it."""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from snowglobe import identifiers
from snowglobe.identifiers import Name
from snowglobe.trace import masked
from snowglobe.wire import SqlError

if TYPE_CHECKING:
    from snowglobe.account import Account
    from snowglobe.engine import Engine
    from snowglobe.jobs import Jobs

_IDENTIFIER = re.compile(r"IDENTIFIER\s*\(\s*(\?|'(?:[^']|'')*')\s*\)", re.IGNORECASE)


@dataclass
class Session:
    token: str
    connection: Any  # fakesnow's connection, which keeps the current database and schema
    user: str
    role: str
    warehouse: str | None
    id: int = field(default_factory=lambda: secrets.randbits(50))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Context:
    account: Account
    engine: Engine
    jobs: Jobs
    session: Session
    sql: str
    bindings: list[Any]

    @property
    def home(self) -> Name:
        """The current database and schema, as far as they are set."""
        connection = self.session.connection
        if not connection.database_set or not connection.database:
            return ()
        return (connection.database, connection.schema) if connection.schema_set else (connection.database,)

    def text(self, argument: str, binding: int = 0) -> str:
        """A `?`, an IDENTIFIER(…), a string literal or plain text, as its value."""
        argument = argument.strip()
        if match := _IDENTIFIER.fullmatch(argument):
            argument = match[1]
        return str(self.bindings[binding]) if argument == "?" else identifiers.literal(argument)

    def name(self, argument: str, binding: int = 0) -> Name:
        parts = identifiers.split(self.text(argument, binding))
        if len(parts) >= 3:
            return parts[-3:]
        home = self.home
        if len(home) < 3 - len(parts):
            what = "database" if not home else "schema"
            errno = 90105 if not home else 90106
            message = f"Cannot perform operation. This session does not have a current {what}."
            raise SqlError(errno, f"{message} Call 'USE {what.upper()}', or use a qualified name.", "22000")
        return (*home, *parts)[-3:] if len(parts) == 1 else (home[0], *parts)

    def unknown(self) -> SqlError:
        message = f"snowglobe does not know this statement: {masked(self.sql)} (tooling/snowglobe/statements.py)"
        return SqlError(1003, message, "0A000")
