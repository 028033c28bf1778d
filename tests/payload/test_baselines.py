"""Jobs that train nothing: a model as it is, by scores that ask models, and shown examples."""

from __future__ import annotations

import math
from typing import Any

import pytest

BASELINE = ["generate", "score"]
SUITE: dict[str, Any] = {
    "data": {
        "sql": "SELECT ID, DIALOGUE, NOTE, ID < 'test-0004' AS EARLY FROM SOAP_NOTES WHERE SPLIT = 'test'",
        "key": "id",
        "group": "early",
    },
    "prompt": {"user": "{dialogue}"},
    "generate": {"max_new_tokens": 4},
    "reference": "{note}",
    "scores": [
        {"name": "json_valid"},
        {"name": "reference_loss"},
        {"name": "perplexity"},
        {"name": "similarity", "model": "@MODELS/tiny", "as": "alike"},
        {"name": "length", "unit": "tokens", "as": "tokens"},
    ],
}
EXAMPLES = {"sql": "SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES WHERE SPLIT = 'train'", "count": 2}


@pytest.fixture(scope="module")
def plain(account: Any) -> Any:
    return account.run("RUN_B_1", BASELINE, suite=SUITE)


def test_models_are_asked_for_scores(plain: Any, account: Any) -> None:
    assert plain.status == "DONE", plain.log[-3000:]
    evaluation = plain.results["evaluation"]
    means = {name: score["mean"] for name, score in evaluation["scores"].items()}
    assert list(means) == ["json_valid", "reference_loss", "perplexity", "alike", "tokens"]
    assert 0 < means["reference_loss"] <= math.log(means["perplexity"])
    assert -1 <= means["alike"] <= 1
    assert means["tokens"] * 8 == evaluation["tokens"]
    assert evaluation["answering_seconds"] > 0
    groups = account.rows("SELECT DISTINCT VALUE FROM SAMPLE_SCORES WHERE RUN = 'RUN_B_1' AND SCORE = '_group'")
    assert sorted(groups) == [(0.0,), (1.0,)]


def test_what_the_model_said_of_references_is_there_for_a_score_that_is_added(plain: Any, account: Any) -> None:
    added = {**SUITE, "scores": [{"name": "rouge_l"}, {"name": "reference_loss"}]}
    ended = account.run("RUN_B_C_1", BASELINE[1:], predictions={"run": "RUN_B_1"}, suite=added)
    assert ended.status == "DONE", ended.log[-3000:]
    assert "fetched @MODELS" not in ended.log
    before, after = (run.results["evaluation"]["scores"] for run in (plain, ended))
    assert after["reference_loss"] == before["reference_loss"]


def test_a_model_is_shown_examples_of_the_training_split(plain: Any, account: Any) -> None:
    ended = account.run("RUN_SHOWN_1", BASELINE, suite=SUITE, examples=EXAMPLES)
    assert ended.status == "DONE", ended.log[-3000:]
    shown, alone = (run.results["evaluation"]["scores"]["reference_loss"]["mean"] for run in (ended, plain))
    assert shown != alone, "what stands before a question changes how likely its answer is"


def test_examples_that_are_evaluated_are_refused(account: Any) -> None:
    leak = {**EXAMPLES, "sql": "SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES"}
    ended = account.run("RUN_LEAK_1", BASELINE, suite=SUITE, examples=leak)
    assert (ended.status, ended.results["failure"]["kind"]) == ("FAILED", "data")
    told = "8 of the 28 rows of evaluate.examples.sql are also among the evaluated samples"
    assert told in ended.results["failure"]["message"]


def test_a_hosted_model_answers_without_a_model_on_a_stage(account: Any) -> None:
    suite = {**SUITE, "generate": {"max_new_tokens": 64}, "scores": [{"name": "json_valid"}]}
    more: dict[str, Any] = {"hosted": "llama3.3-70b", "inputs": {}, "examples": EXAMPLES}
    ended = account.run("RUN_H_1", BASELINE, suite=suite, **more)
    assert ended.status == "DONE", ended.log[-3000:]
    assert "fetched" not in ended.log
    evaluation = ended.results["evaluation"]
    assert (evaluation["samples"], evaluation["generated"]) == (8, True)
    assert evaluation["scores"]["json_valid"]["mean"] == 1.0, "the embedded account repeats an example's answer"
    assert evaluation["read_tokens"] > evaluation["tokens"] > 0
    again = account.run("RUN_H_C_1", BASELINE[1:], suite=suite, predictions={"run": "RUN_H_1"}, **more)
    kept = ("tokens", "read_tokens", "answering_seconds", "scores")
    assert [again.results["evaluation"][key] for key in kept] == [evaluation[key] for key in kept]
