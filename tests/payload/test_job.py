"""The payload as a job: one real training of a tiny model, and runs that build on it or fail."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest

import forked
from showcase import soap_notes

FULL = ["train", "generate", "score"]


FILES = {
    "code/train.py": "from project.words import GREETING\nprint('user code says', GREETING)\n",
    "project/words.py": "GREETING = 'hello from the experiment'\n",
}


@pytest.fixture(scope="module")
def trained(account: Any, recipe: Any) -> Any:
    return account.run("RUN_A_1", FULL, recipe=recipe, files=FILES, user_code="code/train.py")


def test_a_full_run_trains_generates_and_scores(trained: Any) -> None:
    assert trained.status == "DONE", trained.log[-3000:]
    training, evaluation = trained.results["training"], trained.results["evaluation"]
    assert (training["status"], training["steps"], training["final_line"]) == ("done", 4, True)
    assert [step for step, _ in training["loss"]] == [1, 2, 3, 4]
    assert [step for step, _ in training["eval_loss"]] == [2, 4]
    assert training["loss"][-1][1] < training["loss"][0][1]
    assert training["tokens"] > 0
    assert training["checkpoint"]["kind"] == "adapter"
    assert (evaluation["status"], evaluation["samples"], evaluation["generated"]) == ("done", 6, True)
    assert set(evaluation["scores"]) == {"json_valid", "json_fields"}
    assert trained.results["failure"] is None
    assert trained.results["environment"]["packages"]["arctic_training"] == "0.8.0"


def test_the_users_code_is_loaded_with_its_own_modules(trained: Any) -> None:
    assert "user code says hello from the experiment" in trained.log


def test_rows_are_sorted_by_key_before_the_limit(trained: Any) -> None:
    """The query sorts downwards; the first eight keys are what is trained on, so four steps of two see each once."""
    assert "Train iter: 4/4" in trained.log
    assert trained.results["training"]["tokens"] == pytest.approx(8 * 240, rel=0.4)


def test_everything_is_on_the_stage(trained: Any, account: Any) -> None:
    there = [path for path in account.stage("RUN_A_1") if "_TINY/" not in path]
    wanted = ["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert {f"/checkpoint/{name}" for name in wanted} <= set(there)
    assert {path for path in there if not path.startswith("/checkpoint/")} == {
        "/logs/generate.log",
        "/logs/train.log",
        "/metrics/eval.jsonl",
        "/metrics/train.jsonl",
        "/recipe.resolved.yaml",
        "/results.json",
    }


def test_predictions_and_scores_are_rows(trained: Any, account: Any) -> None:
    ids = [(f"test-{number:04d}",) for number in range(1, 7)]
    assert account.rows("SELECT SAMPLE_ID FROM PREDICTIONS WHERE RUN = 'RUN_A_1' ORDER BY 1") == ids
    counted = "SELECT SCORE, FIELD, COUNT(*) FROM SAMPLE_SCORES WHERE RUN = 'RUN_A_1' GROUP BY 1, 2 ORDER BY 1, 2"
    assert account.rows(counted) == [
        ("_length", "", 6),
        ("json_fields", "", 6),
        ("json_fields", "A", 6),
        ("json_fields", "P.drug", 6),
        ("json_valid", "", 6),
    ]


def test_the_ledger_tells_the_story(trained: Any, account: Any) -> None:
    events = account.rows("SELECT EVENT, BODY FROM LEDGER WHERE RUN = 'RUN_A_1' ORDER BY \"AT\"")
    names = [event for event, _ in events]
    assert [name for name in names if name != "heartbeat"] == ["started", "trained", "finished"]
    beats = [json.loads(body) for event, body in events if event == "heartbeat"]
    assert list(dict.fromkeys(beat["phase"] for beat in beats)) == ["fetch", "train", "upload", "generate", "score"]
    assert [beat["step"] for beat in beats if beat["phase"] == "train"][-1] == 4
    assert [beat["step"] for beat in beats if beat["phase"] == "generate"][-1] == 6
    bodies = {event: json.loads(body) for event, body in events}
    assert bodies["finished"] == trained.results
    assert bodies["trained"] == trained.results["training"]
    assert bodies["started"]["job"].startswith("RUN_A_1_TINY")


def test_the_run_is_tracked(trained: Any, account: Any) -> None:
    runs = account.session.sql("SHOW RUNS IN EXPERIMENT PISTE_TINY").collect()
    metadata = {row["name"]: json.loads(row["metadata"]) for row in runs}
    assert metadata["RUN_A_1"]["status"] == "FINISHED"
    metrics = account.session.sql("SHOW RUN METRICS IN EXPERIMENT PISTE_TINY RUN RUN_A_1").collect()
    assert {"loss", "eval_loss", "json_fields"} <= {row["name"] for row in metrics}


def test_no_row_leaves_the_tables_and_logs(trained: Any, account: Any) -> None:
    told = json.dumps(trained.results)
    ledger = " ".join(str(row) for row in account.rows("SELECT BODY FROM LEDGER"))
    for visit in soap_notes.visits({"train": 16, "validation": 4, "test": 8}):
        for words in (*visit.dialogue.splitlines(), visit.note):
            assert words not in told
            assert words not in ledger


def test_a_second_job_for_the_run_ends_at_the_fence(trained: Any, account: Any, recipe: Any) -> None:
    before = account.rows("SELECT COUNT(*) FROM LEDGER WHERE RUN = 'RUN_A_1'")
    again = account.run("RUN_A_1", FULL, recipe=recipe)
    assert again.status == "DONE"
    assert "another job has started this run already" in again.log
    assert again.results == trained.results
    assert account.rows("SELECT COUNT(*) FROM LEDGER WHERE RUN = 'RUN_A_1'") == before


def test_a_trained_model_is_evaluated_again_without_training(trained: Any, account: Any) -> None:
    """With a suite that says only what it must, columns in small letters, and a base under another name."""
    suite = {
        "data": {"sql": "SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES WHERE SPLIT = 'test'", "key": "id"},
        "prompt": {"user": "{dialogue}"},
        "reference": "{note}",
        "scores": [{"name": "json_valid"}],
    }
    more = {"adapter_or_model": {"run": "RUN_A_1"}, "inputs": {"small": "@MODELS/tiny"}, "suite": suite}
    ended = account.run("RUN_A_B_1", FULL[1:], **more)
    assert ended.status == "DONE", ended.log[-3000:]
    assert "trains nothing" in ended.log
    assert ended.results["training"] is None
    assert (ended.results["evaluation"]["samples"], ended.results["evaluation"]["generated"]) == (8, True)


def test_an_added_score_needs_no_generation(trained: Any, account: Any) -> None:
    change = {"scores": [{"name": "exact_match"}]}
    ended = account.run("RUN_A_C_1", ["score"], predictions={"run": "RUN_A_1"}, change=change)
    assert ended.status == "DONE", ended.log[-3000:]
    assert "generates nothing" in ended.log
    assert "fetched @MODELS" not in ended.log
    evaluation = ended.results["evaluation"]
    assert (evaluation["samples"], evaluation["generated"], list(evaluation["scores"])) == (6, False, ["exact_match"])
    assert evaluation["tokens"] == account.results("RUN_A_1")["evaluation"]["tokens"]
    assert account.rows("SELECT COUNT(*) FROM PREDICTIONS WHERE RUN = 'RUN_A_C_1'") == [(0,)]
    counted = "SELECT SCORE, COUNT(*) FROM SAMPLE_SCORES WHERE RUN = 'RUN_A_C_1' GROUP BY 1 ORDER BY 1"
    assert account.rows(counted) == [("_length", 6), ("exact_match", 6)]


def test_a_judge_on_a_stage_is_asked_in_the_job(trained: Any, account: Any) -> None:
    """The tiny model knows no JSON, so its replies hold no message: the judge failed, and the run did not."""
    select = (
        "SELECT P.RUN AS RUN, P.SAMPLE_ID AS SAMPLE_ID, 'Judge ' || P.PREDICTION AS PROMPT,"
        " SHA2('Judge ' || P.PREDICTION) AS QUESTION FROM PREDICTIONS P"
        " LEFT JOIN JUDGEMENTS J ON J.SAMPLE_ID = P.SAMPLE_ID WHERE P.RUN = 'RUN_A_1' AND J.REPLY IS NULL"
    )
    row = {"JUDGE": "d" * 64, "KIND": "answer", "OTHER": "", "HOW": "asked"}
    questions = [{"row": row, "before": ["SELECT 1"], "select": select}]
    told = {"model": "@MODELS/tiny", "max_new_tokens": 4, "form": " as JSON", "questions": questions}
    for run in ("RUN_A_J_1", "RUN_A_J_2"):
        ended = account.run(run, ["score"], predictions={"run": "RUN_A_1"}, judge=told)
        assert ended.status == "DONE", ended.log[-3000:]
        assert f"judged {6 if run.endswith('_1') else 0} answers" in ended.log
        counted = 'SELECT COUNT(*), COUNT(DISTINCT SAMPLE_ID), MIN(KIND), COUNT("AT"), COUNT(QUESTION) FROM JUDGEMENTS'
        assert account.rows(counted) == [(6, 6, "answer", 6, 6)]
    replies = [json.loads(reply) for (reply,) in account.rows("SELECT REPLY FROM JUDGEMENTS")]
    assert {reply["choices"][0]["structured_output"][0]["raw_message"] for reply in replies} == {None}
    assert all(0 < reply["usage"]["completion_tokens"] <= 4 for reply in replies)


FAILURES: dict[str, dict[str, Any]] = {
    "no_table": {"change": {"data": {"sql": "SELECT * FROM NO_SUCH_TABLE", "key": "ID"}}},
    "no_column": {"change": {"reference": "{NOTES}"}},
    "no_rows": {"change": {"data": {"sql": "SELECT * FROM SOAP_NOTES WHERE SPLIT = 'no'", "key": "ID"}}},
    "repeated_key": {"change": {"data": {"sql": "SELECT SPLIT AS ID, DIALOGUE, NOTE FROM SOAP_NOTES", "key": "ID"}}},
    "other_rows": {"change": {"data": {"sql": "SELECT * FROM SOAP_NOTES WHERE SPLIT = 'test'", "key": "ID"}}},
}
TOLD = {
    "no_table": "does not exist",
    "no_column": "There is no column NOTES; the rows have ID, DIALOGUE, NOTE.",
    "no_rows": "gives no rows",
    "repeated_key": "25 of 28 rows repeat one",
    "other_rows": "its data has changed since",
}


@pytest.mark.parametrize("case", sorted(FAILURES))
def test_an_evaluation_that_cannot_be_done_says_why_without_data(trained: Any, account: Any, case: str) -> None:
    run = f"RUN_{case.upper()}_1"
    ended = account.run(run, ["score"], predictions={"run": "RUN_A_1"}, **FAILURES[case])
    failure = ended.results["failure"]
    assert ended.status == "FAILED"
    assert (failure["phase"], failure["kind"]) == ("score", "data")
    assert TOLD[case] in failure["message"]
    assert ended.results["evaluation"]["status"] == "failed"
    assert account.rows(f"SELECT COUNT(*) FROM LEDGER WHERE RUN = '{run}' AND EVENT = 'finished'") == [(1,)]


def test_a_model_that_is_not_on_its_stage_is_missing_data(account: Any) -> None:
    ended = account.run("RUN_NO_MODEL_1", FULL[1:], inputs={"base-model": "@MODELS/tin"})
    assert ended.status == "FAILED"
    assert ended.results["failure"]["phase"] == "fetch"
    assert ended.results["failure"]["message"] == "There are no files at @MODELS/tin."
    assert (ended.results["training"], ended.results["evaluation"]["status"]) == (None, "failed")


def test_a_training_that_cannot_begin_leaves_nothing_evaluated(account: Any, recipe: Any) -> None:
    wrong = {**recipe, "model": {**recipe["model"], "name_or_path": "./inputs/base"}}
    more = {"inputs": {"one": "@MODELS/tiny", "two": "@MODELS/tiny"}}
    ended = account.run("RUN_NO_BASE_1", FULL, recipe=wrong, **more)
    assert ended.status == "FAILED"
    assert (ended.results["failure"]["phase"], ended.results["failure"]["kind"]) == ("fetch", "recipe")
    assert ended.results["training"]["status"] == "failed"
    assert ended.results["evaluation"] == {
        "status": "failed",
        "samples": 0,
        "generated": False,
        "seconds": 0.0,
        "answering_seconds": 0,
        "tokens": 0,
        "scores": {},
    }


def test_a_run_that_is_told_to_stop_says_so_and_leaves_no_process(account: Any, recipe: Any) -> None:
    with forked.plainly(account.folder / "globe"):
        job = account.submit("RUN_STOP_1", FULL, recipe=recipe)
        deadline = time.monotonic() + 120
        while not any("train" in body for (body,) in account.rows("SELECT BODY FROM LEDGER WHERE RUN = 'RUN_STOP_1'")):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    while not account.processes("recipe.resolved.yaml"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    launcher = [
        pid for pid, line in account.processes("RUN_STOP_1", "mljob_launcher.py").items() if "python" in line[:99]
    ]
    os.kill(max(launcher), signal.SIGTERM)
    ended = account.ended("RUN_STOP_1", job)
    assert ended.status == "FAILED"
    assert (ended.results["failure"]["phase"], ended.results["failure"]["kind"]) == ("train", "cancelled")
    assert ended.results["training"]["status"] == "cancelled"
    assert ended.results["evaluation"]["status"] == "cancelled"
    assert not account.processes("recipe.resolved.yaml")
