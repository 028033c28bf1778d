"""fakesnow (DuckDB) behind our own endpoint: one per process, because its state is module-global."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import fakesnow.server as fakesnow_server
import fakesnow.transforms.stage as fakesnow_stage
from fakesnow.fakes import FakeSnowflakeConnection
from fakesnow.instance import FakeSnow
from starlette.requests import Request

from snowglobe.context import Session
from snowglobe.identifiers import Name
from snowglobe.wire import Json, SqlError

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
        for file in sorted(self._databases.glob("*.db")):
            self.create(file.stem)

    def create(self, database: str, schema: str = "PUBLIC") -> None:
        """Attaches the database's file, or begins one."""
        FakeSnowflakeConnection(self.cursor(), {}, database, schema, db_path=self._databases).close()

    def has(self, database: str, schema: str) -> bool:
        query = "SELECT 1 FROM information_schema.schemata WHERE catalog_name = ? AND schema_name = ?"
        return self.cursor().execute(query, [database, schema]).fetchone() is not None

    def schemas(self) -> list[tuple[str, str]]:
        query = (
            "SELECT catalog_name, schema_name FROM information_schema.schemata WHERE catalog_name NOT IN "
            "('memory', 'system', 'temp', '_fs_global') AND schema_name NOT IN ('main', 'pg_catalog')"
        )
        return [(database, schema) for database, schema in self.cursor().execute(query).fetchall()]

    def cursor(self) -> Any:
        return self._fake.duck_conn.cursor()

    def function(self, name: str, python: Any, arguments: int) -> None:
        kinds = ["VARCHAR"] * arguments
        self._fake.duck_conn.create_function(name, python, kinds, "VARCHAR", null_handling="special", side_effects=True)

    def register_stage(self, name: Name) -> None:
        """fakesnow's COPY INTO looks a stage up in its own table."""
        columns = "name, database_name, schema_name, url, has_credentials, has_encryption_key, owner, comment, type"
        self.cursor().execute(
            f"INSERT OR REPLACE INTO _fs_global._fs_information_schema._fs_stages ({columns}) "
            "VALUES (?, ?, ?, '', 'N', 'N', '', '', 'INTERNAL')",
            [name[2], name[0], name[1]],
        )

    def fill(self, table: str, columns: str, rows: list[tuple[Any, ...]]) -> None:
        cursor = self.cursor()
        cursor.execute("BEGIN")
        cursor.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")
        if rows:
            cursor.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        cursor.execute("COMMIT")

    def connect(self, token: str, database: str | None, schema: str | None) -> Any:
        connection = self._fake.connect(database, schema)
        if not connection.database_set:
            connection.database = connection._schema = None
        elif not connection.schema_set:
            connection._schema = None
        fakesnow_server.sessions[token] = connection
        return connection

    def disconnect(self, token: str) -> None:
        connection = fakesnow_server.sessions.pop(token, None)
        if connection is not None:
            connection.close()

    async def run(self, session: Session, request: Request, body: Json) -> Json:
        """fakesnow's own answer. Its 5xx would make clients retry for minutes, so they become SQL errors."""
        async with AsyncExitStack() as locks:
            await locks.enter_async_context(session.lock)
            if not body.get("describeOnly") and not _READS.match(body["sqlText"]):
                await locks.enter_async_context(self._writing)
            response = await fakesnow_server.query_request(_Decoded(request, body))  # type: ignore[arg-type]
        answer: Json = json.loads(bytes(response.body))
        if response.status_code >= 500:
            raise SqlError(1003, f"snowglobe's SQL engine cannot run this: {answer.get('message')}", "0A000")
        return _as_snowflake(answer)

    def writing(self) -> asyncio.Lock:
        return self._writing


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
    if not answer.get("success") and "already exists" in (answer.get("message") or ""):
        answer["code"] = "002002"
        answer["data"] = {**(answer.get("data") or {}), "errorCode": "002002", "sqlState": "42710"}
    return answer
