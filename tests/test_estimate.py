"""What a plan says of costs: a bound for each action, what like runs took once there are any, tokens, totals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from builders import baseline, experiment, run, variant
from piste.cost import Estimate, total
from piste.environment import Pool
from piste.estimate import Prices, priced
from piste.experiment import Variant
from piste.nearest import explained
from piste.plan import Action, plan
from piste.policy import at_most
from piste.rendering import cost_text, plan_json, plan_text
from piste.report.result import cost_of
from piste.report.sections import _estimate
from piste.resources import schema
from piste.run import Run, Status
from piste.variants import variants

GPU = Pool("P", "GPU_NV_M", 4, "ACTIVE")
PRICES = Prices({"GPU_NV_M": 2.68, "GPU_NV_S": 0.57}, {"a-model": (1.0, 2.0)})
MINE = variant("mine", **{"recipe.optimizer.learning_rate": 3e-4})


def took(one: Variant, minutes: float, place: int = 0, **changes: Any) -> Run:
    """A run of it that took so long, on a node of GPU_NV_M."""
    at = f"2026-11-20T{10 + place:02}:00:00.000+00:00"
    end = f"2026-11-20T{10 + place:02}:{int(minutes):02}:{int(minutes % 1 * 60):02}.000+00:00"
    made = run(one, name=f"RUN_{place}", claimed_at=at, started_at=at, ended_at=end, **changes)
    return replace(made, provenance={**made.provenance, "family": "GPU_NV_M", "nodes": 1})


def actions(asked: Sequence[Variant], runs: Sequence[Run], pool: Pool | None = GPU) -> tuple[Action, ...]:
    made = plan(asked, runs)
    return priced(made.actions, made.runs, lambda _: pool, PRICES)


def estimate(one: Variant, *runs: Run, pool: Pool | None = GPU) -> Estimate:
    (action,) = actions([one], runs, pool)
    assert action.cost is not None
    return action.cost


def test_before_there_are_like_runs_there_is_a_bound_and_nothing_is_invented() -> None:
    found = estimate(MINE)
    assert found == Estimate(2.68)
    assert cost_text(found) == "at most 2.68 credits; no like run yet"


def test_a_pool_without_a_price_has_no_bound() -> None:
    assert cost_text(estimate(MINE, pool=Pool("P", "OF_TOMORROW", 1, ""))) == "no price is known; no like run yet"
    assert estimate(MINE, pool=None) == Estimate(None)


def test_runs_of_the_same_experiment_say_what_it_takes() -> None:
    of_it = [took(variant("mine", **{"recipe.epochs": place}), 10 + place, place) for place in (1, 2)]
    elsewhere = took(variant("other", **{"recipe.epochs": 9}), 50, 3)
    found = estimate(MINE, *of_it, elsewhere)
    assert (found.low, found.high) == (pytest.approx(11 / 60 * 2.68), pytest.approx(12 / 60 * 2.68))
    assert cost_text(found) == "at most 2.68 credits; 0.491 to 0.536 by 2 runs of it"


def test_else_runs_of_the_same_model_family_and_nodes_do() -> None:
    other = took(variant("other"), 10, 1)
    assert estimate(MINE, other).basis == "1 run with @MODELS/small"
    assert estimate(MINE, replace(other, provenance={**other.provenance, "family": "GPU_NV_S"})).basis == ""
    assert estimate(MINE, replace(other, provenance={**other.provenance, "nodes": 2})).basis == ""
    of_another = variant("other", **{"train.inputs": {"base-model": "@MODELS/large"}})
    assert estimate(MINE, took(of_another, 10, 1)).basis == ""
    assert estimate(MINE, replace(other, evaluation=Status.FAILED)).basis == ""
    assert estimate(MINE, replace(other, provenance={**other.provenance, "smoke": True})).basis == ""


def test_a_run_of_seconds_is_counted_as_its_node_is_billed() -> None:
    assert estimate(MINE, took(variant("mine"), 1.5, 1)).low == pytest.approx(0.223, rel=0.005)


def test_what_only_evaluates_is_like_what_only_evaluated() -> None:
    base = variants(baseline("notes-base"))[0]
    trained, evaluated = took(variant("mine"), 40, 1), took(variants(baseline("older"))[0], 6, 2)
    wanted = replace(base, digests=replace(base.digests, training="e" * 64))
    assert estimate(wanted, trained, evaluated).high == pytest.approx(0.1 * 2.68)


JUDGE = {"model": "claude-4-5-sonnet", "rubric": "Every finding, none invented.", "scale": "pass_fail"}


def test_the_judge_s_tokens_are_in_it_as_far_as_they_are_known() -> None:
    judged = variant("mine", **{"suite.judge": JUDGE})
    assert cost_text(estimate(judged)) == (
        "at most 2.68 credits; no like run yet; not in it: the judge's tokens: how many rows is not known"
    )
    on_pool = variant("mine", **{"suite.judge": {**JUDGE, "model": "@MODELS/judge"}})
    assert estimate(on_pool).unknown == (), "it judges within the run"
    said = {judged.digests.judge: {"judge": {"credits": 0.3}}}
    before = took(variant("mine", **{"suite.judge": JUDGE, "recipe.epochs": 2}), 30, 1, judged=said)
    found = estimate(judged, before)
    assert (found.at_most, found.low, found.unknown) == (pytest.approx(2.98), pytest.approx(1.34 + 0.3), ())
    assert found.nodes == (pytest.approx(1.34), pytest.approx(1.34))


LIMITED = {"sql": "SELECT ID, DIALOGUE, NOTE FROM NOTES LIMIT 50", "key": "ID"}
UNPRICED = {**JUDGE, "model": "of-nobody"}
GOLD = {"sql": "SELECT * FROM GOLD", "answer": "ANSWER", "verdict": "VERDICT"}
ABOUT = "the judge's tokens: about {} more at most"
ROWS_UNKNOWN = "not in it: the judge's tokens: how many rows is not known"
GOLD_UNKNOWN = "not in it: the judge's gold answers: how many is not known"


@pytest.mark.parametrize(
    ("judge", "data", "said"),
    [
        (JUDGE, LIMITED, ABOUT.format("0.31")),
        ({**JUDGE, "rubric": "x" * 20_000}, LIMITED, ABOUT.format("0.73")),
        ({**JUDGE, "sections": ["facts", "style"]}, LIMITED, ABOUT.format("0.45")),
        ({**JUDGE, "model": "llama3.3-70b"}, LIMITED, ABOUT.format("0.047")),
        ({**JUDGE, "pairwise": True}, LIMITED, ABOUT.format("0.31")),
        ({**JUDGE, "gold": GOLD}, LIMITED, f"{ABOUT.format('0.31')}; {GOLD_UNKNOWN}"),
        (JUDGE, None, ROWS_UNKNOWN),
        (UNPRICED, LIMITED, "not in it: the judge's tokens: of-nobody has no price"),
        ({**JUDGE, "model": "@MODELS/judge"}, LIMITED, ""),
    ],
)
def test_a_judge_that_was_never_asked_is_estimated_beside_the_bound(
    judge: dict[str, Any], data: dict[str, Any] | None, said: str
) -> None:
    one = variant("mine", **{"suite.judge": judge, **({"suite.data": data} if data else {})})
    found = estimate(one)
    assert cost_text(found) == "; ".join(filter(None, ("at most 2.68 credits; no like run yet", said)))
    assert found.at_most == at_most(one, 2.68), "what a policy goes by is a bound, and has no estimate in it"


def test_pairs_are_estimated_where_there_is_something_to_compare_with() -> None:
    told = {"suite.judge": {**JUDGE, "pairwise": True}, "suite.data": LIMITED}
    alone, both = (estimate(variant("mine", **told, **more)).judge for more in ({}, {"compare": "notes-base"}))
    assert alone is not None
    assert both is not None
    assert 3 * alone < both < 3.2 * alone, "two more questions for each row, with two answers in each"


def test_another_judge_s_questions_say_how_long_rows_are() -> None:
    told = {"judged": 20, "required": 0, "unparsed": 0, "refused": 0, "estimated_tokens": [20 * 300, 1000]}
    results = {"evaluation": {"samples": 20, "scores": {}}}
    older = variant("mine", **{"suite.judge": {**JUDGE, "rubric": "Briefly."}, "recipe.epochs": 2})
    before = took(older, 30, 1, results=results, judged={older.digests.judge: {"judge": told}})
    found = estimate(variant("mine", **{"suite.judge": JUDGE}), before)
    assert cost_text(found) == "at most 2.68 credits; 1.34 by 1 run of it; the judge's tokens: about 0.07 more at most"


def hosted(name: str, **changes: Any) -> Variant:
    one = experiment(name, **changes)
    return variants(replace(one, recipe=None, document={**one.document, "train": {"hosted": "a-model"}}, files={}))[0]


def test_a_hosted_model_s_tokens_are_in_it_once_it_has_answered() -> None:
    one = hosted("asked")
    assert estimate(one).unknown == ("tokens of a-model",)
    used = {"evaluation": {"read_tokens": 2_000_000, "tokens": 500_000, "samples": 10_000, "scores": {}}}
    others = {"evaluation": {"tokens": 9, "samples": 10_000, "scores": {}}}
    found = estimate(one, took(variant("local"), 30, 1, results=others))
    assert (found.at_most, found.unknown) == (pytest.approx(2.68 + 3.2), ("tokens that a-model reads",))
    again = replace(one, digests=replace(one.digests, training="e" * 64))
    found = estimate(again, took(hosted("before"), 30, 1, results=used))
    most = 2.0 + 10_000 * 160 * 2 / 1e6
    assert (found.at_most, found.low) == (pytest.approx(2.68 + most), pytest.approx(1.34 + 3.0))


def test_totals() -> None:
    asked = [MINE, variant("theirs", **{"recipe.epochs": 7, "train.inputs": {"base-model": "@MODELS/large"}})]
    made = plan(asked, [took(variant("mine"), 30, 1)])
    made = replace(made, actions=priced(made.actions, made.runs, lambda _: GPU, PRICES))
    found = total(made.actions)
    assert found is not None
    assert (found.at_most, found.low, found.unknown) == (5.36, pytest.approx(1.34), ("1 without like runs",))
    assert plan_text(made).splitlines()[-1] == (
        "together at most 5.36 credits; 1.34 by like runs; not in it: 1 without like runs"
    )
    told = json.loads(plan_json(explained(made), "snowflake"))
    assert list(Draft202012Validator(schema("plan")).iter_errors(told)) == []
    assert told["cost"]["at_most"] == 5.36
    assert [one["cost"]["basis"] for one in told["actions"]] == ["1 run of it", ""]
    assert total(plan(asked, []).actions) is None


def test_totals_of_judges() -> None:
    told = {"suite.judge": JUDGE, "suite.data": LIMITED}
    unlimited = variant("other", **{"suite.judge": JUDGE, "recipe.epochs": 7})
    made = plan([variant("mine", **told), variant("more", **told, **{"recipe.epochs": 8}), unlimited], [])
    made = replace(made, actions=priced(made.actions, made.runs, lambda _: GPU, PRICES))
    each, also, none = (action.cost.judge for action in made.actions if action.cost)
    assert (each, none) == (also, None)
    assert plan_text(made).splitlines()[-1] == (
        f"together at most 8.04 credits; no like run yet; {ABOUT.format('0.63')}; {ROWS_UNKNOWN}"
    )
    assert json.loads(plan_json(explained(made), "snowflake"))["cost"]["judge"] == pytest.approx(2 * (each or 0))


def test_what_is_kept_costs_nothing() -> None:
    (action,) = actions([variant("mine")], [took(variant("mine"), 30, 1)])
    assert action.cost is None


def test_what_is_kept_and_judged_anew_costs_the_judge_s_tokens() -> None:
    ran = took(variant("mine", **{"suite.data": LIMITED}), 30, 1)
    judged = variant("mine", **{"suite.judge": JUDGE, "suite.data": LIMITED})
    made = plan([judged], [ran])
    made = replace(made, actions=priced(made.actions, made.runs, lambda _: None, PRICES))
    (action,) = made.actions
    assert (action.verb, action.asks_judge) == ("keep", True)
    about = "the judge's tokens: about 0.31 at most"
    assert cost_text(action.cost) == about
    assert plan_text(made).splitlines()[-1] == f"together {about}"
    told = json.loads(plan_json(made, "snowflake"))
    assert list(Draft202012Validator(schema("plan")).iter_errors(told)) == []
    assert (told["cost"]["at_most"], told["cost"]["judge"]) == (0, pytest.approx(0.31, abs=0.005))


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        (JUDGE, "the judge's tokens: about 0.3 at most"),
        ({**JUDGE, "rubric": "Another."}, ROWS_UNKNOWN),
        ({**JUDGE, "model": "of-nobody"}, "not in it: the judge's tokens: of-nobody has no price"),
    ],
)
def test_what_the_same_judge_took_for_others_stands_for_what_is_kept(judge: dict[str, Any], said: str) -> None:
    kept = variant("mine", **{"suite.judge": judge})
    known = {variant("other", **{"suite.judge": JUDGE}).digests.judge: {"judge": {"credits": 0.3}}}
    other = took(variant("other", **{"suite.judge": JUDGE, "recipe.epochs": 5}), 30, 2, judged=known)
    (action,) = actions([kept], [took(variant("mine"), 30, 1), other])
    assert (action.verb, cost_text(action.cost)) == ("keep", said)


def test_what_is_trained_and_what_is_only_judged_make_one_total() -> None:
    ran = took(variant("mine", **{"suite.data": LIMITED}), 30, 1)
    asked = [
        variant("mine", **{"suite.judge": JUDGE, "suite.data": LIMITED}),
        variant("mine", **{"suite.data": LIMITED, "recipe.epochs": 9}),
    ]
    found = total(actions(asked, [ran]))
    assert found is not None
    assert cost_text(found) == "at most 2.68 credits; 1.34 by like runs; the judge's tokens: about 0.31 more at most"


def test_a_report_says_what_was_estimated() -> None:
    one = took(variant("mine"), 10, 1)
    told = cost_of(one, PRICES.rates)
    assert told is not None
    assert _estimate(told) == "estimated at most 2.7 credits"
    before = {"low": 0.4, "high": 0.5, "basis": "3 runs of it"}
    told = cost_of(replace(one, provenance={**one.provenance, "estimate": before}), PRICES.rates)
    assert told is not None
    assert _estimate(told) == "estimated 0.4 credits to 0.5 credits by 3 runs of it, at most 2.7 credits"
