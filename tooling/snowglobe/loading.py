"""What write_pandas asks: the schema of staged Parquet files, and loading them into a table."""

from __future__ import annotations

import re
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
from fakesnow.converter import from_binding

from snowglobe import files, identifiers
from snowglobe.context import Context
from snowglobe.wire import Column, Json, Rows, invalid

_TYPES = (
    (r"u?int\d+", "NUMBER(38, 0)"), (r"double|float|halffloat", "REAL"), (r"bool", "BOOLEAN"),
    (r"timestamp\[.*tz=.*", "TIMESTAMP_LTZ"), (r"timestamp.*", "TIMESTAMP_NTZ"), (r"date.*", "DATE"),
    (r"time\d.*", "TIME"), (r"(large_)?binary", "BINARY"), (r"decimal128\((\d+), (\d+)\)", "NUMBER"),
    (r"(large_)?list.*", "ARRAY"), (r"struct.*|map.*", "OBJECT"),
)  # fmt: skip
_COLUMN = re.compile(r'\$1:("(?:[^"]|"")*"|\w+)(?:::\w+(?:\([^)]*\))?)?')
_BATCH = re.compile(
    r'INSERT\s+INTO\s+(?P<table>(?:"(?:[^"]|"")*"|[\w$.])+)\s*(?P<columns>\([^)]*\))?\s*VALUES\s*\((?:\s*\?\s*,?)+\)',
    re.IGNORECASE,
)
_INSERT = 0x3100  # the connector's statement type of INSERT
COLUMNS: list[Column] = [
    "file", "status", ("rows_parsed", "fixed"), ("rows_loaded", "fixed"), ("error_limit", "fixed"),
    ("errors_seen", "fixed"), "first_error", ("first_error_line", "fixed"), ("first_error_character", "fixed"),
    "first_error_column_name",
]  # fmt: skip


def infer(context: Context, match: re.Match[str]) -> Rows:
    found = files.matching(context, context.text(match["place"]))
    schema = parquet.read_schema(found[0]) if found else []
    return Rows(["COLUMN_NAME", "TYPE"], [[field.name, _type(str(field.type))] for field in schema])


async def load(context: Context, match: re.Match[str]) -> Rows:
    found = files.matching(context, match["place"])
    sources = [m[1] for part in re.split(r",(?=\s*\$1:)", match["select"]) if (m := _COLUMN.match(part.strip()))]
    if not found:
        raise invalid("COPY INTO found no file.")
    async with context.session.lock, context.engine.writing():
        rows = _insert(context, match["table"], match["columns"], sources, [str(path) for path in found])
    return Rows(COLUMNS, [[path.name, "LOADED", rows, rows, 1, 0, None, None, None, None] for path in found[:1]])


def batch(sql: str, body: Json) -> re.Match[str] | None:
    """INSERT … VALUES (?, …) with a list bound to each placeholder: fakesnow runs it row by row."""
    lists = any(isinstance(binding.get("value"), list) for binding in (body.get("bindings") or {}).values())
    return _BATCH.fullmatch(sql) if lists and not body.get("describeOnly") else None


async def insert(context: Context, match: re.Match[str], body: Json) -> Rows:
    bindings = [body["bindings"][str(number)] for number in range(1, len(body["bindings"]) + 1)]
    columns = [[_bound(binding, value) for value in binding["value"]] for binding in bindings]
    rows = pyarrow.table(columns, names=[f"c{number}" for number in range(len(columns))])
    async with context.session.lock, context.engine.writing():
        duck = context.session.connection._duck_conn
        target = _target(duck, context.name(match["table"]))
        duck.register("snowglobe_batch", rows)
        duck.execute(f"INSERT INTO {target} {match['columns'] or ''} SELECT * FROM snowglobe_batch").fetchall()
        duck.unregister("snowglobe_batch")
    return Rows([("number of rows inserted", "fixed")], [[rows.num_rows]], statement_type=_INSERT)


def _bound(binding: Json, value: str | None) -> object:
    if value is None:
        return None
    return float(value) if binding["type"] == "REAL" else from_binding({"type": binding["type"], "value": value})


def _target(duck: Any, name: identifiers.Name) -> str:
    query = "SELECT 1 FROM duckdb_tables() WHERE temporary AND table_name = ?"
    temporary = duck.execute(query, [name[-1]]).fetchall()
    return identifiers.always_quoted(name[-1:] if temporary else name)


def _insert(context: Context, table: str, columns: str, sources: list[str], paths: list[str]) -> int:
    duck = context.session.connection._duck_conn
    target = _target(duck, context.name(table))
    kinds = duck.execute(f"SELECT {columns} FROM {target} LIMIT 0").description
    chosen = ", ".join(_as(source, str(kind[1])) for source, kind in zip(sources, kinds, strict=True))
    inserted = duck.execute(f"INSERT INTO {target} ({columns}) SELECT {chosen} FROM read_parquet(?)", [paths])
    return int(inserted.fetchall()[0][0])


def _as(source: str, kind: str) -> str:
    return f"{source}::JSON" if kind.upper() == "JSON" else source


def _type(arrow: str) -> str:
    return next((name for pattern, name in _TYPES if re.fullmatch(pattern, arrow)), "TEXT")
