"""fakesnow (DuckDB) behind our own endpoint: one per process, because its state is module-global."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import fakesnow.server as fakesnow_server
import fakesnow.transforms.stage as fakesnow_stage
import pyarrow
from fakesnow.fakes import FakeSnowflakeConnection
from fakesnow.instance import FakeSnow
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from snowglobe import clock
from snowglobe.context import Session
from snowglobe.identifiers import Name
from snowglobe.wire import Json, SqlError

_cause: ContextVar[str | None] = ContextVar("cause", default=None)
_ABSENT = re.compile(r'Catalog Error: ([\w ]+) with name "?([^"!\s]+)"? does not exist')
SUCCESS = b'"success":true}'
_STAGES = re.compile(r"@|\bSTAGES?\b", re.IGNORECASE)
_CONTAINERS = re.compile(r"\b(?:SCHEMA|DATABASE)\b", re.IGNORECASE)
_READS = re.compile(r"\s*\(*\s*(?:SELECT|WITH|SHOW|DESC|DESCRIBE|EXPLAIN)\b", re.IGNORECASE)


class Engine:
    def __init__(self, directory: Path) -> None:
        self._databases = directory / "databases"
        self._databases.mkdir(parents=True, exist_ok=True)
        fakesnow_stage.LOCAL_BUCKET_PATH = str(directory / "stages")
        self._fake = fakesnow_server.shared_fs = FakeSnow(
            create_database_on_connect=False, create_schema_on_connect=False, db_path=self._databases
        )
        self._writing = asyncio.Lock()
        self._known: set[tuple[str, str]] = set()  # schemas that were there when last asked about
        self._unregistered: list[Name] = []
        self._registering = threading.Lock()
        # Known before the files are attached: their views and defaults may ask.
        self._fake.duck_conn.create_function(clock.FUNCTION, clock.now, [], "TIMESTAMPTZ")
        fakesnow_server.logger.addHandler(_Causes())
        for file in sorted(self._databases.glob("*.db")):
            self.create(file.stem)

    def create(self, database: str, schema: str = "PUBLIC") -> None:
        """Attaches the database's file, or begins one."""
        for name in dict.fromkeys(("PUBLIC", schema)):
            FakeSnowflakeConnection(self.cursor(), {}, database, name, db_path=self._databases).close()

    def drop_database(self, session: Session, database: str) -> None:
        session.connection._duck_conn.execute("USE memory.main")
        session.connection._duck_conn.execute(f'DETACH "{database}"')
        for file in self._databases.glob(f"{database}.db*"):
            file.unlink()
        self._forget(session, database)

    def drop_schema(self, session: Session, database: str, schema: str) -> None:
        session.connection._duck_conn.execute(f'DROP SCHEMA "{database}"."{schema}" CASCADE')
        self._forget(session, database, schema)

    def _forget(self, session: Session, database: str, schema: str | None = None) -> None:
        self._known.clear()
        connection = session.connection
        if connection.database == database and schema in (None, connection.schema):
            connection._schema, connection.schema_set = None, False
            if schema is None:
                connection.database, connection.database_set = None, False

    def has(self, database: str, schema: str) -> bool:
        if (database, schema) not in self._known:
            query = "SELECT 1 FROM information_schema.schemata WHERE catalog_name = ? AND schema_name = ?"
            if self.cursor().execute(query, [database, schema]).fetchone() is None:
                return False
            self._known.add((database, schema))
        return True

    def schemas(self) -> list[tuple[str, str]]:
        query = (
            "SELECT catalog_name, schema_name FROM information_schema.schemata WHERE catalog_name NOT IN "
            "('memory', 'system', 'temp', '_fs_global') AND schema_name NOT IN ('main', 'pg_catalog')"
        )
        return [(database, schema) for database, schema in self.cursor().execute(query).fetchall()]

    def cursor(self) -> Any:
        return self._fake.duck_conn.cursor()

    def function(self, name: str, python: Callable[..., str | None], arguments: int) -> None:
        kinds: list[Any] = ["VARCHAR"] * arguments
        create: Any = self._fake.duck_conn.create_function
        create(name, python, kinds, "VARCHAR", null_handling="special", side_effects=True)

    def register_stage(self, name: Name) -> None:
        """fakesnow's COPY INTO looks a stage up in its own table, which is filled when a statement names a stage."""
        with self._registering:
            self._unregistered.append(name)

    def _register_stages(self) -> None:
        columns = "name, database_name, schema_name, url, has_credentials, has_encryption_key, owner, comment, type"
        with self._registering:
            if self._unregistered:
                self.cursor().executemany(
                    f"INSERT OR REPLACE INTO _fs_global._fs_information_schema._fs_stages ({columns}) "
                    "VALUES (?, ?, ?, '', 'N', 'N', '', '', 'INTERNAL')",
                    [[name[2], name[0], name[1]] for name in self._unregistered],
                )
            self._unregistered.clear()

    def fill(self, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
        cursor = self.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")
        if rows:
            given = [list(column) for column in zip(*rows, strict=True)]
            cursor.register("snowglobe_rows", pyarrow.table(given, names=[f"c{n}" for n in range(len(given))]))
            cursor.execute(f"INSERT INTO {table} SELECT * FROM snowglobe_rows")
        cursor.execute("COMMIT")

    def connect(self, token: str, database: str | None, schema: str | None) -> Any:
        connection = self._fake.connect(database, schema)
        if not connection.database_set:
            connection.database = connection._schema = None
        elif not connection.schema_set:
            connection._schema = None
        fakesnow_server.sessions[token] = connection
        return connection

    def use(self, session: Session, database: str, schema: str | None) -> None:
        connection = session.connection
        connection._duck_conn.execute(f'SET schema = \'"{database}"."{schema or "main"}"\'')
        connection.database, connection._schema = database, schema
        connection.database_set, connection.schema_set = True, schema is not None

    def disconnect(self, token: str) -> None:
        connection = fakesnow_server.sessions.pop(token, None)
        if connection is not None:
            connection.close()

    async def run(self, session: Session, request: Request, body: Json) -> bytes:
        """fakesnow's own answer, as JSON. Its 5xx would make clients retry for minutes, so they become SQL errors."""
        async with AsyncExitStack() as locks:
            await locks.enter_async_context(session.lock)
            if not body.get("describeOnly") and not _READS.match(body["sqlText"]):
                await locks.enter_async_context(self._writing)
            if _STAGES.search(body["sqlText"]):
                await run_in_threadpool(self._register_stages)
            if _CONTAINERS.search(body["sqlText"]):
                self._known.clear()
            response = await fakesnow_server.query_request(_Decoded(request, body))  # type: ignore[arg-type]
        raw = bytes(response.body)
        if response.status_code < 500 and raw.endswith(SUCCESS):
            return raw  # it may be large: not worth reading
        answer: Json = json.loads(raw)
        if response.status_code >= 500:
            raise SqlError(
                1003, f"snowglobe's SQL engine cannot run this: {_cause.get() or answer.get('message')}", "0A000"
            )
        return json.dumps(_as_snowflake(answer)).encode()

    def writing(self) -> asyncio.Lock:
        return self._writing


class _Causes(logging.Handler):
    """fakesnow logs the exception that it answers with a bare 500."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            _cause.set(f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}")


class _Decoded:
    """A request whose body was decoded, and perhaps rewritten, already."""

    def __init__(self, request: Request, body: Json) -> None:
        self._request, self._body = request, json.dumps(body).encode()
        self.headers = {"Authorization": request.headers.get("Authorization", "")}

    async def body(self) -> bytes:
        return self._body

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._request, attribute)


def _as_snowflake(answer: Json) -> Json:
    """fakesnow's errors carry DuckDB's words; codes and the two messages that people meet most are Snowflake's."""
    if answer.get("success"):
        return answer
    message, code, state = (
        str(answer.get("message")),
        str(answer.get("code")),
        (answer.get("data") or {}).get("sqlState"),
    )
    if "already exists" in message:
        code, state = "002002", "42710"
    elif absent := _ABSENT.search(message):
        kind = "Unknown function" if "unction" in absent[1] else "Object"
        what = f"'{absent[2]}' does not exist or not authorized." if kind == "Object" else absent[2].upper()
        message = f"SQL compilation error:\n{kind} {what}"
    data = {"errorCode": code, "sqlState": state, "queryId": str(uuid.uuid4())}
    return {"data": data, "code": code, "message": message, "success": False}
