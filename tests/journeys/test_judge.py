"""A judge, asked by `collect` through the real client: each question once, whatever dies; no text leaves Snowflake.

The tests of this module build on each other, in order.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from world import World

from snowglobe import Control

MARKER = "XYZZYMARKER"
SUITE = "experiments/_suites/tiny-notes/suite.yaml"
JUDGE: dict[str, Any] = {
    "model": "llama3.3-70b",
    "rubric": "Holds every finding of {NOTE} and invents none.",
    "scale": "pass_fail",
    "sections": ["facts"],
    "canaries": 2,
    "batch_size": 2,
}
ROWS = "SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES WHERE SPLIT = 'test' ORDER BY ID LIMIT 6"
MARKED = (
    f"CREATE TABLE MARKED AS SELECT ID, DIALOGUE || ' {MARKER}' AS DIALOGUE, NOTE || ' {MARKER}' AS NOTE FROM ({ROWS})"
)


@pytest.fixture(scope="module")
def control(account: Any) -> Control:
    if account.directory is None:
        pytest.skip("the judge of a live account cannot be told how to err")
    line = next(one for one in (account.home / "connections.toml").read_text().splitlines() if one.startswith("port"))
    return Control(int(line.partition("=")[2]))


def report(world: World, name: str = "judged-base") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((world.root / f"experiments/{name}/report/report.json").read_text())
    return found


def page(world: World, name: str = "judged-base") -> str:
    return (world.root / f"experiments/{name}/report/README.md").read_text()


def judgements(world: World, where: str = "1 = 1") -> list[list[Any]]:
    query = f"SELECT RUN, SAMPLE_ID, KIND, HOW, PARSED FROM JUDGEMENTS WHERE {where} ORDER BY RUN, SAMPLE_ID, KIND"
    found: list[list[Any]] = json.loads(world.rows(query))
    return found


def base(world: World, name: str, **changes: Any) -> None:
    world.add(name, **changes)
    world.edit(f"experiments/{name}/experiment.yaml", train={"inputs": {"base-model": "@MODELS/tiny"}})
    (world.root / f"experiments/{name}/recipe.yaml").unlink()


def test_an_interrupted_judge_asks_for_what_is_missing_alone(world: World, control: Control) -> None:
    world.rows(MARKED)
    base(world, "judged-base")
    world.edit(SUITE, judge=JUDGE, primary="judge", **{"data.sql": "SELECT ID, DIALOGUE, NOTE FROM MARKED"})
    world.commit("a judge")
    before = control.judge(seconds=0.5)
    done = world.piste("apply", "--wait")
    assert done.code == 0, done.out + done.err
    collecting = world.start("collect")
    deadline = time.monotonic() + 60
    while control.judge() == before and time.monotonic() < deadline:
        time.sleep(0.05)
    collecting.kill()
    collecting.wait()
    control.judge(seconds=0)
    assert len(judgements(world)) < 6
    done = world.piste("collect")
    assert done.code == 0, done.err
    assert control.judge() - before == 6 + 2
    assert (
        len({row[1] for row in judgements(world, "KIND = 'answer'")}) == len(judgements(world, "KIND = 'answer'")) == 6
    )
    assert len(judgements(world, "KIND = 'canary'")) == 2
    assert report(world)["scores"]["judge"]["n"] == 6
    assert "mean judge's verdict" in page(world)


def test_again_there_is_nothing_to_ask(world: World, control: Control) -> None:
    before = control.judge()
    assert world.piste("collect").out == "nothing to do\n"
    assert control.judge() == before


def test_another_rubric_asks_again_without_a_job(world: World, control: Control) -> None:
    jobs = sum("SYSTEM$EXECUTE_ML_JOB" in one["sql"] for one in world.statements())
    control.judge(unparsable=0.4)
    before = control.judge()
    world.edit(SUITE, judge={**JUDGE, "rubric": "Is it a note?", "canaries": 0})
    assert world.actions()["judged-base"]["action"] == "keep"
    done = world.piste("collect")
    assert done.code == 0, done.err
    assert control.judge() - before == 6
    found = report(world)
    unparsed = found["judge"]["unparsed"]
    assert 0 < unparsed < 6
    assert (found["judge"]["judged"], found["scores"]["judge"]["n"]) == (6 - unparsed, 6 - unparsed)
    assert found["scores"]["json_valid"]["n"] == 6
    assert found["scores"]["judge"]["per_field"].keys() == {"facts"}
    assert f"failed to judge: {unparsed} of 6" in page(world)
    assert sum("SYSTEM$EXECUTE_ML_JOB" in one["sql"] for one in world.statements()) == jobs
    control.judge(unparsable=0)


def test_the_first_rubric_again_costs_nothing(world: World, control: Control) -> None:
    before = control.judge()
    world.edit(SUITE, judge=JUDGE)
    assert world.piste("collect").code == 0
    assert (control.judge(), report(world)["judge"]["unparsed"]) == (before, 0)


def test_pairs_are_judged_in_both_orders_and_a_biased_judge_decides_nothing(world: World, control: Control) -> None:
    control.judge(position_bias=1)
    base(world, "judged-short", compare="judged-base")
    world.edit(
        "experiments/judged-short/experiment.yaml",
        **{"train.inputs": {"base-model": "@MODELS/tiny", "a": "@MODELS/tiny"}},
    )
    world.edit(SUITE, judge={**JUDGE, "pairwise": True, "require": ["json_valid"]})
    world.commit("a pair")
    assert world.piste("apply", "--wait").code == 0
    done = world.piste("collect")
    assert done.code == 0, done.err
    found = report(world, "judged-short")
    assert found["judge"]["required"] + found["judge"]["judged"] == 6
    assert found["comparison"]["scores"]["judge_pairwise"]["verdict"] != "improved"
    control.judge(position_bias=0)


def test_no_text_leaves_snowflake(world: World) -> None:
    assert MARKER in world.rows("SELECT NOTE FROM MARKED LIMIT 1")
    assert "words in common" in world.rows("SELECT REASON FROM JUDGEMENTS WHERE REASON IS NOT NULL LIMIT 1")
    ledger = world.rows(
        "SELECT TO_VARCHAR(BODY) FROM LEDGER WHERE EVENT IN ('judged', 'compared', 'measured', 'ended')"
    )
    files = [path for path in (world.root / "experiments").rglob("report/*") if path.is_file()]
    said = [ledger, world.piste("status").out, world.piste("plan").out, *(path.read_text() for path in files)]
    assert len(said) > 5
    for text in said:
        assert "words in common" not in text
        assert MARKER not in text


def test_a_judge_that_cannot_be_asked_is_said_without_a_word_of_what_it_read(world: World) -> None:
    world.edit(SUITE, judge={**JUDGE, "rubric": "Another one."})
    world.rows("DROP TABLE MARKED")
    done = world.piste("collect")
    assert done.code == 0
    assert "judged-base: not judged: Snowflake refused a statement of the judge" in done.err
    assert MARKER not in done.out + done.err
    assert "Evaluated, not judged yet" in page(world)
