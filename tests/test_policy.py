"""What is refused: every rule refused, allowed, excepted and expired, in each form that people see."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from builders import run, variant
from piste import approvals, policy, review
from piste.approvals import Approval
from piste.asked import Asked, asked
from piste.environment import Environment, Policy, PolicyException, Settings
from piste.errors import Refusal
from piste.experiment import Variant
from piste.journeys.refusing import refused
from piste.plan import Plan, plan
from piste.policy import ALLOWANCES, refusals
from piste.policy_rules import RULES, Case
from piste.rendering import plan_json, plan_text
from piste.resources import schema
from piste.run import Run, Status

LETTERS = [variant(letter, **{"train.gpus": number}) for number, letter in enumerate("abcdefghij", 1)]
RUNS = [run(one) for one in LETTERS]
NOW = "2026-11-28T10:00:00.000+00:00"
ONE = Asked(
    title="notes-lora",
    experiment="notes-lora",
    training="a" * 64,
    suite="b" * 64,
    owner="@ana",
    runtime="cpu-2026.11",
    pool="PISTE_CPU",
    family="CPU_X64_S",
    models={"@MODELS/small": "apache-2.0"},
    tables=("PISTE.DEV.NOTES",),
    credits=2.0,
    spender="@ana",
)
SPENT = run(
    variant("earlier", **{"train.gpus": 9}),
    provenance={"spender": "@ana", "rate": 3.0, "nodes": 2},
    started_at="2026-11-20T10:00:00.000+00:00",
    ended_at="2026-11-20T10:30:00.000+00:00",
)
"""It cost 3 credits."""


@dataclass(frozen=True)
class Tried:
    """A rule, bounds that `case` goes beyond, and such that it does not; `said` is what is refused."""

    rule: str
    refuses: dict[str, Any]
    allows: dict[str, Any]
    said: str
    case: Case = field(default_factory=lambda: Case([ONE], {"notes-lora"}, at=NOW))
    allowed_case: Case | None = None


def case(*of: Asked, **more: Any) -> Case:
    return Case(of, {one.title for one in of}, at=NOW, **more)


APPROVED = [Approval(12, "c" * 40, "@maria", {("a" * 64, "b" * 64): 2.0})]
EVERY = [
    Tried(
        "max-submissions",
        {"max_submissions": 1},
        {"max_submissions": 2},
        "2 jobs would be submitted at once; max_submissions is 1",
        case(ONE, replace(ONE, title="notes-lora/seed=2")),
    ),
    Tried(
        "max-vanished",
        {"max_vanished": 0.34},
        {"max_vanished": 0.7},
        "7 of the 10 experiments that the ledger knows are gone from git at once (d, e, f, g, h and 2 more);"
        " max_vanished is 0.34",
        case(runs=RUNS, desired=LETTERS[:3]),
    ),
    Tried(
        "max-credits",
        {},
        {},
        "may cost 2.00 credits; compute.max_credits is 1.5",
        case(replace(ONE, max_credits=1.5)),
        case(replace(ONE, max_credits=2)),
    ),
    Tried(
        "max-credits-per-action",
        {"max_credits_per_action": 1.5},
        {"max_credits_per_action": 2},
        "may cost 2.00 credits; max_credits_per_action is 1.5",
    ),
    Tried(
        "max-credits-per-plan",
        {"max_credits_per_plan": 3.9},
        {"max_credits_per_plan": 4},
        "2 actions together may cost 4.00 credits; max_credits_per_plan is 3.9",
        case(ONE, replace(ONE, title="notes-lora/seed=2")),
    ),
    Tried(
        "max-credits-per-month",
        {"max_credits_per_month": 4},
        {"max_credits_per_month": 5},
        "@ana has spent, or may spend with live runs, 3.00 credits in 2026-11, and what is due may cost 2.00 more;"
        " max_credits_per_month is 4",
        case(ONE, runs=[SPENT]),
    ),
    Tried(
        "allowed-pools",
        {"allowed_pools": ("PISTE_GPU_*", "other")},
        {"allowed_pools": ("piste_*",)},
        "the pool is PISTE_CPU, not one of PISTE_GPU_*, other (allowed_pools)",
    ),
    Tried(
        "allowed-families",
        {"allowed_families": ("GPU_*",)},
        {"allowed_families": ("GPU_*", "CPU_X64_?")},
        "the instance family is CPU_X64_S, not one of GPU_* (allowed_families)",
    ),
    Tried(
        "allowed-models",
        {"allowed_models": ("@MODELS/smaller*",)},
        {"allowed_models": ("@MODELS/sm*",)},
        "the model is @MODELS/small, not one of @MODELS/smaller* (allowed_models)",
    ),
    Tried(
        "allowed-licences",
        {"allowed_licences": ("mit",)},
        {"allowed_licences": ("mit", "Apache-*")},
        "@MODELS/small has the licence apache-2.0: not one of mit (allowed_licences)",
    ),
    Tried(
        "allowed-runtimes",
        {"allowed_runtimes": ("gpu-*",)},
        {"allowed_runtimes": ("cpu-*",)},
        "the runtime is cpu-2026.11, not one of gpu-* (allowed_runtimes)",
    ),
    Tried(
        "allowed-tables",
        {"allowed_tables": ("CLINIC.*",)},
        {"allowed_tables": ("PISTE.DEV.*",)},
        "it reads PISTE.DEV.NOTES, not one of CLINIC.* (allowed_tables)",
    ),
    Tried(
        "allowed-owners",
        {"allowed_owners": ("@acme/*",)},
        {"allowed_owners": ("@acme/*", "@ana")},
        "the owner @ana is not one of @acme/* (allowed_owners)",
    ),
    Tried(
        "pinned-inputs",
        {},
        {},
        "@DATA/notes may change under this name (pinned_inputs of the environment)",
        case(replace(ONE, unpinned=("@DATA/notes",)), pinned=True),
        case(replace(ONE, unpinned=("@DATA/notes",))),
    ),
    Tried(
        "reviewed-plan",
        {},
        {},
        "no merged pull request asked for training aaaaaaaaaaaa with suite bbbbbbbbbbbb",
        case(ONE, approved=[]),
        case(ONE, approved=APPROVED),
    ),
]
BY_RULE = pytest.mark.parametrize("tried", EVERY, ids=lambda tried: tried.rule)


def exception(rule: str, until: str) -> PolicyException:
    return PolicyException(rule, "*", "@maria", until, "The pilot.")


def by(tried: Tried, **more: Any) -> tuple[Refusal, ...]:
    return refusals(tried.case, Policy(**{**tried.refuses, **more}))


def test_every_rule_is_tried_and_has_a_key_or_is_another_s_own() -> None:
    assert [tried.rule for tried in EVERY] == [rule.name for rule in RULES]
    said = schema("settings")["properties"]["policy"]["properties"]
    assert {*said["exceptions"]["items"]["properties"]["rule"]["enum"]} == {rule.name for rule in RULES}
    keys = {key.replace("_", "-") for key in said} - {"resume-days", "backlog", "exceptions"}
    assert {rule.name for rule in RULES} - keys == {"max-credits", "pinned-inputs"}
    assert all(rule.forbids and rule.hint and (rule.of_action is None) != (rule.of_all is None) for rule in RULES)


def test_the_page_has_every_rule_as_the_table_does() -> None:
    page = (Path(__file__).parents[1] / "docs/policy.md").read_text()
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(rule.name, rule.forbids) for rule in RULES]


@BY_RULE
def test_refused(tried: Tried) -> None:
    found = by(tried)
    assert {one.rule for one in found} == {tried.rule}
    assert {one.message for one in found} == {tried.said}
    of_action = next(rule for rule in RULES if rule.name == tried.rule).of_action is not None
    assert [one.title for one in found] == ([one.title for one in tried.case.asked] if of_action else [""])


@BY_RULE
def test_allowed(tried: Tried) -> None:
    assert refusals(tried.allowed_case or tried.case, Policy(**tried.allows)) == ()


@BY_RULE
def test_excepted_until_the_end_of_its_last_day(tried: Tried) -> None:
    assert by(tried, exceptions=(exception(tried.rule, "2026-11-28"),)) == ()
    others = tuple(exception(other.rule, "2026-12-31") for other in EVERY if other.rule != tried.rule)
    assert by(tried, exceptions=others) == by(tried)
    elsewhere = replace(exception(tried.rule, "2026-12-31"), experiment="zebra-*")
    assert by(tried, exceptions=(elsewhere,)) == by(tried)


@BY_RULE
def test_expired_is_refused_again_and_says_so(tried: Tried) -> None:
    found = by(tried, exceptions=(exception(tried.rule, "2026-11-27"),))
    assert [one.rule for one in found] == [one.rule for one in by(tried)]
    assert {one.message for one in found} == {f"{tried.said}; the exception of @maria expired after 2026-11-27"}


@BY_RULE
def test_in_text_json_comment_and_exit_code(tried: Tried) -> None:
    found = by(tried)
    due = plan([variant()], [])
    text = plan_text(due, found)
    assert f"{tried.rule}: {tried.said}" in text
    assert "refused" not in plan_text(due)
    document = json.loads(plan_json(due, "snowflake", found))
    assert {(one["rule"], one["message"]) for one in document["refused"]} == {(tried.rule, tried.said)}
    assert [one.message for one in Draft202012Validator(schema("plan")).iter_errors(document)] == []
    said = review.comment(replace(review.whole(due), refused=found, head="4be1c0ffee"))
    assert f"**Refused** by `{tried.rule}`." in said
    assert review.cell(tried.said) in said
    assert "Change what is refused above" in said
    error = refused(found, "Nothing was submitted.")
    assert (error.exit_code, error.refusals) == (4, found)
    assert f"{tried.rule}: " in error.message
    assert tried.said in error.message
    assert error.hint.splitlines()[-1] == "Nothing was submitted."


def test_all_is_refused_at_once() -> None:
    bounds = Policy(max_credits_per_action=1, allowed_pools=("X",), allowed_owners=("@acme/*",), max_submissions=1)
    two = case(ONE, replace(ONE, title="notes-lora/seed=2", pool="X"))
    assert [(one.rule, one.title) for one in refusals(two, bounds)] == [
        ("max-submissions", ""),
        ("max-credits-per-action", "notes-lora"),
        ("max-credits-per-action", "notes-lora/seed=2"),
        ("allowed-pools", "notes-lora"),
        ("allowed-owners", "notes-lora"),
        ("allowed-owners", "notes-lora/seed=2"),
    ]
    error = refused(refusals(two, bounds), "Nothing was submitted.")
    assert error.message.splitlines()[1] == (
        "max-credits-per-action: notes-lora: may cost 2.00 credits; max_credits_per_action is 1"
    )
    assert len(error.hint.splitlines()) == 5


def test_only_what_is_against_accidents_may_be_allowed_at_once() -> None:
    many = EVERY[0]
    assert refusals(many.case, Policy(**many.refuses), allow=ALLOWANCES) == ()
    assert ALLOWANCES == ("max-submissions", "max-vanished")


def test_what_waits_in_a_queue_is_judged_and_is_no_submission() -> None:
    waiting = Case([ONE, replace(ONE, title="later")], {"notes-lora"}, at=NOW)
    assert refusals(waiting, Policy(max_submissions=1)) == ()
    assert [one.title for one in refusals(waiting, Policy(allowed_pools=()))] == ["notes-lora", "later"]


def test_without_an_account_only_what_can_be_told_is_judged() -> None:
    nobody = replace(ONE, pool="", family="", credits=None, models={"@MODELS/small": ""})
    offline = replace(case(nobody), live=False)
    every = {key: value for tried in EVERY for key, value in tried.refuses.items()}
    bounds = Policy(**{**every, "allowed_tables": ("CLINIC.*",)})
    told = ["allowed-models", "allowed-runtimes", "allowed-tables", "allowed-owners"]
    assert [one.rule for one in refusals(offline, bounds)] == told


def test_what_has_no_price_or_no_licence_is_refused_where_one_is_asked_for() -> None:
    unknown = case(replace(ONE, credits=None, models={"llama3.3-70b": ""}, owner="", family=""))
    bounds = Policy(
        max_credits_per_action=1,
        max_credits_per_plan=1,
        max_credits_per_month=1,
        allowed_families=("CPU_*",),
        allowed_licences=("*",),
        allowed_owners=("*",),
    )
    assert [str(one) for one in refusals(unknown, bounds)] == [
        "max-credits-per-action: notes-lora: what it may cost is not known, as its pool's instance family has no rate",
        "max-credits-per-plan: 1 of 1 actions have no price, as the instance family has no rate",
        "max-credits-per-month: notes-lora: what it may cost is not known, as its pool's instance family has no rate",
        "allowed-families: notes-lora: the instance family is unknown, not one of CPU_* (allowed_families)",
        "allowed-licences: notes-lora: llama3.3-70b has a licence that nobody told: not one of * (allowed_licences)",
        "allowed-owners: notes-lora: it has no owner",
    ]
    assert refusals(unknown, Policy()) == ()


LIVE = run(LETTERS[1], Status.RUNNING, Status.PENDING, provenance={"spender": "@ana", "rate": 0.5, "nodes": 4})
"""Its timeout is an hour, on one node by its documents."""


@pytest.mark.parametrize(
    ("runs", "credits"),
    [
        ([SPENT], 3.0),
        ([SPENT, LIVE], 3.5),
        ([replace(SPENT, training=Status.FAILED)], 3.0),
        ([replace(SPENT, provenance={**SPENT.provenance, "spender": "@bob"})], 0.0),
        ([replace(SPENT, provenance={**SPENT.provenance, "rate": None})], 0.0),
        ([replace(SPENT, started_at="2026-10-31T23:00:00+00:00", ended_at="2026-10-31T23:59:59+00:00")], 0.0),
        ([replace(SPENT, started_at="2026-10-31T23:00:00+00:00", ended_at="2026-11-01T00:00:00+00:00")], 6.0),
        ([replace(SPENT, started_at="")], 0.0),
        ([], 0.0),
    ],
)
def test_what_somebody_has_spent_this_month(runs: Sequence[Run], credits: float) -> None:
    assert case(ONE, runs=runs).spent.get("@ana", 0.0) == pytest.approx(credits)


def test_whoever_pays_is_told_apart_and_what_is_excepted_does_not_count() -> None:
    bob = replace(ONE, title="other", experiment="other", spender="@bob", credits=9.0)
    both = case(ONE, bob, runs=[SPENT])
    assert [one.title for one in refusals(both, Policy(max_credits_per_month=6))] == ["other"]
    excepted = replace(exception("max-credits-per-month", "2026-12-31"), experiment="earlier")
    assert len(refusals(case(ONE, runs=[SPENT]), Policy(max_credits_per_month=4))) == 1
    assert refusals(case(ONE, runs=[SPENT]), Policy(max_credits_per_month=4, exceptions=(excepted,))) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"credits": 2.01}, "it may cost 2.01 credits; #12 approved 2.00"),
        ({"suite": "d" * 64}, "#12 approved this training with another suite; nobody reviewed suite dddddddddddd"),
        ({"training": "d" * 64}, "no merged pull request asked for training dddddddddddd with suite bbbbbbbbbbbb"),
        ({"credits": None}, ""),
    ],
)
def test_what_nobody_reviewed_is_named(changes: dict[str, Any], said: str) -> None:
    assert approvals.lacking(replace(ONE, **changes), APPROVED) == said


def test_approvals_add_up_and_a_price_that_was_not_known_bounds_nothing() -> None:
    dearer = Approval(13, "d" * 40, "@maria", {("a" * 64, "b" * 64): 5.0, ("e" * 64, "b" * 64): None})
    assert approvals.covering(replace(ONE, credits=4.0), [*APPROVED, dearer]) is dearer
    assert approvals.covering(replace(ONE, training="e" * 64, credits=400.0), [dearer]) is dearer


def test_a_branch_approves_what_it_asks_for_beyond_where_it_began() -> None:
    before = {("a", "s"): 1.0, ("b", "s"): 1.0, ("c", "s"): 2.0, ("n", "s"): None}
    after = {("a", "s"): 1.0, ("b", "s"): 1.5, ("c", "s"): 1.0, ("d", "s"): 1.0, ("n", "s"): 3.0}
    assert approvals.new(after, before) == {("b", "s"): 1.5, ("d", "s"): 1.0}


def test_the_ledger_keeps_an_approval() -> None:
    from piste.observed import Event

    row = approvals.body(APPROVED[0])
    assert (row["other"], row["credits"]) == ("12", 2.0)
    event = Event(approvals.APPROVED, NOW, "approved", json.loads(json.dumps(row)))
    assert approvals.read([event]) == tuple(APPROVED)
    older = {**row, "identity": {**row["identity"], "digest": 0}}
    assert approvals.read([replace(event, body=older)]) == ()


ENVIRONMENT = Environment("prod", "PISTE", "DEV", pinned_inputs=True)


def facts(licences: dict[str, str] | None = None, told: dict[str, str] | None = None, **changes: Any) -> Asked:
    settings = Settings(policy=Policy(allowed_tables=("*",)), model_licences=told or {})
    return asked(variant(**changes), settings, ENVIRONMENT, licences or {})


def test_what_an_action_asks_for() -> None:
    found = facts({"small": "apache-2.0"}, **{"compute.max_credits": 3})
    assert (found.owner, found.runtime, found.max_credits) == ("@ana", "cpu-2026.11", 3)
    assert (found.models, found.tables) == ({"@MODELS/small": "apache-2.0"}, ("PISTE.DEV.NOTES",))
    assert found.unpinned == ()


@pytest.mark.parametrize(
    ("changes", "models"),
    [
        ({"train.inputs.base-model": "@piste.dev.models/small/"}, {"@MODELS/small": "mit"}),
        ({"train.inputs.base-model": "@HR.PUBLIC.FILES/encoder"}, {"@HR.PUBLIC.FILES/encoder": "gpl-3.0"}),
        ({"train.inputs.base-model": "@OTHER/small"}, {"@OTHER/small": ""}),
        ({"recipe.model.name_or_path": "org/model"}, {"@MODELS/small": "mit", "org/model": "llama3"}),
        ({"recipe.ref_model": {"name_or_path": "./inputs/base-model/x"}}, {"@MODELS/small": "mit"}),
        ({"recipe.ref_model": {"name_or_path": "org/other"}}, {"@MODELS/small": "mit", "org/other": ""}),
    ],
)
def test_models_and_their_licences(changes: dict[str, Any], models: dict[str, str]) -> None:
    told = {"@hr.public.FILES/encoder": "gpl-3.0", "org/model": "llama3", "@MODELS/small": "a lie"}
    assert facts({"small": "mit"}, told, **changes).models == models


@pytest.mark.parametrize(
    ("path", "pinned"),
    [
        ("@MODELS/small", True),
        ("@PISTE.DEV.MODELS/small/folder", True),
        ("@OTHER.DEV.MODELS/small", False),
        ("@DATA/notes", False),
        ("@DATA/notes/v3", True),
        ("@DATA/notes-v3/rows", True),
        ("@DATA/2026-11-28", True),
        ("@DATA/notes/1.2.0", True),
        ("@DATA/sha256=0f3a5b6c7d8e", True),
        ("@DATA/llama-70b", False),
        ("@DATA_V3/notes", False),
        ("@DATA", False),
    ],
)
def test_what_pinned_means(path: str, pinned: bool) -> None:
    assert facts(**{"train.inputs.rows": path}).unpinned == (() if pinned else (path,))


@pytest.mark.parametrize(
    ("changes", "unpinned"),
    [
        ({"recipe.model.name_or_path": "org/model"}, ("org/model",)),
        ({"recipe.data.sources": ["org/rows:train"]}, ("org/rows:train",)),
        ({"recipe.data.sources": [{"type": "huggingface", "name_or_path": "org/rows"}]}, ("org/rows",)),
        ({"recipe.data.sources": [{"type": "huggingface", "name_or_path": "./inputs/base-model"}]}, ()),
        ({"recipe.data.sources": [{"dataset_uri": "snow://dataset/A.B.C/versions/v1"}]}, ()),
        ({"recipe.data.sources": [{"dataset_uri": "snow://dataset/A.B.C"}]}, ("snow://dataset/A.B.C",)),
        ({"recipe.data.sources": [{"type": "snowflake", "table_name": "T"}]}, ()),
    ],
)
def test_what_else_may_change_under_its_name(changes: dict[str, Any], unpinned: tuple[str, ...]) -> None:
    assert facts(**changes).unpinned == unpinned


@dataclass(frozen=True)
class Gone:
    name: str
    runs: Sequence[Run]
    desired: Sequence[Variant]
    gone: int
    share: float = 0.34


ARCHIVED = [replace(one, archived="2026-11-21T10:00:00+00:00") for one in RUNS]
TRIED = [replace(one, provenance={"tried": True}) for one in RUNS]
VANISHED = [
    Gone("nothing is known", [], [], 0),
    Gone("all are there", RUNS, LETTERS, 0),
    Gone("one of four", RUNS[:4], LETTERS[:3], 0),
    Gone("two of two: too few to tell", RUNS[:2], [], 0),
    Gone("three of three", RUNS[:3], [], 3),
    Gone("the empty folder", RUNS, [], 10),
    Gone("as many as may be", RUNS, LETTERS[:7], 0, share=0.3),
    Gone("one more than may be", RUNS, LETTERS[:6], 4, share=0.3),
    Gone("all may", RUNS, [], 0, share=1),
    Gone("none may", RUNS, LETTERS[:7], 3, share=0),
    Gone("archived before", ARCHIVED, [], 0),
    Gone("archived before: no part of the share", ARCHIVED[:6] + RUNS[6:], LETTERS[9:], 3),
    Gone("tried from a branch", TRIED, [], 0),
    Gone("renamed folders", RUNS, [replace(one, experiment=f"new-{one.experiment}") for one in LETTERS], 0),
    Gone("changed recipes", RUNS, [variant(one.experiment, **{"recipe.micro_batch_size": 8}) for one in LETTERS], 0),
    Gone(
        "earlier versions of one experiment are one experiment",
        [run(variant("a", **{"train.gpus": gpus})) for gpus in range(1, 9)],
        [],
        0,
    ),
    Gone("of several versions one is asked for", [*RUNS, replace(RUNS[-1], experiment="a")], LETTERS[1:], 0, share=0),
]


@pytest.mark.parametrize("of", VANISHED, ids=lambda of: of.name)
def test_vanished(of: Gone) -> None:
    found = refusals(case(runs=of.runs, desired=of.desired), Policy(max_vanished=of.share))
    assert [one.message.split(" of ")[0] for one in found] == ([str(of.gone)] if of.gone else [])
    assert refusals(case(runs=of.runs, desired=of.desired), Policy(max_vanished=of.share), ["max-vanished"]) == ()


def test_a_run_s_own_bound() -> None:
    one = variant(**{"compute.max_credits": 0.5})
    assert policy.too_dear(one, 0.5) == ""
    assert policy.too_dear(one, 0.75) == "notes-lora may cost 0.75 credits; compute.max_credits is 0.5."
    assert policy.at_most(variant(**{"train.nodes": 2}), 0.25) == 0.5
    assert Plan(()).wanted == ()
