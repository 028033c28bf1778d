"""Why, how much, and what changed, over the life of two experiments on the double of the account."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from world import World

from faults.memory import Memory
from faults.sequences import account, memory, quick, recipe, repository, submit, until_nothing_is_due
from piste import git, history, journeys
from piste.journeys import Desired
from piste.plan import Action
from piste.rendering import cost_text, why


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[World]:
    made = repository(tmp_path / "repository")
    made.add("first", recipe(train_iters=1), cost_center="4711")
    made.commit("one experiment")
    with pytest.MonkeyPatch.context() as patch:
        quick(patch, git.provenance(made.root))
        yield made


def desired(tree: World) -> Desired:
    return journeys.read(tree.root)


def due(tree: World, world: Memory, name: str) -> Action:
    made = journeys.plan_live(desired(tree), account(world))
    return next(action for action in made.actions if action.variant.experiment == name)


def test_from_the_first_run_to_its_log(tree: World) -> None:
    world = memory()
    first = due(tree, world, "first")
    assert (why(first), cost_text(first.cost)) == ("new", "at most 0.0183 credits; no like run yet")
    until_nothing_is_due(lambda: desired(tree), account(world))
    tree.add("second", recipe(train_iters=2))
    second = due(tree, world, "second")
    assert why(second) == "new; like first but recipe.train_iters 1 → 2"
    assert second.cost is not None
    assert second.cost.basis == "1 run with @MODELS/tiny"
    assert second.cost.low == pytest.approx(300 / 3600 * 0.11), "a node that starts is billed for five minutes"
    tree.edit("experiments/first/recipe.yaml", train_iters=3)
    again = due(tree, world, "first")
    assert (why(again), again.against is not None) == ("recipe.train_iters 1 → 3", True)
    until_nothing_is_due(lambda: desired(tree), account(world))
    page = (tree.root / "experiments/first/report/README.md").read_text()
    assert "(list price); estimated 0.0092 credits by 1 run of it, at most 0.018 credits" in page

    found = journeys.log(desired(tree), account(world), "first")
    assert [len(entry.changes) for entry in found] == [1, 0]
    assert [(one.path, one.old, one.new, one.rule) for one in found[0].changes] == [
        ("recipe.train_iters", 1, 3, "train")
    ]
    between = journeys.difference(desired(tree), account(world), found[1].run.name, "second")
    assert (between.a, between.rule) == (found[1].run.name, "train")
    assert "recipe.train_iters  1 → 2" in history.difference_text(between)


def test_another_judge_of_what_is_kept_is_priced_although_nothing_is_submitted(tree: World) -> None:
    world = memory()
    until_nothing_is_due(lambda: desired(tree), account(world))
    assert due(tree, world, "first").cost is None
    judge = {"model": "claude-4-5-sonnet", "rubric": "None invented.", "scale": "pass_fail"}
    tree.edit("experiments/_suites/tiny-notes/suite.yaml", judge=judge)
    again = due(tree, world, "first")
    assert (again.verb, again.asks_judge) == ("keep", True)
    assert again.cost is not None
    assert again.cost.at_most == 0
    assert "the judge's tokens: " in cost_text(again.cost)


def test_what_was_estimated_survives_a_ledger_that_is_taken_over_from_reports(tree: World) -> None:
    world = memory()
    until_nothing_is_due(lambda: desired(tree), account(world))
    tree.edit("experiments/first/recipe.yaml", train_iters=3)
    until_nothing_is_due(lambda: desired(tree), account(world))
    tree.commit("reports")
    fresh = memory()
    journeys.import_reports(desired(tree), account(fresh))
    collected = journeys.collect(desired(tree), account(fresh))
    assert [path for path in collected.changed if "first" in str(path)] == []


def test_who_pays_is_in_the_comment_of_the_job_and_in_the_ledger(tree: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world, said = memory(), []
    on = account(world)
    real = on.submit

    def told(*arguments: object) -> str:
        said.append(arguments[-1])
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(on, "submit", told)
    submit(desired(tree), on)
    (comment,) = said
    words = str(comment).split()
    assert words[:2] == ["piste", "first"]
    assert {"owner=@ana", "cost_center=4711", "environment=dev"} <= {*words}
    before = due(tree, world, "first")
    tree.edit("experiments/first/experiment.yaml", cost_center="4712")
    assert due(tree, world, "first").verb == before.verb == "wait", "another cost center runs nothing again"
