"""The views for notebooks on snowglobe: each column and question of docs/notebooks.md, and ledgers that are older."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from snowflake.snowpark import Session

import snowglobe
from piste.environment import Environment
from piste.journeys.ledger import prepare
from piste.snowflake import Account
from piste.tables import TABLES, VIEWS, VIEWS_VERSION

DOCS = (Path(__file__).parents[1] / "docs" / "notebooks.md").read_text()
LORA, BASE, LIVE, FAILED, HOST = (f"RUN_{letter * 12}_1" for letter in "ABCDE")


@contextlib.contextmanager
def empty(directory: Path) -> Iterator[Account]:
    with snowglobe.serve(directory, pools={"PISTE_CPU": 1}, schemas=["PISTE.DEV"]) as globe:
        configured = {**globe.connection, "database": "PISTE", "schema": "DEV"}
        environment = Environment("dev", database="PISTE", schema="DEV")
        made = Account(lambda: Session.builder.configs(configured).create(), environment)
        try:
            yield made
        finally:
            made.leave()  # an open session waits for its server


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with empty(tmp_path_factory.mktemp("globe")) as made:
        made.prepare()
        for run, events in LEDGER.items():
            for kind, body in events.items():
                made.record(run, kind, body)
        for table, row in ROWS:
            do(made, f"INSERT INTO {table} SELECT {', '.join(map(repr, row))}")
        yield made


def do(account: Account, sql: str) -> None:
    answer = account.attempt(sql)
    assert answer.error is None, answer.message


def rows(account: Account, sql: str) -> list[dict[str, Any]]:
    answer = account.attempt(sql)
    assert answer.error is None, answer.message
    return list(answer.rows)


def claimed(experiment: str, paid: Mapping[str, str] = MappingProxyType({}), **provenance: Any) -> dict[str, Any]:
    return {
        "experiment": experiment,
        "variant": "",
        "digests": {part: part[0] * 64 for part in ("training", "generation", "scoring", "suite")},
        "steps": ["train", "generate", "score"],
        "spec": {"experiment": {"evaluate": {"suite": "soap-notes"}, **paid}, "split": "test"},
        "provenance": {**WHERE, **provenance},
        "attempt": 1,
    }


def ended(scores: Mapping[str, Any], training: str | None = "done", evaluation: str = "done") -> dict[str, Any]:
    """With times of its own, as a run has that was imported."""
    found = {"evaluation": {"status": evaluation, "scores": scores}}
    times = {"started_at": "2026-11-20T10:01:00.000+00:00", "ended_at": "2026-11-20T10:31:00.000+00:00"}
    return {"training": training, "evaluation": evaluation, "results": found, "failure": None, **times}


WHERE = {"actor": "@ana", "environment": "dev", "pool": "PISTE_CPU", "family": "CPU_X64_S", "nodes": 2}
PAID = {"owner": "@ana", "cost_center": "4711"}
FIELDS = {"mean": 0.9, "n": 50, "per_field": {"S.complaint": 0.8, "A": 1}}
COMPARED = {
    "n": 48, "mean_a": 0.9, "mean_b": 0.2, "difference": 0.7, "low": 0.6, "high": 0.8, "p_value": 0.001,
    "test": "paired",
}  # fmt: skip
HOSTED = {"status": "done", "scores": {}, "read_tokens": 2_000_000, "tokens": 1_000_000}
JUDGED = {"mean": 0.75, "n": 50, "low": 0.6, "high": 0.9, "method": "Wilson"}
LEDGER: dict[str, dict[str, Any]] = {
    LORA: {
        "claimed": claimed("soap-lora", PAID, rate=0.11, commit="3f2c", branch="main"),
        "submitted": {"job": f"{LORA}_X"},
        "started": {"job": f"{LORA}_X"},
        "finished": {"training": {"status": "done"}, "evaluation": {"status": "done"}},
        "ended": ended({"json_fields": FIELDS, "rouge_l": {"mean": 0.95, "n": 50}, "regex": {"mean": None, "n": 0}}),
        "measured": {"version": 1, "scores": {"json_fields": {"low": 0.8, "high": 0.97, "method": "bootstrap"}}},
        "compared": {"other": BASE, "version": 1, "scores": {"json_fields": COMPARED}},
        "judged": {"other": "j" * 64, "version": 2, "scores": {"judge": JUDGED}, "judge": {"credits": 0.25}},
    },
    BASE: {
        "claimed": claimed("soap-base"),
        "ended": ended({"json_fields": {**FIELDS, "mean": 0.2}}, training=None),
    },
    LIVE: {"claimed": claimed("soap-live", tried=True), "started": {"job": f"{LIVE}_X"}},
    FAILED: {
        "claimed": claimed("soap-failed", PAID, rate=0.11),
        "ended": {**ended({}, "failed", "failed"), "results": None, "failure": {"phase": "train", "kind": "killed"}},
    },
    HOST: {
        "claimed": claimed("soap-hosted", {"owner": "@ben"}, rate=0.11, token_rates=[0.36, 0.36]),
        "ended": {**ended({}, None), "results": {"evaluation": HOSTED}},
    },
    "LEDGER": {"version": {"version": 1}},
}  # fmt: skip
ROWS = (
    ("PREDICTIONS", (LORA, "1", "{}", 3, 0.1)),
    ("SAMPLE_SCORES", (LORA, "1", "json_fields", "", 0.0)),
    ("SAMPLE_SCORES", (LORA, "1", "json_fields", "A", 0.0)),
)


def test_a_judge_s_score_is_one_among_the_others(account: Account) -> None:
    (row,) = rows(
        account, f"SELECT MEAN, N, LOW, HIGH, METHOD, OTHER FROM SCORES WHERE RUN = '{LORA}' AND SCORE = 'judge'"
    )
    assert row == {"MEAN": 0.75, "N": 50, "LOW": 0.6, "HIGH": 0.9, "METHOD": "Wilson", "OTHER": None}


def test_a_comparison_for_a_judge_names_the_run_alone(account: Account) -> None:
    account.record(BASE, "compared", {"other": f"{LORA} {'j' * 64}", "run": LORA, "scores": {"json_fields": COMPARED}})
    found = rows(account, f"SELECT OTHER FROM SCORES WHERE RUN = '{BASE}' AND SCORE = 'json_fields' AND FIELD = ''")
    assert [row["OTHER"] for row in found] == [LORA]


@pytest.mark.parametrize("name", ["RUNS", "SCORES", "SPEND", "PREDICTIONS", "SAMPLE_SCORES"])
def test_every_column_is_documented_and_no_other(account: Account, name: str) -> None:
    (section,) = re.findall(rf"^## [^\n]*\b{name}\b[^\n]*\n(.*?)(?=^## )", DOCS, re.DOTALL | re.MULTILINE)
    told = {word for cells in re.findall(r"^\| ([A-Z_, ]+) \|", section, re.MULTILINE) for word in cells.split(", ")}
    columns = {row["name"] for row in rows(account, f"DESCRIBE TABLE {name}")}
    if name in VIEWS:
        assert columns == told
    else:
        assert columns <= told


def test_a_run_is_one_row(account: Account) -> None:
    found = {row["RUN"]: row for row in rows(account, "SELECT *, ENDED_AT IS NULL AS LIVES FROM RUNS")}
    assert set(found) == {LORA, BASE, LIVE, FAILED, HOST}
    lora = found[LORA]
    assert (lora["EXPERIMENT"], lora["VARIANT"], lora["SUITE"], lora["SPLIT"], lora["SUITE_DIGEST"]) == (
        "soap-lora",
        "",
        "soap-notes",
        "test",
        "s" * 64,
    )
    assert (lora["STATUS"], lora["TRAINING_STATUS"], lora["EVALUATION_STATUS"]) == ("done", "done", "done")
    assert (lora["SECONDS"], round(lora["CREDITS"], 6), lora["TRIED"]) == (1800, 0.11, False)
    assert lora["STARTED_AT"] == datetime(2026, 11, 20, 10, 1, tzinfo=UTC)
    assert (found[BASE]["STATUS"], found[BASE]["TRAINING_STATUS"], found[BASE]["CREDITS"]) == ("done", None, None)
    assert (found[LIVE]["STATUS"], found[LIVE]["LIVES"], found[LIVE]["SECONDS"]) == ("running", True, None)
    assert (found[LIVE]["TRIED"], lora["LIVES"]) == (True, False)
    assert (found[FAILED]["STATUS"], found[FAILED]["FAILURE"]) == ("failed", "killed")


def test_spend_is_summed_by_who_pays(account: Account) -> None:
    found = rows(account, "SELECT * FROM SPEND ORDER BY EXPERIMENT")
    assert [(row["EXPERIMENT"], row["OWNER"], row["COST_CENTER"], row["RUNS"], row["UNPRICED"]) for row in found] == [
        ("soap-base", "", "", 1, 1),
        ("soap-failed", "@ana", "4711", 1, 0),
        ("soap-hosted", "@ben", "", 1, 0),
        ("soap-live", "", "", 1, 0),
        ("soap-lora", "@ana", "4711", 1, 0),
    ]
    lora, hosted = found[4], found[2]
    assert (str(lora["MONTH"]), lora["ENVIRONMENT"], lora["NODE_HOURS"]) == ("2026-11-01", "dev", 1)
    credits = [round(lora[f"{part}CREDITS"], 6) for part in ("NODE_", "HOSTED_", "JUDGE_", "")]
    assert credits == [0.11, 0, 0.25, 0.36]
    assert [round(hosted[f"{part}CREDITS"], 6) for part in ("NODE_", "HOSTED_", "")] == [0.11, 1.08, 1.19]
    (total,) = rows(account, "SELECT SUM(CREDITS) AS TOTAL FROM SPEND WHERE COST_CENTER = '4711'")
    assert round(total["TOTAL"], 6) == 0.47


def test_a_score_is_one_row_and_each_field(account: Account) -> None:
    found = rows(account, f"SELECT * FROM SCORES WHERE RUN = '{LORA}' AND SCORE <> 'judge' ORDER BY SCORE, FIELD")
    assert [(row["SCORE"], row["FIELD"], row["MEAN"], row["N"]) for row in found] == [
        ("json_fields", "", 0.9, 50),
        ("json_fields", "A", 1.0, 50),
        ("json_fields", "S.complaint", 0.8, 50),
        ("rouge_l", "", 0.95, 50),
    ]
    whole = found[0]
    assert (whole["LOW"], whole["HIGH"], whole["METHOD"]) == (0.8, 0.97, "bootstrap")
    assert (whole["OTHER"], whole["PAIRS"], whole["OTHER_MEAN"], whole["DIFFERENCE"]) == (BASE, 48, 0.2, 0.7)
    assert (whole["DIFFERENCE_LOW"], whole["DIFFERENCE_HIGH"], whole["P_VALUE"], whole["TEST"]) == (
        0.6,
        0.8,
        0.001,
        "paired",
    )
    assert found[3]["LOW"] is found[3]["OTHER"] is found[1]["DIFFERENCE"] is None


def test_of_several_comparisons_the_latest_counts(account: Account) -> None:
    account.record(BASE, "compared", {"other": LORA, "scores": {"json_fields": {**COMPARED, "difference": 0.1}}})
    account.record(BASE, "compared", {"other": FAILED, "scores": {"json_fields": {**COMPARED, "difference": 0.2}}})
    (row,) = rows(account, f"SELECT OTHER, DIFFERENCE FROM SCORES WHERE RUN = '{BASE}' AND FIELD = ''")
    assert row == {"OTHER": FAILED, "DIFFERENCE": 0.2}


@pytest.mark.parametrize("sql", re.findall(r"```sql\n(.*?)```", DOCS, re.DOTALL))
def test_each_question_has_an_answer(account: Account, sql: str) -> None:
    assert rows(account, sql)


def test_older_ledgers_and_older_views(tmp_path: Path) -> None:
    with empty(tmp_path) as account:
        for statement in TABLES:
            do(account, statement)
        prepare(account, {"version": 1})
        assert rows(account, "SELECT * FROM RUNS") == []
        assert account.observe().ledger["views"] == VIEWS_VERSION
        do(account, "CREATE OR REPLACE VIEW RUNS AS SELECT RUN FROM LEDGER_LATEST")
        do(account, "DROP VIEW SCORES")
        do(account, "CREATE TABLE SCORES (GAME VARCHAR)")
        prepare(account, account.observe().ledger)
        assert [row["name"] for row in rows(account, "DESCRIBE TABLE RUNS")] == ["RUN"], (
            "made by this piste, so left alone"
        )
        assert [row["name"] for row in rows(account, "DESCRIBE TABLE SCORES")] == ["GAME"], "somebody's table stays"
        do(account, "DROP TABLE SCORES")
        account.prepare(views_again=True)
        assert "STATUS" in {row["name"] for row in rows(account, "DESCRIBE TABLE RUNS")}
