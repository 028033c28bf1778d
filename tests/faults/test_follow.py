"""Waiting for runs outlasts a Snowflake that does not answer, and stops what takes too long."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import World

from faults.memory import Memory, MemoryAccount, Moment, Statement
from faults.sequences import account, memory, quick, repository, submit
from piste import journeys
from piste.errors import SnowflakeUnreachable
from piste.journeys import Look
from piste.run import Status

PROVENANCE = {"actor": "@ana", "commit": "3f2c9d1aa", "branch": "main", "dirty": False}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    quick(monkeypatch, PROVENANCE)
    made = repository(tmp_path / "repository")
    made.add("tuned")
    return made


class Clock:
    """Time that goes on only while somebody waits; jobs work meanwhile, if `working`, and stop where they are told."""

    def __init__(self, world: Memory, working: bool) -> None:
        self.world, self.working, self.now = world, working, 0.0

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.world.advance(seconds)
        for job in self.world.jobs:
            if self.working or job.status == "CANCELLING":
                self.world.step(job)


def outage(clock: Clock, first: float, last: float) -> MemoryAccount:
    def hook(statement: Statement, moment: Moment) -> None:
        if first <= clock.now < last and moment == "before":
            raise SnowflakeUnreachable("Snowflake does not answer.")

    return account(clock.world, hook)


def follow(tree: World, clock: Clock, first: float, last: float) -> list[Look]:
    (submission,) = submit(journeys.read(tree.root), account(clock.world))
    on = outage(clock, first, last)
    return list(journeys.follow(on, [submission.claim], clock.pause, seconds=5.0, clock=clock))


def test_an_outage_of_ten_minutes_does_not_end_the_wait(tree: World) -> None:
    clock = Clock(memory(), working=True)
    looks = follow(tree, clock, 10.0, 610.0)
    assert max(look.silence for look in looks) >= 600.0
    assert looks[-1].silence == 0.0
    assert [run.training for run in looks[-1].runs] == [Status.DONE]
    assert clock.now > 600.0


def test_an_outage_that_does_not_end_ends_the_wait(tree: World) -> None:
    clock = Clock(memory(), working=False)
    with pytest.raises(SnowflakeUnreachable):
        follow(tree, clock, 10.0, float("inf"))
    assert clock.now > 3600.0


def test_who_waits_cancels_what_overstays_its_timeout(tree: World) -> None:
    clock = Clock(memory(), working=False)
    (submission,) = submit(journeys.read(tree.root), account(clock.world))
    for _ in range(3):
        clock.world.step(clock.world.jobs[0])
    for _ in journeys.follow(account(clock.world), [submission.claim], clock.pause, seconds=30.0, clock=clock):
        assert clock.now < 2 * 3600.0
    journeys.settle(journeys.read(tree.root), account(clock.world))
    (event,) = [event for event in clock.world.events if event.kind == "ended"]
    assert event.body["failure"]["kind"] == "timeout"
