from __future__ import annotations

from dataclasses import replace

import pytest

from builders import MESSAGES, baseline, variant
from piste.data_access import UNREADABLE, access, most_rows, tables_of
from piste.variants import variants


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("SELECT ID FROM notes WHERE SPLIT = 't' ORDER BY ID LIMIT 5", ("NOTES",)),
        ("WITH x AS (SELECT * FROM a.b.c) SELECT * FROM x JOIN d.e ON 1 = 1", ("A.B.C", "D.E")),
        ("SELECT (SELECT MAX(x) FROM z) FROM y", ("Y", "Z")),
        ('SELECT * FROM "Lower"."t"', ("Lower.t",)),
        ("SELECT * FROM t AT(TIMESTAMP => '2026-01-01'::timestamp)", ("T",)),
        ("SELECT * FROM identifier('a.b.c')", ("A.B.C",)),
        ("SELECT * FROM (\nSELECT * FROM t -- the best\n) LIMIT 3", ("T",)),
        ("SELECT * FROM (WITH t AS (SELECT 1) SELECT 1) AS x, t", ("T",)),
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t", ("T",)),
        ("WITH RECURSIVE t AS (SELECT 1 UNION ALL SELECT * FROM t) SELECT * FROM t", ()),
        ("SELECT * FROM t, LATERAL FLATTEN(input => t.x)", ("T",)),
        ("SELECT 1 FROM TABLE(FLATTEN(input => PARSE_JSON('[1]'))), TABLE(GENERATOR(ROWCOUNT => 3))", ()),
        ("SELECT * FROM TABLE(RESULT_SCAN('x'))", ("TABLE(RESULT_SCAN('x'))",)),
        ("SELECT * FROM TABLE('HR.PUBLIC.SALARIES')", ("TABLE('HR.PUBLIC.SALARIES')",)),
        ("SELECT 1; DELETE FROM y", (UNREADABLE,)),
        ("DROP TABLE x", (UNREADABLE,)),
        ("SELEC * FORM x", (UNREADABLE,)),
    ],
)
def test_the_tables_of_a_query(query: str, tables: tuple[str, ...]) -> None:
    assert tables_of(query) == tables


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("SELECT * FROM x ORDER BY id LIMIT 50", 50),
        ("select * from x limit 50;", 50),
        ("SELECT TOP 5 * FROM x", 5),
        ("SELECT * FROM x LIMIT 10 OFFSET 5", 10),
        ("SELECT * FROM x UNION ALL SELECT * FROM y LIMIT 7", 7),
        ("SELECT * FROM x", None),
        ("SELECT * FROM (SELECT * FROM x LIMIT 5) s JOIN y ON y.id = s.id", None),
        ("WITH a AS (SELECT * FROM x LIMIT 3) SELECT * FROM a -- LIMIT 9", None),
        ("SELECT * FROM x LIMIT NULL", None),
        ("SELECT * FROM x WHERE t = 'LIMIT 5'", None),
        ("SELEC * FORM x LIMIT 5", None),
    ],
)
def test_as_many_rows_as_a_query_s_own_limit_lets_through(query: str, most: int | None) -> None:
    assert most_rows(query) == most


def test_all_that_variants_reach() -> None:
    other = {"type": "snowflake", "table_name": "HR.PUBLIC.SALARIES"}
    hub = {"type": "huggingface", "name_or_path": "org/rows"}
    source = {"type": "snowflake_messages", "sql": "SELECT * FROM X.NOTES", "key": "ID", "messages": MESSAGES}
    found = access([variant(**{"recipe.data.sources": [source, other, hub, "org/more:train"]})], "PISTE", "DEV")
    assert found.tables == ("HR.PUBLIC.SALARIES", "PISTE.DEV.NOTES", "PISTE.X.NOTES")
    assert (found.stages, found.hub) == (("@MODELS/small",), ("org/more:train", "org/rows"))
    assert found.code == ("notes-lora/train.py",)


def test_a_baseline_reaches_what_its_suite_reads() -> None:
    found = access(variants(baseline()), "PISTE", "DEV")
    assert (found.tables, found.hub, found.code) == (("PISTE.DEV.NOTES",), (), ())


def test_what_scores_examples_and_a_hosted_model_reach() -> None:
    made = baseline()
    examples = {"sql": "SELECT * FROM OTHER.PUBLIC.NOTES", "count": 3}
    document = {**made.document, "train": {"hosted": "a-model"}, "evaluate": {"suite": "notes", "examples": examples}}
    scores = [{"name": "similarity", "model": "@HR.PUBLIC.MODELS/embedder"}]
    judge = {"model": "@HR.PUBLIC.MODELS/judge", "rubric": "All of it.", "scale": "pass_fail"}
    suite = replace(made.suite, document={**made.suite.document, "scores": scores, "judge": judge})
    found = access(variants(replace(made, document=document, suite=suite)), "PISTE", "DEV")
    assert found.tables == ("OTHER.PUBLIC.NOTES", "PISTE.DEV.NOTES")
    assert found.stages == ("@HR.PUBLIC.MODELS/embedder", "@HR.PUBLIC.MODELS/judge")
    assert found.hosted == ("a-model",)
