"""A matrix on a suite with two splits, from the merge until nothing is due."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from world import SUITE, World

from faults.sequences import account, baseline, memory, quick, recipe, reports, repository, submit, until_nothing_is_due
from piste import git, journeys
from piste.plan import Verb


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[World]:
    made = repository(tmp_path / "repository")
    baseline(made, "base")
    rows = SUITE["data"] | {"validation": "SELECT * FROM NOTES WHERE SPLIT = 'validation'"}
    made.write("experiments/_suites/tiny-notes/suite.yaml", SUITE | {"data": rows})
    rates = {"optimizer.learning_rate": [0.1, 0.2]}
    made.add("swept", recipe(train_iters=1), compare="base", **{"train.matrix": rates})
    made.commit("a matrix")
    with pytest.MonkeyPatch.context() as patch:
        quick(patch, git.provenance(made.root))
        yield made


def test_the_winner_of_a_matrix_is_scored_on_test_and_nothing_is_trained_twice(tree: World) -> None:
    world = memory()
    plan = until_nothing_is_due(lambda: journeys.read(tree.root), account(world))
    labels = [action.variant.label for action in plan.actions]
    assert labels[:2] == ["base (test)", "base (validation)"]
    assert [label.rpartition(" ")[2] for label in labels[2:]] == ["(validation)", "(validation)", "(test)"]
    assert {action.verb for action in plan.actions} == {Verb.KEEP}
    assert [world.trainings[digest] for digest in world.trainings] == [1, 1]
    winner = plan.actions[-1].variant
    found = {path.removeprefix("experiments/").removesuffix("report.json") for path in reports(tree.root)}
    assert found == {
        "base/report/", "base/report/validation/", f"swept/report/test/{winner.name}/",
        "swept/report/learning_rate=0.1/", "swept/report/learning_rate=0.2/",
    }  # fmt: skip


def test_offline_the_reports_tell_the_winner(tree: World) -> None:
    world = memory()
    live = until_nothing_is_due(lambda: journeys.read(tree.root), account(world))
    offline, problems = journeys.plan_offline(journeys.read(tree.root))
    assert not problems
    assert [one.variant.label for one in offline.actions] == [one.variant.label for one in live.actions]
    assert {action.verb for action in offline.actions} == {Verb.KEEP}


def test_what_is_tried_on_a_branch_is_adopted_by_the_merge_and_only_then_seen_on_test(tree: World) -> None:
    world = memory()
    tree.add("mine", recipe(train_iters=2), compare="base")
    tree.commit("mine")
    desired = journeys.read(tree.root)
    seen, _ = journeys.settle(desired, account(world))
    due = journeys.plan_live(desired, account(world), ["mine"], (), seen, tried=True)
    tried = [*journeys.apply(desired, account(world), due, True, ())]
    assert {one.action.variant.split for one in tried} == {"validation"}
    world.run_jobs()
    later = journeys.plan_live(journeys.read(tree.root), account(world), ["mine"])
    (action,) = later.actions
    assert (action.variant.split, action.steps) == ("test", ("generate", "score"))
    assert "not scored on test yet" in action.reason
    submit(journeys.read(tree.root), account(world), ["mine"])
    world.run_jobs()
    assert list(world.trainings.values()) == [1]
