"""What an apply refuses until it is told that it is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from builders import run, variant
from piste.environment import Policy
from piste.errors import PolicyRefused
from piste.experiment import Variant
from piste.plan import Plan, plan
from piste.policy import ALLOWANCES, refusals
from piste.run import Run

LETTERS = [variant(letter, **{"train.gpus": number}) for number, letter in enumerate("abcdefghij", 1)]
RUNS = [run(one) for one in LETTERS]
NOTHING = Plan(())


def refused(due: Plan, runs: Sequence[Run], desired: Sequence[Variant], policy: Policy, *allow: str) -> str:
    try:
        refusals(due, runs, desired, policy, allow)
    except PolicyRefused as refusal:
        return f"{refusal.message}\n{refusal.hint}"
    return ""


@pytest.mark.parametrize(("most", "allow", "passes"), [(9, (), False), (10, (), True), (9, ("many",), True)])
def test_many_submissions(most: int, allow: tuple[str, ...], passes: bool) -> None:
    said = refused(plan(LETTERS, []), [], LETTERS, Policy(max_submissions=most), *allow)
    assert said == (
        ""
        if passes
        else "10 jobs would be submitted at once; max_submissions is 9.\n"
        "If that is meant: --allow many, or raise max_submissions in [tool.piste.policy] of pyproject.toml. "
        "Nothing was submitted."
    )


def test_only_what_submits_counts() -> None:
    assert refused(plan(LETTERS, RUNS), RUNS, LETTERS, Policy(max_submissions=1)) == ""


def test_vanished_says_which() -> None:
    assert refused(NOTHING, RUNS, LETTERS[:3], Policy()) == (
        "7 of the 10 experiments that the ledger knows are gone from git at once "
        "(d, e, f, g, h and 2 more); max_vanished is 0.34.\n"
        "If that is meant: --allow vanished, or raise max_vanished in [tool.piste.policy] of pyproject.toml. "
        "Nothing was submitted."
    )


@dataclass(frozen=True)
class Case:
    name: str
    runs: Sequence[Run]
    desired: Sequence[Variant]
    gone: int
    share: float = 0.34


ARCHIVED = [replace(one, archived="2026-11-21T10:00:00+00:00") for one in RUNS]
TRIED = [replace(one, provenance={"tried": True}) for one in RUNS]
CASES = [
    Case("nothing is known", [], [], 0),
    Case("all are there", RUNS, LETTERS, 0),
    Case("one of four", RUNS[:4], LETTERS[:3], 0),
    Case("two of two: too few to tell", RUNS[:2], [], 0),
    Case("three of three", RUNS[:3], [], 3),
    Case("the empty folder", RUNS, [], 10),
    Case("as many as may be", RUNS, LETTERS[:7], 0, share=0.3),
    Case("one more than may be", RUNS, LETTERS[:6], 4, share=0.3),
    Case("all may", RUNS, [], 0, share=1),
    Case("none may", RUNS, LETTERS[:7], 3, share=0),
    Case("archived before", ARCHIVED, [], 0),
    Case("archived before: no part of the share", ARCHIVED[:6] + RUNS[6:], LETTERS[9:], 3),
    Case("tried from a branch", TRIED, [], 0),
    Case("renamed folders", RUNS, [replace(one, experiment=f"new-{one.experiment}") for one in LETTERS], 0),
    Case("changed recipes", RUNS, [variant(one.experiment, **{"recipe.micro_batch_size": 8}) for one in LETTERS], 0),
    Case(
        "earlier versions of one experiment are one experiment",
        [run(variant("a", **{"train.gpus": gpus})) for gpus in range(1, 9)],
        [],
        0,
    ),
    Case("of several versions one is asked for", [*RUNS, replace(RUNS[-1], experiment="a")], LETTERS[1:], 0, share=0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_vanished(case: Case) -> None:
    said = refused(NOTHING, case.runs, case.desired, Policy(max_vanished=case.share))
    assert said.split(" of ")[0] == (str(case.gone) if case.gone else "")
    assert refused(NOTHING, case.runs, case.desired, Policy(max_vanished=case.share), "vanished") == ""


def test_everything_is_refused_at_once() -> None:
    desired = [variant("new"), variant("newer", **{"train.gpus": 2})]
    due, known, policy = plan(desired, []), RUNS[2:], Policy(max_submissions=1)
    said = refused(due, known, desired, policy)
    assert said.splitlines() == [
        "2 jobs would be submitted at once; max_submissions is 1.",
        "8 of the 8 experiments that the ledger knows are gone from git at once "
        "(c, d, e, f, g and 3 more); max_vanished is 0.34.",
        "If that is meant: --allow many --allow vanished, or raise max_submissions and max_vanished in "
        "[tool.piste.policy] of pyproject.toml. Nothing was submitted.",
    ]
    assert "max_submissions" not in refused(due, known, desired, policy, "many")
    assert refused(due, known, desired, policy, *ALLOWANCES) == ""
