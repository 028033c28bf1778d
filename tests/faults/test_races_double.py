"""Races on the double: appliers that take turns statement by statement, and one that stalls until the grace is over.

Each applier is a thread, and one of them runs at a time: at each statement it hands over to whom a seed chooses.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from world import World

from faults.memory import Hook, Moment, Statement
from faults.sequences import (
    PAST_GRACE,
    account,
    memory,
    quick,
    reading,
    recipe,
    repository,
    submit,
    until_nothing_is_due,
    verbs,
)
from piste import git, journeys
from piste.journeys import Desired, Submission
from piste.observed import CLAIM

APPLIERS, EXPERIMENTS = 8, 20


@dataclass
class Turns:
    """Threads of which one runs at a time. `hook(n)` is what the n-th calls at each of its statements."""

    choose: Callable[[list[int]], int]
    waiting: dict[int, threading.Event] = field(default_factory=dict)
    failures: list[BaseException] = field(default_factory=list)

    def hook(self, number: int) -> Hook:
        def hand_over(statement: Statement, moment: Moment) -> None:
            other = self.choose(sorted(self.waiting))
            if other != number:
                self.waiting[other].set()
                self.waiting[number].wait()
                self.waiting[number].clear()

        return hand_over

    def run(self, work: list[Callable[[], None]]) -> None:
        self.waiting = {number: threading.Event() for number in range(len(work))}
        threads = [threading.Thread(target=self._run, args=item, daemon=True) for item in enumerate(work)]
        for thread in threads:
            thread.start()
        self.waiting[0].set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "an applier hangs"
        if self.failures:
            raise self.failures[0]

    def _run(self, number: int, work: Callable[[], None]) -> None:
        self.waiting[number].wait()
        self.waiting[number].clear()
        try:
            work()
        except BaseException as error:
            self.failures.append(error)
        del self.waiting[number]
        if self.waiting:
            self.waiting[self.choose(sorted(self.waiting))].set()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = repository(tmp_path_factory.mktemp("races") / "repository")
    for number in range(EXPERIMENTS):
        made.add(f"e-{number}", recipe(train_iters=number + 1), **{"compute.max_parallel": 4})
    made.commit("twenty experiments")
    with pytest.MonkeyPatch.context() as patch:
        quick(patch, git.provenance(made.root))
        yield made


@pytest.fixture(scope="module")
def desired(tree: World) -> Desired:
    return journeys.read(tree.root)


@pytest.mark.parametrize("seed", range(12))
def test_eight_appliers_train_each_of_twenty_experiments_once(desired: Desired, seed: int) -> None:
    world, chance = memory(), random.Random(seed)
    turns, came = Turns(chance.choice), list[list[Submission]]()
    turns.run(
        [lambda n=number: came.append(submit(desired, account(world, turns.hook(n)))) for number in range(APPLIERS)]
    )
    world.run_jobs()
    assert len(world.jobs) == EXPERIMENTS, "who loses submits nothing"
    assert list(world.trainings.values()) == [1] * EXPERIMENTS
    assert list(world.successes.values()) == [1] * EXPERIMENTS
    assert {job.claim.rsplit("_", 1)[1] for job in world.jobs} == {"1"}, "nobody began a second attempt"
    outcomes = [one for applier in came for one in applier]
    assert sum(one.job is not None for one in outcomes) == EXPERIMENTS
    assert {one.taken_by for one in outcomes if one.job is None} <= {"ana"}


@pytest.mark.parametrize("seed", range(6))
def test_jobs_run_while_eight_appliers_race_and_reports_are_collected(
    desired: Desired, seed: int, tmp_path: Path
) -> None:
    """Two of them collect instead, and one is the platform: jobs go on between any two statements."""
    world, chance = memory(nodes=6), random.Random(seed)
    (tmp_path / "runtime.txt").write_bytes((desired.root / "runtime.txt").read_bytes())
    (tmp_path / "experiments").mkdir()
    read, turns = reading(desired, tmp_path), Turns(chance.choice)

    def hook(number: int) -> Hook:
        hand_over = turns.hook(number)

        def work_and_hand_over(statement: Statement, moment: Moment) -> None:
            if world.live:
                world.step(chance.choice(world.live))
            hand_over(statement, moment)

        return work_and_hand_over

    def apply(number: int) -> None:
        submit(read(), account(world, hook(number)))

    def collect(number: int) -> None:
        journeys.collect(read(), account(world, hook(number)))

    turns.run([lambda n=number: (collect if n < 2 else apply)(n) for number in range(APPLIERS)])
    until_nothing_is_due(read, account(world))
    assert world.overlaps == []
    assert list(world.trainings.values()) == [1] * EXPERIMENTS
    assert list(world.successes.values()) == [1] * EXPERIMENTS


STALLS: dict[str, tuple[str, Moment]] = {
    "between claim and record": ("CREATE STAGE", "after"),
    "between record and a look at the fence": ("INSERT INTO LEDGER RUN", "after"),
    "between that look and EXECUTE": ("CALL SYSTEM$EXECUTE_ML_JOB", "before"),
    "after EXECUTE": ("CALL SYSTEM$EXECUTE_ML_JOB", "after"),
}


@pytest.mark.parametrize("jobs", ["jobs wait", "jobs run at once"])
@pytest.mark.parametrize("listed", ["listed", "not listed"])
@pytest.mark.parametrize("stall", STALLS)
def test_a_stalled_applier_that_wakes_after_the_grace_trains_nothing_twice(
    desired: Desired, stall: str, listed: str, jobs: str
) -> None:
    world, woke = memory(), list[str]()
    (kind, at), one = STALLS[stall], ["e-0"]

    def stalls(statement: Statement, moment: Moment) -> None:
        if not woke and moment == at and str(statement).startswith(kind):
            woke.append(str(statement))
            meanwhile()

    def meanwhile() -> None:
        """The laptop sleeps; a schedule goes on with what it left."""
        if jobs == "jobs run at once":
            world.run_jobs()
        world.advance(PAST_GRACE)
        world.hidden = listed == "not listed"
        submit(desired, account(world), one)
        world.advance(PAST_GRACE)
        submit(desired, account(world), one)
        if jobs == "jobs run at once":
            world.run_jobs()

    submit(desired, account(world, stalls), one)
    world.run_jobs()
    world.hidden = False
    world.advance(PAST_GRACE)
    submit(desired, account(world), one)
    world.run_jobs()
    assert woke
    assert world.overlaps == []
    assert list(world.trainings.values()) == list(world.successes.values()) == [1]
    journeys.settle(desired, account(world))
    assert verbs(journeys.plan_live(desired, account(world), one)) == {"e-0": "keep"}
    assert all(CLAIM.match(job.name) for job in world.jobs)


def test_a_stalled_applier_says_who_went_on(desired: Desired) -> None:
    world, woke = memory(), list[bool]()

    def stalls(statement: Statement, moment: Moment) -> None:
        if not woke and statement.kind == "INSERT INTO LEDGER" and "RUN_" in statement.target and moment == "after":
            woke.append(True)
            world.advance(PAST_GRACE)
            submit(desired, account(world), ["e-0"])

    (came,) = submit(desired, account(world, stalls), ["e-0"])
    assert (came.job, came.taken_by) == (None, "ana for attempt 2")


@pytest.mark.parametrize("stall", STALLS)
def test_who_comes_within_the_grace_waits_for_who_was_first(desired: Desired, stall: str) -> None:
    world, (kind, at), came = memory(), STALLS[stall], list[list[Submission]]()

    def stalls(statement: Statement, moment: Moment) -> None:
        if not came and moment == at and str(statement).startswith(kind):
            world.advance(PAST_GRACE - 120)
            came.append(submit(desired, account(world), ["e-0"]))

    (first,) = submit(desired, account(world, stalls), ["e-0"])
    assert came == [[]]
    assert first.job == world.jobs[0].name
    assert len(world.jobs) == 1
