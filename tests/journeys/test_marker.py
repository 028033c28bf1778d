"""A marker in keys, prompts, references and answers, and jobs that quote it as they fail: it stays inside Snowflake."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from world import RECIPE, SUITE, World

from piste.report import announcement

MARKER = "MARKEDq7f3a"
"""One word, so that it can stand for a name, too."""

PLANT = """
import sys
from snowflake.snowpark import Session
marker = sys.argv[2]
with Session.builder.configs(dict(connection_name=sys.argv[1], database="PISTE", schema="DEV")).create() as session:
    session.sql("CREATE TABLE MARKED (ID VARCHAR, DIALOGUE VARCHAR, NOTE VARCHAR)").collect()
    rows = ", ".join(f"('{marker}{n}', '{marker} asks {n}', '{marker} answers {n}')" for n in range(12))
    session.sql(f"INSERT INTO MARKED VALUES {rows}").collect()
"""
ANSWER = """
import sys
from snowflake.snowpark import Session
with Session.builder.configs(dict(connection_name=sys.argv[1], database="PISTE", schema="DEV")).create() as session:
    session.sql(f"UPDATE PREDICTIONS SET PREDICTION = '{sys.argv[2]} is what it said'").collect()
"""
READ = """
import os
from payload import snowflake_session
row = snowflake_session.open_session().sql("SELECT DIALOGUE FROM MARKED LIMIT 1").collect()[0][0]
word = row.split()[0]
"""
CODE = {
    "raised": "raise RuntimeError(row)",
    "as-a-name": "print(f'\\n{word}Error: {row}', flush=True)\nos._exit(3)",
}
"""What the training's own code does with a row; as the key of something invalid: payload/test_processes.py."""


def marked(sql: str = "SELECT ID, DIALOGUE, NOTE FROM MARKED", **messages: str) -> dict[str, Any]:
    made = copy.deepcopy(RECIPE)
    made["data"]["sources"][0] |= {"sql": sql}
    made["data"]["sources"][0]["messages"] |= messages
    return made


@pytest.fixture(scope="module")
def said(world: World) -> Iterator[dict[str, str]]:
    """What every command printed, as a workflow would have it in its log."""
    assert world.script(PLANT, world.connection, MARKER).code == 0
    data = {"sql": "SELECT ID, DIALOGUE, NOTE FROM MARKED LIMIT 6", "key": "ID"}
    world.write("experiments/_suites/tiny-notes/suite.yaml", {**SUITE, "data": data})
    numbers = {"sql": "SELECT ID, TO_NUMBER(DIALOGUE) AS DIALOGUE, NOTE FROM MARKED", "key": "ID"}
    world.write("experiments/_suites/numbers/suite.yaml", {**SUITE, "data": numbers})
    gates = [{"score": "json_valid", "at_least": 0.9}]
    world.add("good", marked(), gates=gates, compare="base", **{"compute.timeout": "1h"})
    world.add("base")
    world.edit("experiments/base/experiment.yaml", train={"inputs": {"base-model": "@MODELS/tiny"}})
    (world.root / "experiments/base/recipe.yaml").unlink()
    world.add(
        "sql-of-training",
        marked("SELECT ID, TO_NUMBER(DIALOGUE) AS DIALOGUE, NOTE FROM MARKED"),
        **{"compute.retries": 0},
    )
    world.add("masked", marked(user="{DIALOGUE} {NOTE}"))
    for name, code in CODE.items():
        world.add(name, {**marked(), "code": "train.py"}, **{"train.files": ["train.py"]})
        world.write(f"experiments/{name}/train.py", f"# {name}\n{READ}{code}\n")
    world.add("sql-of-suite", **{"evaluate.suite": "numbers", "compute.retries": 0})
    world.edit("experiments/sql-of-suite/experiment.yaml", train={"inputs": {"base-model": "@MODELS/tiny"}})
    (world.root / "experiments/sql-of-suite/recipe.yaml").unlink()
    world.commit("experiments")
    world.environment["GITHUB_ACTIONS"] = "true"
    told: dict[str, str] = {}

    def piste(*arguments: str) -> None:
        done = world.shell(
            sys.executable, "-m", "piste", "--root", str(world.root), "--connection", world.connection, *arguments
        )
        told[" ".join(arguments)] = done.out + done.err

    piste("plan")
    piste("apply", "--wait")
    piste("collect")
    world.commit("reports")
    assert world.script(ANSWER, world.connection, MARKER).code == 0
    scores = [*SUITE["scores"], {"name": "rouge_l"}]
    world.write("experiments/_suites/tiny-notes/suite.yaml", {**SUITE, "data": data, "scores": scores})
    world.commit("another score")
    piste("apply", "good", "base", "--wait")
    piste("collect", "--check", "--format", "json")
    piste("plan", "--format", "markdown")
    piste("plan", "--format", "json")
    piste("status")
    piste("status", "--format", "json")
    piste("compare", "good", "base")
    piste("run", "masked")
    world.commit("reports again")
    yield told
    del world.environment["GITHUB_ACTIONS"]


def test_all_of_it_happened(said: dict[str, str], world: World) -> None:
    """Otherwise there would be nothing to leak."""
    ended = {one["experiment"]: one for one in json.loads(said["status --format json"])}
    kinds = {name: (one["failure"] or {}).get("kind") for name, one in ended.items()}
    assert (kinds.pop("good"), kinds.pop("base")) == (None, None), said["apply --wait"]
    assert all(kinds[name] for name in (*CODE, "masked", "sql-of-suite", "sql-of-training")), kinds
    assert kinds["masked"] == "data"
    assert MARKER in world.rows("SELECT DIALOGUE FROM MARKED")
    assert MARKER in world.rows("SELECT PREDICTION FROM PREDICTIONS")
    assert MARKER in world.piste("logs", "raised").out, "it is the logs' to say, and they stay in Snowflake"
    report = json.loads((world.root / "experiments/good/report/report.json").read_text())
    assert "rouge_l" in report["scores"]
    assert report["provenance"]["steps"] == ["score"]


def test_no_command_says_it(said: dict[str, str]) -> None:
    assert [command for command, text in said.items() if MARKER in text] == []


def test_git_does_not_have_it(said: dict[str, str], world: World) -> None:
    assert MARKER not in world.git("log", "--all", "-p")
    assert world.git("status", "--porcelain") == ""


def test_no_comment_or_commit_message_has_it(said: dict[str, str], world: World) -> None:
    files = {
        str(path.relative_to(world.root)): path.read_bytes() for path in world.root.glob("experiments/**/report.json")
    }
    found = announcement.reports(files)
    assert len(found) > 5
    names = sorted({str(report["experiment"]) for report in found})
    told = [announcement.message(found, names), *announcement.pull_request(found, names)]
    told += [announcement.comment([report], "https://example.org") for report in found]
    assert [text for text in told if MARKER in text] == []


INSIDE = re.compile(r"PREDICTIONS|SAMPLE_SCORES|MARKED \(|INTO MARKED|SNOWPARK_TEMP", re.IGNORECASE)
"""Statements that write rows to where rows belong."""


def test_no_statement_job_comment_tag_or_tracking_parameter_has_it(said: dict[str, str], world: World) -> None:
    if world.trace is None:
        pytest.skip("a live account has no trace")
    sent = [json.dumps(one) for one in world.statements()]
    assert any("EXECUTE_ML_JOB" in one for one in sent)
    assert [one for one in sent if MARKER in one and not INSIDE.search(one)] == []


@pytest.mark.parametrize("query", ["SELECT * FROM LEDGER", "SHOW STAGES", "SHOW JOB SERVICES", "SHOW EXPERIMENTS"])
def test_neither_the_ledger_nor_a_listing_has_it(said: dict[str, str], world: World, query: str) -> None:
    assert MARKER not in world.rows(query)


def test_not_even_what_a_job_returns_has_it(said: dict[str, str], world: World) -> None:
    """The files that the client reads back as a job's result, and results.json."""
    if world.trace is None:
        pytest.skip("a live account's stages are elsewhere")
    files = [path for path in Path(world.trace.parent).rglob("*result*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if MARKER.encode() in path.read_bytes()] == []
