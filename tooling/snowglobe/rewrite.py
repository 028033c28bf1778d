"""Small rewrites of SQL that goes on to fakesnow, each for one thing that it reads differently from Snowflake."""

from __future__ import annotations

import datetime as dt
import re
from collections import OrderedDict
from collections.abc import Callable

import sqlglot
from sqlglot import exp

from snowglobe import catalog, clock, cortex, experiments, services
from snowglobe.context import Context
from snowglobe.wire import Cell, Json, Rows, named

_OPAQUE = r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"]|\"\")*\"|\$\$.*?\$\$"
_HISTORY = re.compile(
    r"TABLE\s*\(\s*SNOWFLAKE\.SPCS\.GET_JOB_HISTORY\s*\(([^()]*(?:\([^()]*(?:\([^()]*\))?[^()]*\)[^()]*)*)\)\s*\)",
    re.IGNORECASE,
)
_LIMIT = re.compile(r"RESULT_LIMIT\s*=>\s*(\d+)", re.IGNORECASE)
_RUN_METRICS = re.compile(
    r"""TABLE\s*\(\s*"?SYSTEM\$GET_EXPERIMENT_RUN_METRICS"?\s*\(\s*'([^']*)'(?:\s*::\s*STRING)?\s*,"""
    r"""\s*'([^']*)'(?:\s*::\s*STRING)?\s*\)\s*\)""", re.IGNORECASE,
)  # fmt: skip
_RESULT_SCAN = re.compile(r"TABLE\s*\(\s*RESULT_SCAN\s*\(\s*'([^']*)'\s*\)\s*\)", re.IGNORECASE)
_IDENTIFIER = re.compile(r"IDENTIFIER\s*\(\s*\?\s*\)", re.IGNORECASE)
_CURRENT = re.compile(rf"\bCURRENT_({catalog.CURRENT})\s*\(\s*\)", re.IGNORECASE)
_CLOCK = re.compile(
    r"(?<![.\w$])(?:(CURRENT_TIMESTAMP|LOCALTIMESTAMP|CURRENT_DATE|CURRENT_TIME|LOCALTIME)\b(?:\s*\(\s*\d?\s*\))?"
    r"|(SYSDATE|GETDATE|SYSTIMESTAMP)\s*\(\s*\))", re.IGNORECASE,
)  # fmt: skip
_MOMENTS = {
    "CURRENT_DATE": "DATE", "CURRENT_TIME": "TIMESTAMP_NTZ::TIME", "LOCALTIME": "TIMESTAMP_NTZ::TIME",
    "SYSDATE": "TIMESTAMP_NTZ",
}  # fmt: skip
_MOMENT = re.compile(rf"CAST\({clock.FUNCTION}\(\) AS (\w+)\)")
_MOMENT_NAMES = {"DATE": "CURRENT_DATE()", "TIMESTAMPNTZ": "SYSDATE()"}
_UNKNOWN = re.compile(
    r"\bSYSTEM\$\w+|!\s*SPCS_\w+|\b(?:JOB\s+SERVICE|COMPUTE\s+POOL|CODE\s+BUNDLE|IMAGE\s+REPOSITORY)\b(?!\s*[,.=)])"
    r"|\bAI_\w+\s*\(|\bSNOWFLAKE\s*\.\s*(?:CORTEX|SPCS|ML)\b|\bCORTEX\s*\.|\bEXECUTE\s+(?:JOB|CODE)\b", re.IGNORECASE,
)  # fmt: skip
# Names in Snowflake, syntax to sqlglot or DuckDB unless an argument follows (time travel, sampling).
_SOFT = re.compile(r"\b(?:AT|SAMPLE)\b(?!\s*(?:\(|BERNOULLI\b|SYSTEM\b|ROW\b|BLOCK\b))", re.IGNORECASE)
# What fakesnow may be asked beside queries and DML; anything else of this kind would be lost in it.
_DDL = re.compile(
    r"(?:CREATE|ALTER|DROP|DESC|DESCRIBE|SHOW|UNDROP|EXECUTE|CALL|GRANT|REVOKE)\b"
    r"(?!\s+(?:OR\s+(?:REPLACE|ALTER)\s+)?(?:(?:LOCAL|GLOBAL|SCOPED|TEMP|TEMPORARY|VOLATILE|TRANSIENT|SECURE|RECURSIVE|TERSE"
    r"|MATERIALIZED|PRIMARY|UNIQUE|IMPORTED|USER)\s+)*(?:TABLES?|VIEWS?|SCHEMAS?|SEQUENCES?|FILE\s+FORMATS?|TAG|COLUMNS|KEYS"
    r"|FUNCTIONS|PROCEDURES|PARAMETERS|USERS?|SESSION|DATABASE)\b)", re.IGNORECASE,
)  # fmt: skip
_TEXT_RULES: tuple[tuple[str, str], ...] = (
    # DuckDB's temporary tables have no schema.
    (r'(?:"?\w+"?\.){1,2}("?SNOWPARK_TEMP_TABLE_\w+"?)', r"\1"),
    (r"\bSCOPED\s+TEMP", "TEMP"),
    # Snowpark writes CREATE TABLE T IF NOT EXISTS (…).
    (r"^(\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:\w+\s+)*?TABLE)\s+(\S+)\s+IF\s+NOT\s+EXISTS", r"\1 IF NOT EXISTS \2"),
)
_HISTORY_COLUMNS = (
    "NAME VARCHAR, STATUS VARCHAR, MESSAGE VARCHAR, DATABASE_NAME VARCHAR, SCHEMA_NAME VARCHAR, OWNER VARCHAR, "
    "COMPUTE_POOL_NAME VARCHAR, PARAMETERS JSON, CREATED_TIME TIMESTAMPTZ, COMPLETED_TIME TIMESTAMPTZ, "
    "DELETED_TIME TIMESTAMPTZ"
)
HISTORY_TABLE = "_fs_global.main.snowglobe_jobs"
DEFAULT_HISTORY = 100
_CALLS = (exp.AggFunc, exp.Anonymous)
_MOST_RESULTS = 200
_results: OrderedDict[str, Rows] = OrderedDict()


def remember(result: Rows) -> None:
    """Our own replies, for RESULT_SCAN."""
    _results[result.query_id] = result
    while len(_results) > _MOST_RESULTS:
        _results.popitem(last=False)


def remembers(query_id: str) -> bool:
    return query_id in _results


def rewrite(context: Context, body: Json) -> Json:
    sql, used = _inline_identifiers(context)
    sql = _history(context, sql)
    sql = _RUN_METRICS.sub(lambda m: experiments.history_sql(context, m[1], m[2]), sql)
    sql = _RESULT_SCAN.sub(_result_scan, sql)
    if re.search(r"\bAI_COMPLETE\s*\(", sql, re.IGNORECASE):
        sql = cortex.rewrite(sql)
    bare = _outside(sql, lambda part: part, opaque="''")
    if _UNKNOWN.search(bare) or _DDL.match(bare):
        raise context.unknown()
    sql = _outside(sql, lambda part: _CURRENT.sub(lambda m: catalog.value(context, m[1]), part))
    sql = _outside(sql, lambda part: _CLOCK.sub(_moment, part))
    sql = _outside(sql, lambda part: _SOFT.sub(lambda m: f'"{m[0].upper()}"', part))
    for pattern, replacement in _TEXT_RULES:
        sql = re.sub(pattern, replacement, sql, flags=re.IGNORECASE)
    if re.search(r"\$\d", sql) and re.search(r"\bVALUES\b", sql, re.IGNORECASE):
        sql = _dollar_columns(sql)
    if re.match(r"SELECT\b", sql, re.IGNORECASE):
        sql = _name_columns(sql)
    return body | {"sqlText": sql} | ({"bindings": _shifted(body, used)} if used else {})


def _outside(sql: str, change: Callable[[str], str], opaque: str | None = None) -> str:
    """Changes what is neither a string nor a quoted name."""
    parts = re.split(f"({_OPAQUE})", sql, flags=re.DOTALL)
    return "".join(
        change(part) if index % 2 == 0 else part if opaque is None else opaque for index, part in enumerate(parts)
    )


def _inline_identifiers(context: Context) -> tuple[str, int]:
    """IDENTIFIER(?) at the front of a statement becomes the name itself, as DDL needs."""
    sql, used = context.sql, 0
    for binding in context.bindings:
        match = _IDENTIFIER.search(sql)
        if match is None or "?" in sql[: match.start()]:
            break
        sql = sql[: match.start()] + str(binding) + sql[match.end() :]
        used += 1
    return sql, used


def _shifted(body: Json, used: int) -> Json:
    bindings: Json = body["bindings"]
    return {str(number - used): bindings[str(number)] for number in range(used + 1, len(bindings) + 1)}


def _moment(match: re.Match[str]) -> str:
    """The account's clock, which is not the machine's: tests move it."""
    return f"{clock.FUNCTION}()::{_MOMENTS.get((match[1] or match[2]).upper(), 'TIMESTAMP_LTZ')}"


def _history(context: Context, sql: str) -> str:
    match = _HISTORY.search(sql)
    if not match:
        return sql
    most = int(m[1]) if (m := _LIMIT.search(match[1])) else DEFAULT_HISTORY
    context.engine.fill(HISTORY_TABLE, _HISTORY_COLUMNS, services.history(context.jobs.listed(), most))
    return sql[: match.start()] + HISTORY_TABLE + sql[match.end() :]


def _result_scan(match: re.Match[str]) -> str:
    result = _results.get(match[1])
    return match[0] if result is None else _as_query(result)


def _as_query(result: Rows) -> str:
    columns = named(result.columns)
    names = ", ".join('"' + name.replace('"', '""') + '"' for name, _ in columns)
    rows = [", ".join(_constant(v, kind) for v, (_, kind) in zip(row, columns, strict=True)) for row in result.rows]
    values = ", ".join(f"({row})" for row in rows) or "(" + ", ".join("NULL" for _ in columns) + ")"
    return f"(SELECT * FROM (VALUES {values}) AS T({names}){'' if rows else ' WHERE 1 = 0'})"


def _constant(value: Cell, kind: str) -> str:
    if value is None:
        return "NULL"
    if kind == "fixed":
        return str(value)
    if isinstance(value, dt.datetime):
        return f"'{value.isoformat()}'::TIMESTAMP_LTZ"
    text = str(value).replace("\\", "\\\\").replace("'", "''")
    return f"'{text}'"


def _name_columns(sql: str) -> str:
    """An expression without alias is named by its text, as Snowflake does: COUNT(*), MAX(STEP)."""
    try:
        tree = sqlglot.parse_one(sql, read="snowflake")
    except sqlglot.errors.SqlglotError:
        return sql  # fakesnow says what is wrong with it
    if not isinstance(tree, exp.Select) or not any(_unnamed(item) for item in tree.expressions):
        return sql
    for item in tree.expressions:
        if _unnamed(item):
            text = item.sql(dialect="snowflake").replace(cortex.FUNCTION, "AI_COMPLETE")
            plain = re.sub(r'"([A-Z_][A-Z0-9_$]*)"', r"\1", text.upper())
            plain = _MOMENT.sub(lambda m: _MOMENT_NAMES.get(m[1], "CURRENT_TIMESTAMP()"), plain)
            item.replace(exp.alias_(item.copy(), plain, quoted=True))
    return tree.sql(dialect="snowflake")


def _unnamed(item: exp.Expr) -> bool:
    return isinstance(item, _CALLS) or (isinstance(item, exp.Cast) and item.this.name.upper() == clock.FUNCTION)


def _dollar_columns(sql: str) -> str:
    """SELECT $1 AS "A" FROM VALUES (…)."""
    tree = sqlglot.parse_one(sql, read="snowflake")
    for parameter in list(tree.find_all(exp.Parameter)):
        if str(parameter.this).isdigit():
            parameter.replace(exp.column(exp.to_identifier(f"COLUMN{parameter.this}", quoted=True)))
    return tree.sql(dialect="snowflake")
