"""What an experiment reaches besides its own folder: tables that its queries read, stages, and code that it brings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from piste import scores
from piste.experiment import Variant

UNREADABLE = "a query that can't be read"
"""In place of tables, where a query is no SQL that we understand."""


@dataclass(frozen=True)
class Access:
    """`tables` are qualified as far as the queries and the environment say; `hub` are names outside Snowflake, `hosted`
    the models that are sent prompts through Cortex."""

    tables: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    hub: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    hosted: tuple[str, ...] = ()


def access(variants: Iterable[Variant], database: str, schema: str) -> Access:
    """Of all of them together, sorted. Names without a database and a schema are those of the environment."""
    tables, stages, hub, code, hosted = set[str](), set[str](), set[str](), set[str](), set[str]()
    for variant in variants:
        spec = variant.spec
        queries, named, elsewhere = _sources(spec["recipe"] or {}, spec["suite"])
        queries |= _of_examples(spec["experiment"])
        tables |= {_qualified(name, database, schema) for query in queries for name in tables_of(query)}
        tables |= {_qualified(name.upper(), database, schema) for name in named}
        stages |= set(spec["experiment"]["train"].get("inputs", {}).values()) | scores.models(spec["suite"])
        hub |= elsewhere
        hosted |= {str(name) for name in [spec["experiment"]["train"].get("hosted")] if name}
        code |= {f"{variant.experiment}/{path}" for path in spec["files"]}
    return Access(*(tuple(sorted(found)) for found in (tables, stages, hub, code, hosted)))


def _sources(recipe: Mapping[str, Any], suite: Mapping[str, Any]) -> tuple[set[str], set[str], set[str]]:
    """Queries, tables and data sets by name that the recipe's sources and the suite's data speak of."""
    queries, named, elsewhere = {str(suite["data"]["sql"])}, set[str](), set[str]()
    if gold := (suite.get("judge") or {}).get("gold"):
        queries.add(str(gold["sql"]))
    for source in _of_data(recipe.get("data") or {}):
        if isinstance(source, str):
            elsewhere.add(source)
        elif "sql" in source:
            queries.add(str(source["sql"]))
        elif "table_name" in source:
            named.add(str(source["table_name"]))
        else:
            elsewhere.add(str(source.get("dataset_uri") or source.get("name_or_path") or source.get("type")))
    return queries, named, elsewhere


def _of_examples(experiment: Mapping[str, Any]) -> set[str]:
    examples = experiment.get("evaluate", {}).get("examples")
    return {str(examples["sql"])} if examples else set()


def _of_data(data: Mapping[str, Any]) -> Iterator[Any]:
    for key in ("sources", "eval_sources"):
        found = data.get(key) or ()
        yield from found if isinstance(found, list | tuple) else (found,)


@lru_cache(maxsize=4096)
def tables_of(query: str) -> tuple[str, ...]:
    """The tables and views that a query reads, in upper case unless quoted; UNREADABLE where it is no query."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = [one for one in sqlglot.parse(query, read="snowflake") if one is not None]
    except SqlglotError:
        return (UNREADABLE,)
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        return (UNREADABLE,)
    return tuple(sorted({*_by_name(statements[0]), *_by_function(statements[0])}))


@lru_cache(maxsize=4096)
def most_rows(query: str) -> int | None:
    """As many rows as a query's own LIMIT lets through; None without one, and where a number is not all it says."""
    if not re.search(r"\b(limit|top)\b", query, re.IGNORECASE):  # to read SQL takes time
        return None
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        limit = sqlglot.parse_one(query, read="snowflake").args.get("limit")
    except SqlglotError:
        return None
    count = limit.expression if isinstance(limit, exp.Limit) else None
    return int(count.this) if isinstance(count, exp.Literal) and count.is_int else None


def _by_name(query: Any) -> Iterator[str]:
    """A name that a WITH gives to something is another thing's outside of it."""
    from sqlglot import exp
    from sqlglot.optimizer.scope import traverse_scope

    within = {cte.alias_or_name.upper() for cte in query.find_all(exp.CTE)}
    found = [_name(table) for table in query.find_all(exp.Table)]
    yield from (name for name in found if name not in within)
    sources = (source for scope in traverse_scope(query) for source in scope.sources.values())
    yield from (_name(source) for source in sources if isinstance(source, exp.Table))


def _by_function(query: Any) -> Iterator[str]:
    """`TABLE(…)` may read anything, but for the functions that only make or unfold rows."""
    from sqlglot import exp

    for rows in query.find_all(exp.TableFromRows):
        if not isinstance(rows.this, exp.Explode | exp.Generator):
            yield f"TABLE({rows.this.sql(dialect='snowflake')})"


def _name(table: Any) -> str:
    parts = (part for part in table.parts)
    return ".".join(_spelled(part) for part in parts)


def _spelled(part: Any) -> str:
    name = str(getattr(part, "name", part))
    return name if part.args.get("quoted") else name.upper()


def _qualified(name: str, database: str, schema: str) -> str:
    if not name or "(" in name or name == UNREADABLE or not (database and schema):
        return name
    missing = {0: f"{database}.{schema}.", 1: f"{database}."}.get(name.count("."), "")
    return f"{missing}{name}"
