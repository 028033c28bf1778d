"""Faults everywhere, random lives and an account that forgets, through the whole real stack."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass, field

from faults.proxy import Fault, Kind, share
from faults.stack import ENDLESS, GRACE_SECONDS, Stack
from faults.striking import Boundary, asked_for_once, strike, trained_once


def test_faults_everywhere(hurt: Stack, soak: bool) -> None:
    """A tenth of all statements fails in one of many ways; commands may fail and say so, and all ends well."""
    kinds: list[Kind] = ["drop-before", "drop-after", "http-503-before", "http-500-after", "expire-token", "reset"]
    operations, round_ = 0, 0
    numbers: dict[str, int] = {}
    while operations < (1000 if soak else 80):
        numbers |= hurt.add([f"faulty-{round_}"], 30_000 + round_)
        hurt.proxy.reset()
        hurt.proxy.plan([Fault(kind, share(0.1 / len(kinds), seed=10 * round_ + i)) for i, kind in enumerate(kinds)])
        for command in (["apply", "--allow", "max-submissions"], ["status"], ["collect"]):
            done = hurt.piste(*command, proxied=True)
            assert done.code in (0, 1), done.err
            assert "Traceback" not in done.err, done.err
        operations, round_ = operations + hurt.proxy.count, round_ + 1
    hurt.proxy.reset()
    hurt.until_jobs_ended()
    hurt.globe.advance(GRACE_SECONDS)
    hurt.converge()
    trained_once(hurt, numbers)
    print(f"\nfaults: {operations} statements, a tenth of them hit")


@dataclass
class Life:
    """A repository whose people do things at random; the double lives thousands of them (test_model.py)."""

    stack: Stack
    name: str
    chance: random.Random
    first: int
    asked: dict[str, int] = field(default_factory=dict)

    def step(self) -> None:
        some = [self.edit, self.reword, self.rename] if self.asked else []
        self.chance.choice([self.add, *some, self.apply, self.apply, self.collect, self.later, self.forget])()

    def add(self, name: str = "") -> None:
        self.first += 1
        name = name or f"{self.name}-{self.first}"
        self.asked |= self.stack.add([name], self.first)

    def edit(self) -> None:
        self.add(self.chance.choice(sorted(self.asked)))

    def reword(self) -> None:
        name = self.chance.choice(sorted(self.asked))
        self.stack.world.edit(f"experiments/{name}/experiment.yaml", title=f"Said anew {self.chance.random()}")

    def rename(self) -> None:
        old = self.chance.choice(sorted(self.asked))
        new = f"{self.name}-renamed-{self.first}-{len(old)}"
        experiments = self.stack.world.root / "experiments"
        if not (experiments / new).exists():
            (experiments / old).rename(experiments / new)
            shutil.rmtree(experiments / new / "report", ignore_errors=True)
            self.asked[new] = self.asked.pop(old)

    def apply(self) -> None:
        self.hit("apply", "--allow", "max-submissions", "--allow", "max-vanished")

    def collect(self) -> None:
        self.hit("collect")

    def hit(self, *command: str) -> None:
        kinds: list[Kind] = ["kill-before", "kill-after", "drop-after", "drop-before", "reset"]
        at = Boundary(self.chance.choice(kinds), self.chance.randrange(1, 80))
        assert strike(self.stack, at, *command) in (-9, 0, 1)

    def later(self) -> None:
        self.stack.globe.advance(GRACE_SECONDS)

    def forget(self) -> None:
        self.stack.globe.forget_jobs()


def test_random_lives(hurt: Stack, soak: bool) -> None:
    for number in range(20 if soak else 1):
        life = Life(hurt, f"life-{number}", random.Random(number), 50_000 + 100 * number)
        life.add()
        for _ in range(30 if soak else 12):
            life.step()
        hurt.proxy.reset()
        hurt.until_jobs_ended()
        hurt.globe.advance(GRACE_SECONDS)
        hurt.converge()
        trained_once(hurt, life.asked)
        assert all(count == 1 for trained, count in hurt.trainings.items() if trained < ENDLESS)
        print(f"\n{number + 1} lives of the whole stack", flush=True)


def test_a_login_that_ends_in_the_middle_is_renewed(hurt: Stack) -> None:
    for kind in ("expire-token", "end-session"):
        hurt.proxy.reset()
        hurt.proxy.plan([Fault(kind, when=2, most=1)])  # type: ignore[arg-type]
        done = hurt.piste("status", proxied=True)
        assert done.code == 0, done.err


def test_amnesia(hurt: Stack) -> None:
    """Snowflake forgets its jobs, at once or with the time: nothing is due."""
    hurt.converge()
    before = len(hurt.jobs())
    hurt.globe.forget_jobs()
    for _ in range(3):
        assert hurt.piste("apply").out.startswith("nothing to do")
        hurt.globe.advance(15 * 24 * 3600.0)
    assert hurt.piste("collect").out == "nothing to do\n"
    assert len(hurt.jobs()) <= before


def test_every_training_was_asked_for_once(hurt: Stack) -> None:
    asked_for_once(hurt, 3)
