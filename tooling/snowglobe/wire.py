"""What goes over the wire: rows, errors, file transfers, and how a request's body is read."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
Column = str | tuple[str, str]  # a name, or (name, Snowflake type)
Cell = str | int | float | bool | dt.datetime | None


class SqlError(Exception):
    def __init__(self, errno: int, message: str, sqlstate: str = "02000") -> None:
        super().__init__(message)
        self.errno, self.message, self.sqlstate = errno, message, sqlstate


def missing(kind: str, name: str) -> SqlError:
    return SqlError(2003, f"SQL compilation error:\n{kind} '{name}' does not exist or not authorized.")


def exists(name: str) -> SqlError:
    return SqlError(2002, f"SQL compilation error:\nObject '{name}' already exists.", "42710")


def invalid(message: str) -> SqlError:
    return SqlError(1003, f"SQL compilation error:\n{message}", "42000")


@dataclass(frozen=True)
class Rows:
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    statement_type: int = 4096
    query_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True)
class Transfer:
    """The answer to PUT and GET: where the client's own file transfer agent finds the files."""

    data: Json


Reply = Rows | Transfer


def status(message: str = "Statement executed successfully.") -> Rows:
    return Rows(["status"], [[message]])


def single(column: str, value: Cell) -> Rows:
    return Rows([column], [[value]])


def moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def read_body(raw: bytes, encoding: str | None) -> Json:
    loaded = json.loads(gzip.decompress(raw) if encoding == "gzip" else raw or b"{}")
    return loaded if isinstance(loaded, dict) else {}


def succeed(data: Json | None = None) -> Json:
    return {"data": data, "code": None, "message": None, "success": True}


def fail(error: SqlError) -> Json:
    code = f"{error.errno:06d}"
    data = {"errorCode": code, "sqlState": error.sqlstate, "queryId": str(uuid.uuid4())}
    return {"data": data, "code": code, "message": error.message, "success": False}


def rowset(result: Rows, database: str | None, schema: str | None) -> Json:
    return succeed(
        {
            "parameters": [{"name": "TIMEZONE", "value": "Etc/UTC"}],
            "rowtype": [_column(c) for c in result.columns],
            "rowset": [[_cell(v) for v in row] for row in result.rows],
            "total": len(result.rows),
            "returned": len(result.rows),
            "queryId": result.query_id,
            "statementTypeId": result.statement_type,
            "queryResultFormat": "json",
            "finalDatabaseName": database,
            "finalSchemaName": schema,
        }
    )


def named(columns: Iterable[Column]) -> list[tuple[str, str]]:
    return [c if isinstance(c, tuple) else (c, "text") for c in columns]


def _column(column: Column) -> Json:
    name, kind = column if isinstance(column, tuple) else (column, "text")
    scale = 0 if kind == "fixed" else 9 if kind.startswith("timestamp") else None
    length = 16777216 if kind == "text" else None
    return {
        "name": name, "database": "", "schema": "", "table": "", "nullable": True, "type": kind, "collation": None,
        "byteLength": length, "length": length, "scale": scale, "precision": 38 if kind == "fixed" else None,
    }  # fmt: skip


def _cell(value: Cell) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return f"{value.timestamp():.9f}"
    return None if value is None else str(value)
