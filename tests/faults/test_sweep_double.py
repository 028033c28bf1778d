"""Crash sweep: apply and collect die, or lose a reply, at every single statement; the next reconciles mend it.

The repository has a training, a baseline that it is compared with, an evaluation of what was trained before, an attempt
after a claim that came to nothing, and one after the platform failed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from world import World

from faults.memory import Killed, Memory, Statement
from faults.sequences import (
    PAST_GRACE,
    TROUBLES,
    Trouble,
    account,
    baseline,
    memory,
    other_suite,
    quick,
    reading,
    recipe,
    rendered,
    repository,
    submit,
    until_nothing_is_due,
)
from piste import git, journeys, observed
from piste.errors import SnowflakeRefused
from piste.journeys import Desired
from piste.run import Status

Journey = Callable[[Desired, Memory, Trouble], None]


def apply_it(desired: Desired, world: Memory, trouble: Trouble) -> None:
    submit(desired, account(world, trouble))


def collect_it(desired: Desired, world: Memory, trouble: Trouble) -> None:
    journeys.collect(desired, account(world, trouble))


@dataclass(frozen=True)
class Start:
    """Where a journey begins: the account's world, the tree, what git asks for, and how it ends undisturbed.

    `mended` are the worlds that a disturbed journey left and that came to their end well: dying after a statement
    leaves the same as dying before the next, and what follows depends on nothing else.
    """

    journey: Journey
    world: Memory
    root: Path
    desired: Desired
    count: int
    expected: dict[str, str]
    trainings: dict[str, int]
    mended: set[object] = field(default_factory=set)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = repository(tmp_path_factory.mktemp("sweep") / "repository")
    with pytest.MonkeyPatch.context() as patch:
        quick(patch, git.provenance(made.root))
        yield made


@pytest.fixture(scope="module")
def before(tree: World) -> tuple[Memory, Path]:
    """What all begins with: something trained, a claim that nobody went on with, and a node lost."""
    world = memory()
    tree.add("trained", recipe(train_iters=1))
    until_nothing_is_due(lambda: journeys.read(tree.root), account(world))
    tree.add("claimed-only", recipe(train_iters=2))
    with pytest.raises(Killed):
        submit(journeys.read(tree.root), account(world, killed_at(world, tree.root, "CREATE STAGE")))
    tree.add("node-lost", recipe(train_iters=3))
    submit(journeys.read(tree.root), account(world), ["node-lost"])
    world.step(world.jobs[-1])
    world.lose(world.jobs[-1])
    journeys.settle(journeys.read(tree.root), account(world))
    world.advance(PAST_GRACE)
    other_suite(tree, "other-notes")
    tree.add("evaluated-again", recipe(train_iters=1), **{"evaluate.suite": "other-notes"})
    tree.add("new", recipe(train_iters=4), compare="base")
    baseline(tree, "base")
    tree.commit("all of it")
    return world, tree.root


def killed_at(world: Memory, root: Path, kind: str) -> Trouble:
    """Right after the first statement of that kind."""
    dry = Trouble()
    submit(journeys.read(root), account(world.copy(), dry))
    return Trouble("killed after", next(i for i, one in enumerate(dry.seen, 1) if one.kind == kind))


@pytest.fixture(scope="module", params=["apply", "collect"])
def start(
    request: pytest.FixtureRequest, before: tuple[Memory, Path], tmp_path_factory: pytest.TempPathFactory
) -> Start:
    world, root = before[0].copy(), copied(before[1], tmp_path_factory.mktemp("start"))
    desired = journeys.read(root)
    journey = apply_it
    if request.param == "collect":
        submit(desired, account(world))
        world.run_jobs()
        journey = collect_it
    dry, undisturbed = Trouble(), world.copy()
    journey(desired, undisturbed, dry)
    say(request, dry.seen)
    end = copied(root, tmp_path_factory.mktemp("end"))
    until_nothing_is_due(reading(desired, end), account(undisturbed))
    return Start(journey, world, root, desired, len(dry.seen), rendered(end), dict(undisturbed.trainings))


def say(request: pytest.FixtureRequest, statements: list[Statement]) -> None:
    """The boundaries, for `pytest -rP` or `-s`."""
    kinds = [one.kind for one in statements]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    print(f"{request.param}: {len(kinds)} statements ({counted}), {2 * len(kinds)} boundaries")


def copied(root: Path, to: Path) -> Path:
    """With all but git, which has said by now who asks."""
    return Path(shutil.copytree(root, to / "repository", ignore=shutil.ignore_patterns(".git")))


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("jobs", ["jobs wait", "jobs run at once"])
def test_every_statement(start: Start, trouble: str, jobs: str, tmp_path: Path) -> None:
    for number in range(1, start.count + 1):
        writes = start.journey is collect_it
        world, root = start.world.copy(), copied(start.root, tmp_path / str(number)) if writes else start.root
        disturbed, died = Trouble(trouble, number), False
        try:
            start.journey(reading(start.desired, root)(), world, disturbed)
        except (Killed, SnowflakeRefused):
            died = True
        if jobs == "jobs run at once":
            world.run_jobs()
        if (left := (died, world.fingerprint())) in start.mended:
            continue
        start.mended.add(left)
        root = root if writes else copied(start.root, tmp_path / str(number))
        until_nothing_is_due(reading(start.desired, root), account(world))
        check(start, world, root, f"{trouble} statement {number}, {disturbed.seen[number - 1]}; {jobs}")


def check(start: Start, world: Memory, root: Path, where: str) -> None:
    assert world.overlaps == [], where
    assert set(world.successes.values()) == {1}, where
    assert dict(world.trainings) == start.trainings, where
    latest = {run.title: run for run in observed.runs(account(world).observe()) if run.experiment != "claimed-only"}
    assert all(run.evaluation is Status.DONE for run in latest.values()), where
    assert not [run.name for run in latest.values() if run.live], where
    found = rendered(root)
    differ = {path: (found.get(path), text) for path, text in start.expected.items() if found.get(path) != text}
    assert not differ, where
    assert found.keys() == start.expected.keys(), where


def test_there_is_something_to_sweep(start: Start) -> None:
    assert start.count > (60 if start.journey is apply_it else 15)
