"""What a judge is asked, what its statements say, how its verdicts count, and when it is due."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import sqlglot

from builders import baseline, experiment, run, variant
from piste import judge_sql, judged, measures, scores, statistics
from piste.choosing import decided
from piste.cost import of_tokens
from piste.experiment import JUDGE, PAIRWISE, Variant
from piste.judge import Judge, family, judge_of, question, relatives, response_schema
from piste.judge_sql import Questions
from piste.plan import Verb, plan
from piste.run import Run
from piste.variants import all_variants

TOLD: dict[str, Any] = {
    "model": "llama3.3-70b",
    "rubric": "It's as {NOTE} \\ says.",
    "scale": "1-5",
    "sections": ["facts", "style"],
    "require": ["json_valid"],
    "pairwise": True,
    "canaries": 3,
    "gold": {"sql": "SELECT * FROM GOLD;", "answer": "ANSWER", "verdict": "VERDICT"},
}
SEEN = {"refused": 0, "tries": 0, "gold": None}


def asked(**changes: Any) -> tuple[Variant, ...]:
    told = {key: value for key, value in {**TOLD, **changes}.items() if value is not None}
    base, lora = baseline(), experiment(compare="notes-base", **{"suite.judge": told})
    base.suite.document["judge"] = told  # type: ignore[index]
    return all_variants([base, lora])


def judge_in(one: Variant) -> Judge:
    found = judge_of(one.spec["suite"], one.digests.judge)
    assert found is not None
    return found


def body(one: Judge, rival: str = "", mean: float = 0.7, **told: Any) -> dict[str, Any]:
    scores = {JUDGE: {"mean": mean, "n": 6, "low": 0.5, "high": 0.9, "groups": None, "method": "bootstrap"}}
    return {
        "other": one.digest,
        "version": measures.VERSION,
        "rival": rival,
        "scores": scores,
        "judge": {**SEEN, "gold": {"n": 1}, **told},
    }


ON_POOL = {"model": "@MODELS/llama", "pairwise": None, "canaries": None}


def test_a_judge_on_a_stage_is_a_score_of_the_job() -> None:
    """Another rubric scores again, and generates nothing."""
    before, after = asked(**ON_POOL)[1], asked(**ON_POOL, rubric="Now it is {NOTE}.")[1]
    assert before.digests.generation == after.digests.generation
    assert before.digests.evaluation != after.digests.evaluation
    (action,) = plan([after], [run(before)]).actions
    assert (action.verb, action.steps) == (Verb.EVALUATE, ("score",))
    assert action.reason.startswith("suite.judge.rubric ")
    hosted, other = asked()[1], asked(rubric="Now it is {NOTE}.")[1]
    assert hosted.digests.evaluation == other.digests.evaluation
    (kept,) = plan([other], [run(hosted)]).actions
    assert kept.verb is Verb.KEEP


def test_its_job_is_told_what_to_ask() -> None:
    one = asked(**ON_POOL)[1]
    told = judge_sql.in_job(judge_in(one), one.spec["suite"], "RUN_A_1")
    assert [asked["row"]["KIND"] for asked in told["questions"]] == ["answer", "gold"]
    assert (told["model"], told["max_new_tokens"]) == ("@MODELS/llama", 600)
    assert '"sections": {"facts": {"reason": "a sentence", "verdict": "5"}' in told["form"]
    for statement in (text for asked in told["questions"] for text in (*asked["before"], asked["select"])):
        sqlglot.parse_one(statement, read="snowflake")


def test_the_judge_sees_rubric_prompt_reference_and_answer_in_tags() -> None:
    suite = asked()[1].spec["suite"]
    parts = question(judge_in(asked()[1]), suite)
    assert [part for part in parts if part[0] != "text"] == [
        ("template", TOLD["rubric"]),
        ("template", "{DIALOGUE}"),
        ("template", "{NOTE}"),
        ("answer", "1"),
    ]
    text = "".join(text for kind, text in parts if kind == "text")
    assert re.findall(r"<(\w+)>", text) == ["rubric", "question", "reference", "answer"]
    both = "".join(text for kind, text in question(judge_in(asked()[1]), suite, pairwise=True) if kind == "text")
    assert re.findall(r"<(\w+)>", both) == ["rubric", "question", "reference", "answer_1", "answer_2"]


def test_a_reply_gives_its_reason_before_its_verdict() -> None:
    found = response_schema(judge_in(asked()[1]))
    assert list(found["properties"]) == ["sections", "reason", "verdict"]
    assert found["properties"]["verdict"]["enum"] == ["1", "2", "3", "4", "5"]
    assert found["required"] == list(found["properties"])


@pytest.mark.parametrize("kind", ["answer", "first", "second", "canary", "gold"])
def test_every_statement_is_one_and_asks_the_model_once(kind: str) -> None:
    one = judge_in(asked()[1])
    about = Questions(one, asked()[1].spec["suite"], "RUN_A_1", kind, "RUN_B_1" if kind in ("first", "second") else "")
    source = {"gold": judge_sql.gold, "canary": judge_sql.canaries}.get(kind, judge_sql.every)(about)
    costs = judge_sql.ask(about, source)
    assert costs.count("AI_COMPLETE") == 1
    free = [judge_sql.read(one), judge_sql.tried(about), judge_sql.reuse(about), judge_sql.decide_by_format(about)]
    free += [*judge_sql.keep_scores(one, "RUN_A_1", "RUN_B_1"), judge_sql.counted(one, "RUN_A_1", "RUN_B_1")]
    for statement in (costs, *free):
        assert len(sqlglot.parse(statement, read="snowflake")) == 1
    assert not any("AI_COMPLETE" in statement for statement in free)
    assert r"'It\'s as ' || COALESCE(TO_VARCHAR(S.\"NOTE\"), '') || ' \\ says.'".replace('\\"', '"') in source


def test_what_judge_and_judged_have_in_common() -> None:
    named = {"claude-4-5-sonnet": "claude", "openai-gpt-4.1": "gpt", "mixtral-8x7b": "mistral", "my-own": ""}
    assert {name: family(name) for name in named} == named
    related = variant(**{"train.inputs": {"base-model": "@MODELS/llama-3.2-1b"}})
    assert relatives(judge_in(asked()[1]), related.spec) == "llama"
    assert relatives(judge_in(asked()[1]), variant().spec) == ""


def test_prices_of_the_settings_come_first() -> None:
    assert of_tokens("claude-4-5-sonnet", (1e6, 1e6), {}) == pytest.approx(9.9)
    assert of_tokens("claude-4-5-sonnet", (1e6, 1e6), {"claude-4-5-sonnet": (1.0, 2.0)}) == pytest.approx(3)
    assert of_tokens("my-own", (1e6, 1e6), {}) is None


def test_a_judge_is_due_once_and_again_when_there_is_something_to_complete() -> None:
    base, lora = asked()
    one, ours, theirs = judge_in(lora), run(lora), run(base)

    def due(told: dict[str, Any] | None) -> list[str]:
        mine = replace(ours, judged={one.digest: told} if told else {})
        other = replace(theirs, judged={one.digest: body(one)})
        return [case.run.name for case in judged.cases([base, lora], [mine, other]) if judged.is_due(case)]

    assert due(None) == [ours.name]
    assert due(body(one, theirs.name)) == []
    assert due(body(one, "RUN_ANOTHER_1")) == [ours.name]
    assert due(body(one, theirs.name, refused=2, tries=1)) == [ours.name]
    assert due(body(one, theirs.name, refused=2, tries=3)) == []
    assert due(body(one, theirs.name, gold=None)) == [ours.name]
    assert due({**body(one, theirs.name), "version": 0}) == [ours.name]
    imported = replace(ours, provenance={"imported_by": "@ana"})
    assert judged.cases([lora], [imported]) == []


def test_each_judge_has_verdicts_of_its_own() -> None:
    (_, lora), (_, other) = asked(), asked(rubric="Is it polite?")
    one, two = judge_in(lora), judge_in(other)
    results = {"evaluation": {"scores": {"json_valid": {"mean": 1.0, "n": 6}}}}
    seen = run(lora, results=results, judged={one.digest: body(one), two.digest: body(two, mean=0.2)})
    means = {judge.digest: _mean(judged.seen_by(seen, judge.digest)) for judge in (one, two)}
    assert means == {one.digest: 0.7, two.digest: 0.2}
    assert judged.seen_by(seen, "") is seen
    assert list(scores.named(lora.spec["suite"])) == ["json_valid", JUDGE, PAIRWISE]


def _mean(seen: Run) -> float:
    scores = (seen.results or {})["evaluation"]["scores"]
    assert scores["json_valid"]["mean"] == 1.0
    return float(scores[JUDGE]["mean"])


def test_verdicts_are_compared_under_their_judge_alone() -> None:
    base, lora = asked()
    one = judge_in(lora)
    runs = [replace(run(each), judged={one.digest: body(one)}) for each in (base, lora)]
    due = judged.missing(one.digest, [base, lora], runs)
    assert [(mine.name, theirs.name) for mine, theirs in due.compared] == [(runs[1].name, runs[0].name)]
    values = {str(place): float(place % 2) for place in range(40)}
    wins = dict.fromkeys(values, 1.0)
    samples = {runs[0].name: {JUDGE: dict.fromkeys(values, 0.0)}, runs[1].name: {JUDGE: values, PAIRWISE: wins}}
    ((name, kind, told),) = judged.comparisons(one.digest, due, samples, {runs[1].name: runs[0].name})
    assert (name, kind, told["other"]) == (runs[1].name, "compared", f"{runs[0].name}@{one.digest}")
    assert {score: found["verdict"] for score, found in told["scores"].items()} == {
        JUDGE: "improved",
        PAIRWISE: "improved",
    }
    assert told["scores"][PAIRWISE]["mean_b"] == judged.EVEN
    known = replace(runs[1], comparisons={runs[0].name: {"scores": {"json_valid": {}}}, told["other"]: told})
    assert judged.missing(one.digest, [base, lora], [runs[0], known]).compared == ()
    merged = judged.seen_by(replace(known, results={"evaluation": {}}), one.digest).comparisons[runs[0].name]["scores"]
    assert merged.keys() == {"json_valid", JUDGE, PAIRWISE}


def test_agreement_beyond_chance() -> None:
    found = statistics.agreement({(0, 0): 20, (0, 1): 5, (1, 0): 10, (1, 1): 15}, 2)
    assert (found["n"], found["observed"], round(found["kappa"], 6)) == (50, 0.7, 0.4)
    assert 0.1 < found["low"] < 0.4 < found["high"] < 0.65
    assert statistics.agreement({(1, 1): 9}, 2)["kappa"] is None
    assert statistics.agreement({}, 2)["n"] == 0
    near, far = ({(0, 0): 9, (4, 4): 9, wrong: 4} for wrong in ((3, 4), (0, 4)))
    assert statistics.agreement(near, 5)["kappa"] > statistics.agreement(far, 5)["kappa"]


def test_a_matrix_has_no_winner_before_its_judge_has_spoken() -> None:
    told = {**TOLD, "pairwise": False, "gold": None}
    changes = {
        "suite.judge": {key: value for key, value in told.items() if value is not None},
        "suite.primary": JUDGE,
        "suite.data.validation": "SELECT * FROM NOTES WHERE SPLIT = 'validation'",
        "train.matrix": {"optimizer.learning_rate": [0.1, 0.2]},
    }
    matrix = experiment(**changes)
    one, other = all_variants([matrix])
    digest = one.digests.judge

    def winners(*means: float | None) -> list[str]:
        results = {"evaluation": {"scores": {"json_valid": {"mean": 1.0, "n": 6}}}}
        known = [
            run(each, results=results, judged={} if mean is None else {digest: body(judge_in(each), mean=mean)})
            for each, mean in zip((one, other), means, strict=True)
        ]
        return [each.name for each in decided([matrix], [one, other], known) if each.chosen_from]

    assert winners(0.3, None) == []
    assert winners(0.3, 0.6) == [other.name]
    assert winners(0.7, 0.6) == [one.name]
