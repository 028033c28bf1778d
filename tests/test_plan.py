"""Tables of (desired, observed) and what the plan says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from builders import baseline, digests, experiment, run, variant
from piste.experiment import Deferred, Document
from piste.plan import Plan, Verb, plan
from piste.rendering import plan_json, plan_text
from piste.run import Failure, Progress, Run, Status
from piste.variants import variants

LORA = variant()
BASE = variants(baseline())[0]


def one(made: Plan) -> tuple[str, tuple[str, ...], str]:
    (action,) = made.actions
    return action.verb.value, action.steps, action.reason


def failed(kind: str, **changes: Any) -> Run:
    failure = Failure("train", kind, "ValidationError")
    return run(LORA, Status.FAILED, Status.FAILED, failure=failure, **changes)


ALL, EVALUATION, SCORE = ("train", "generate", "score"), ("generate", "score"), ("score",)


def test_new() -> None:
    assert one(plan([LORA], [])) == ("train", ALL, "new")
    assert one(plan([BASE], [])) == ("evaluate", EVALUATION, "new")


def test_done_is_kept_and_says_who() -> None:
    tried = run(LORA, provenance={"actor": "@ben", "branch": "try-lora", "commit": "3f2c9d1aa", "tried": True})
    assert one(plan([LORA], [tried])) == ("keep", (), "trained by @ben on try-lora (3f2c9d1)")


def test_documents_of_what_is_kept_are_read_only_where_its_changes_are_told() -> None:
    renamed, asked = variant(title="Another title"), []

    def documents() -> Document:
        asked.append(renamed.label)
        return renamed.spec

    made = plan([replace(renamed, documents=Deferred(documents))], [run(LORA)])
    assert plan_text(made).startswith("nothing to do, 1 kept")
    assert asked == []
    (told,) = json.loads(plan_json(made, "snowflake"))["actions"]
    assert told["changes"] == [
        {"path": "title", "old": LORA.spec["experiment"]["title"], "new": "Another title", "rule": "prose"}
    ]
    assert len(asked) == 1


def test_another_judge_needs_no_job() -> None:
    judge = {"model": "claude-4-5-sonnet", "rubric": "Every finding, none invented.", "scale": "pass_fail"}
    judged = variant(**{"suite.judge": judge})
    other = variant(**{"suite.judge": {**judge, "model": "llama3.3-70b"}})
    for before, after in ((LORA, judged), (judged, other), (judged, LORA)):
        made = plan([after], [run(before)])
        assert one(made)[0] == "keep"
        assert one(made)[2].endswith("asks its judge") == (after is not LORA)
        assert {change.rule for change in made.actions[0].changes} == {"judge"}
    claims = [f"RUN_{one.digests.training[:12].upper()}_{one.digests.evaluation[:12].upper()}" for one in (LORA, other)]
    assert claims[0] == claims[1]


def test_a_renamed_folder_is_kept_and_says_whose_it_was() -> None:
    assert one(plan([variant("renamed")], [run(LORA)])) == (
        "keep",
        (),
        "trained by @ana on main (3f2c9d1) as notes-lora",
    )


def test_changed_recipe_says_old_and_new() -> None:
    made = plan([variant(**{"recipe.optimizer.learning_rate": 3e-4})], [run(LORA)])
    assert one(made) == ("train", ALL, "recipe.optimizer.learning_rate 0.001 → 0.0003")
    (change,) = made.actions[0].changes
    assert (change.path, change.old, change.new, change.rule) == (
        "recipe.optimizer.learning_rate",
        0.001,
        0.0003,
        "train",
    )
    assert [orphan.name for orphan in made.orphans] == [run(LORA).name]


def test_a_changed_rule_is_one_change_and_true_is_not_one() -> None:
    before = run(variant(**{"recipe.data.num_proc": 4}))
    (action,) = plan([variant(**{"recipe.data.num_proc": 4, "recipe.data.pack_samples": True})], [before]).actions
    assert [(change.path, change.old, change.new) for change in action.changes] == [
        ("recipe.data.pack_samples", None, True)
    ]
    (action,) = plan(
        [variant(**{"recipe.micro_batch_size": True})], [run(variant(**{"recipe.micro_batch_size": 1}))]
    ).actions
    assert action.reason == "recipe.micro_batch_size 1 → True"


def test_a_new_score_scores_the_predictions_there_are() -> None:
    made = plan([variant(**{"suite.scores.1": {"name": "rouge_l"}})], [run(LORA)])
    assert one(made) == ("evaluate", SCORE, "suite.scores[1].name – → rouge_l")
    assert made.actions[0].run == run(LORA)


def test_a_score_that_asks_the_model_generates_with_the_checkpoint_there_is() -> None:
    asking = variant(**{"suite.scores.1": {"name": "reference_loss"}})
    verb, steps, reason = one(plan([asking], [run(LORA)]))
    assert (verb, steps, reason) == ("evaluate", EVALUATION, "suite.scores[1].name – → reference_loss")
    more = variant(**{"suite.scores.1": {"name": "reference_loss"}, "suite.scores.0": {"name": "perplexity"}})
    assert one(plan([more], [run(asking)]))[:2] == ("evaluate", SCORE)


def test_longer_generation_generates_with_the_checkpoint_there_is() -> None:
    made = plan([variant(**{"suite.generate.max_new_tokens": 99})], [run(LORA)])
    assert one(made) == ("evaluate", EVALUATION, "suite.generate.max_new_tokens 160 → 99")


def test_scoring_never_starts_from_a_run_that_only_scored() -> None:
    first = run(LORA)
    scored = replace(
        run(LORA), name="RUN_X_1", steps=SCORE, training=None, digests=digests(LORA, suite="s", scoring="t")
    )
    made = plan([variant(**{"suite.scores.1": {"name": "rouge_l"}})], [first, scored])
    assert made.actions[0].run == first


@pytest.mark.parametrize("status", [Status.CLAIMED, Status.PENDING, Status.RUNNING])
def test_live_training_is_waited_for(status: Status) -> None:
    live = run(LORA, status, Status.PENDING, collected=False, progress=Progress("train", 3, 20))
    assert one(plan([LORA], [live])) == ("wait", (), "training by @ana on main (3f2c9d1): train 3 of 20")


def test_training_done_and_evaluation_live_is_waited_for() -> None:
    live = run(LORA, Status.DONE, Status.RUNNING, collected=False)
    assert one(plan([LORA], [live]))[0] == "wait"


def test_a_failed_run_is_blocked_until_it_changes() -> None:
    verb, steps, reason = one(plan([LORA], [failed("recipe")]))
    assert (verb, steps) == ("blocked", ())
    assert reason == "failed (recipe: ValidationError); change it, or piste apply --retry notes-lora"
    assert one(plan([variant(**{"train.gpus": 2})], [failed("recipe")]))[0] == "train"


def test_retry_makes_the_next_attempt() -> None:
    made = plan([LORA], [failed("recipe")], retry=["notes-lora"])
    assert made.actions[0].verb is Verb.TRAIN
    assert made.actions[0].attempt == 2


def test_the_platforms_failures_are_retried_as_often_as_compute_allows() -> None:
    first = failed("platform")
    second = failed("platform", name="RUN_X_2", attempt=2, claimed_at="2026-11-21T10:00:00.000+00:00")
    assert one(plan([LORA], [first]))[0] == "train"
    assert one(plan([LORA], [first, second]))[0] == "blocked"
    patient = variant(**{"compute.retries": 2})
    assert one(plan([patient], [first, second]))[0] == "train"


def test_a_lost_claim_is_claimed_anew() -> None:
    lost = run(LORA, Status.LOST, Status.LOST, job=None, job_status="", collected=False)
    made = plan([LORA], [lost])
    assert (made.actions[0].verb, made.actions[0].attempt) == (Verb.TRAIN, 2)


def test_failed_evaluation_is_blocked_and_never_trains_again() -> None:
    half = run(LORA, Status.DONE, Status.FAILED, failure=Failure("generate", "evaluation", "MemoryError"))
    assert one(plan([LORA], [half]))[0] == "blocked"
    assert one(plan([LORA], [half], retry=["notes-lora"]))[:2] == ("evaluate", EVALUATION)


def test_the_same_training_twice_in_one_plan_is_submitted_once() -> None:
    twin = variant("twin")
    first, second = plan([LORA, twin], []).actions
    assert (first.verb, second.verb) == (Verb.TRAIN, Verb.WAIT)
    assert second.reason == "trains as notes-lora, whose result serves both"


def test_only_the_new_seed_trains() -> None:
    two = variants(experiment(**{"train.seeds": [1, 2]}))
    three = variants(experiment(**{"train.seeds": [1, 2, 3]}))
    made = plan(three, [run(one) for one in two])
    assert [action.verb.value for action in made.actions] == ["keep", "keep", "train"]
    assert made.actions[2].reason == "new variant"


def test_runs_tried_from_a_branch_are_no_orphans() -> None:
    other = variant(**{"train.gpus": 2})
    assert plan([LORA], [run(other)]).orphans == (run(other),)
    assert plan([LORA], [run(other, provenance={"tried": True})]).orphans == ()


def test_what_was_applied_is_never_due_again() -> None:
    desired = [LORA, BASE, *variants(experiment("many", **{"train.seeds": [1, 2, 3]}))]
    due = plan(desired, [])
    assert len(due.submissions) == 5
    assert plan(desired, [run(action.variant) for action in due.submissions]).submissions == ()


def test_an_evaluation_is_not_blocked_by_a_training_that_failed_before_it() -> None:
    other = variant(**{"suite.generate.max_new_tokens": 99})
    first = failed("recipe")
    second = run(other, name="RUN_X_2", attempt=2, claimed_at="2026-11-21T10:00:00.000+00:00")
    assert one(plan([LORA], [first, second]))[:2] == ("evaluate", EVALUATION)


NOW = "2026-11-21T12:00:00.000+00:00"


@pytest.mark.parametrize(("ended", "expected"), [("11:56", "wait"), ("11:54", "train")])
def test_a_platform_that_failed_a_moment_ago_is_given_time(ended: str, expected: str) -> None:
    lost = failed("platform", ended_at=f"2026-11-21T{ended}:00.000+00:00")
    assert one(plan([LORA], [lost], now=NOW))[0] == expected
    assert one(plan([LORA], [lost], retry=["notes-lora"], now=NOW))[0] == "train"


def test_the_back_off_doubles() -> None:
    patient = variant(**{"compute.retries": 5})
    tries = [
        failed("platform", name=f"RUN_X_{n}", attempt=n, ended_at="2026-11-21T11:45:00.000+00:00") for n in (1, 2, 3)
    ]
    assert one(plan([patient], tries, now=NOW))[2] == "the platform failed; tried again after 12:05 UTC"


def test_claims_that_come_to_nothing_end_with_somebody_having_to_look() -> None:
    lost = [
        run(LORA, Status.LOST, Status.LOST, name=f"RUN_X_{n}", attempt=n, job=None, job_status="", collected=False)
        for n in range(1, 6)
    ]
    assert one(plan([LORA], lost[:4]))[0] == "train"
    assert one(plan([LORA], lost))[0] == "blocked"
    assert plan([LORA], lost, retry=["notes-lora"]).actions[0].attempt == 6


def test_the_attempt_before_is_named_so_that_it_can_be_shut() -> None:
    first = failed("platform", ended_at="2026-11-20T11:45:00.000+00:00")
    (action,) = plan([LORA], [first], now=NOW).actions
    assert (action.after, action.earlier) == (first, (first.name,))


def test_a_run_that_took_too_long_is_not_tried_again_by_itself() -> None:
    assert one(plan([LORA], [failed("timeout")]))[2] == (
        "stopped by compute.timeout; raise it, then piste apply --retry notes-lora"
    )


def test_weights_that_were_deleted_are_not_trained_again_without_a_word() -> None:
    gone = run(LORA, deleted="2026-11-21T11:45:00.000+00:00")
    longer = variant(**{"suite.generate.max_new_tokens": 99})
    assert one(plan([LORA], [gone]))[0] == "keep"
    assert one(plan([longer], [gone]))[0] == "blocked"
    assert one(plan([longer], [gone], retry=["notes-lora"]))[0] == "train"
