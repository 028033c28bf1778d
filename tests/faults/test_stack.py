"""Crashes, lost replies, races and faults through the whole real stack: a sample here, every boundary with --soak."""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults.proxy import Fault, Kind, share
from faults.stack import ENDLESS, GRACE_SECONDS, Stack, stack


@pytest.fixture(scope="module")
def soak(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="module")
def hurt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An account that executes a repeated request again, as the real one may."""
    with stack(tmp_path_factory.mktemp("stack"), replies="forget") as made:
        yield made


@dataclass(frozen=True)
class Boundary:
    """Where a command is hit: before or after its statement of that number."""

    kind: Kind
    number: int


def boundaries(kinds: Sequence[Kind], statements: int, sample: int, soak: bool) -> list[Boundary]:
    every = [Boundary(kind, number) for number in range(1, statements + 1) for kind in kinds]
    step = 1 if soak else max(1, len(every) // sample)
    return every[::step]


def count(stack: Stack, *command: str) -> int:
    """How many statements a command sends when nothing happens to it."""
    stack.proxy.reset()
    done = stack.piste(*command, proxied=True)
    assert done.code == 0, done.err
    return stack.proxy.count


def strike(stack: Stack, at: Boundary, *command: str) -> int:
    """Run a command that is hit there; its exit code."""
    stack.proxy.reset()
    stack.proxy.plan([Fault(at.kind, when=at.number, most=1)])
    process = stack.start(*command, proxied=True)
    stack.proxy.victim = process.pid
    done = process.wait()
    assert "Traceback" not in done.err, done.err
    return done.code


def trained_once(stack: Stack, numbers: dict[str, int]) -> None:
    assert {number: stack.trainings[number] for number in numbers.values()} == dict.fromkeys(numbers.values(), 1)
    for name in numbers:
        report = stack.report(name)
        assert (report["status"], report["training_status"], report["evaluation_status"]) == ("done", "done", "done")
    assert stack.piste("collect").out == "nothing to do\n"


def test_apply_killed_at_its_statements(hurt: Stack, soak: bool) -> None:
    hurt.add(["measured"], 100)
    statements = count(hurt, "apply", "measured")
    chosen = boundaries(("kill-before", "kill-after"), statements, 7, soak)
    names = [f"killed-{at.kind[5:]}-{at.number}" for at in chosen]
    numbers = hurt.add(names, 1000)
    codes = [strike(hurt, at, "apply", name) for at, name in zip(chosen, names, strict=True)]
    assert set(codes) <= {-9, 0}
    assert codes.count(-9) > len(codes) // 2
    hurt.globe.advance(GRACE_SECONDS)
    hurt.converge()
    trained_once(hurt, numbers)
    print(f"\napply: {statements} statements, killed at {len(chosen)} boundaries, trained {len(numbers)} times")


def test_apply_whose_replies_are_lost(hurt: Stack, soak: bool) -> None:
    hurt.add(["measured-again"], 200)
    statements = count(hurt, "apply", "measured-again")
    chosen = boundaries(("drop-after",), statements, 4, soak)
    chosen += [Boundary("drop-after", statements - 2)] if not soak else []
    names = [f"lost-{at.number}" for at in chosen]
    numbers = hurt.add(names, 2000)
    codes = [strike(hurt, at, "apply", name) for at, name in zip(chosen, names, strict=True)]
    assert set(codes) == {0}
    hurt.globe.advance(GRACE_SECONDS)
    hurt.converge()
    trained_once(hurt, numbers)
    print(f"\napply: each of {len(chosen)} replies lost, trained {len(numbers)} times")


def test_collect_killed_at_its_statements(hurt: Stack, soak: bool) -> None:
    hurt.add(["ended-0"], 300)
    assert hurt.piste("apply", "ended-0").code == 0
    hurt.until_jobs_ended()
    statements = count(hurt, "collect")
    chosen = boundaries(("kill-before", "kill-after", "drop-after"), statements, 5, soak)
    names = [f"ended-{at.kind}-{at.number}" for at in chosen]
    numbers = hurt.add(names, 3000)
    if not soak:  # one collect may then record the ends of several
        assert hurt.piste("apply", *names).code == 0
        hurt.until_jobs_ended()
    for at, name in zip(chosen, names, strict=True):
        assert not soak or hurt.piste("apply", name).code == 0
        hurt.until_jobs_ended()
        assert strike(hurt, at, "collect") in (-9, 0)
    assert hurt.piste("collect").code == 0
    trained_once(hurt, numbers)
    print(f"\ncollect: {statements} statements, hit at {len(chosen)} boundaries")


def test_eight_appliers_at_once(hurt: Stack, soak: bool) -> None:
    for round_ in range(20 if soak else 2):
        numbers = hurt.add([f"raced-{round_}-{index}" for index in range(20)], 10_000 + 100 * round_)
        appliers = [hurt.start("apply", "--allow", "many", *numbers) for _ in range(8)]
        ended = [process.wait() for process in appliers]
        said = [done.out + done.err for done in ended]
        assert [done.code for done in ended] == [0] * 8, said
        hurt.until_jobs_ended()
        assert sum(text.count(": submitted RUN_") for text in said) == 20
        assert any("was faster" in text or "to wait for" in text for text in said)
        assert sum(hurt.trainings[number] for number in numbers.values()) == 20
        hurt.converge()
        trained_once(hurt, numbers)
    print(f"\nraces: {round_ + 1} rounds of 8 appliers, 20 trainings each")


STALLED = {
    "before its claim": r"CREATE STAGE RUN_\w+_1 ",
    "before the claim's row": r"INSERT INTO LEDGER",
    "before its last look": r"SHOW STAGES LIKE 'RUN.*STARTED",
    "before the job": r"SYSTEM\$EXECUTE_ML_JOB",
}


@pytest.mark.parametrize("where", STALLED)
def test_an_applier_that_wakes_after_the_grace_trains_nothing(hurt: Stack, where: str) -> None:
    index = list(STALLED).index(where)
    numbers = hurt.add([f"stalled-{index}"], 20_000 + index)
    hurt.proxy.reset()
    asleep = Fault("delay", STALLED[where], most=1, seconds=14)
    hurt.proxy.plan([asleep])
    process = hurt.start("apply", f"stalled-{index}", proxied=True)
    end = time.monotonic() + 60
    while not any(seen.fault for seen in hurt.proxy.statements):
        assert time.monotonic() < end
        time.sleep(0.1)
    hurt.globe.advance(GRACE_SECONDS)
    assert hurt.piste("apply", f"stalled-{index}").code == 0
    done = process.wait()
    assert done.code == 0, done.err
    hurt.until_jobs_ended()
    hurt.converge()
    trained_once(hurt, numbers)


def test_faults_everywhere(hurt: Stack, soak: bool) -> None:
    """A tenth of all statements fails in one of many ways; commands may fail and say so, and all ends well."""
    kinds: list[Kind] = ["drop-before", "drop-after", "http-503-before", "http-500-after", "expire-token", "reset"]
    operations, round_ = 0, 0
    numbers: dict[str, int] = {}
    while operations < (1000 if soak else 80):
        numbers |= hurt.add([f"faulty-{round_}"], 30_000 + round_)
        hurt.proxy.reset()
        hurt.proxy.plan([Fault(kind, share(0.1 / len(kinds), seed=10 * round_ + i)) for i, kind in enumerate(kinds)])
        for command in (["apply", "--allow", "many"], ["status"], ["collect"]):
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
        self.hit("apply", "--allow", "many", "--allow", "vanished")

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
    print(f"\n{number + 1} lives")


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


def test_a_platform_failure_is_tried_again_after_a_while_and_cancel_leaves_nothing(hurt: Stack) -> None:
    hurt.add(["unlucky"], ENDLESS)
    assert hurt.piste("apply", "unlucky").code == 0
    hurt.globe.lose_node(hurt.until_training(ENDLESS))
    hurt.until_jobs_ended()
    assert "the platform failed; tried again after" in hurt.piste("apply", "unlucky").out
    hurt.globe.advance(6 * 60.0)
    done = hurt.piste("apply", "unlucky")
    assert "another try after RUN_" in done.out
    end = time.monotonic() + 60
    while hurt.trainings[ENDLESS] < 2:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert "cancelled unlucky" in hurt.piste("cancel", "unlucky").out
    hurt.until_jobs_ended()
    assert processes(hurt) == []
    assert hurt.piste("collect").code == 0
    (found,) = hurt.piste("status", "unlucky", "--format", "json").json()
    assert (found["health"], found["training"], found["failure"]["kind"]) == ("degraded", "cancelled", "cancelled")


def test_a_job_that_overstays_its_timeout_is_cancelled(hurt: Stack) -> None:
    number = ENDLESS + 1
    hurt.add(["overdue"], number)
    assert hurt.piste("apply", "overdue").code == 0
    hurt.until_training(number)
    hurt.globe.advance(5 * 3600.0 + 11 * 60)
    assert hurt.piste("collect").code == 0
    hurt.until_jobs_ended()
    assert processes(hurt) == []
    assert hurt.piste("collect").code == 0
    assert hurt.report("overdue")["failure"]["kind"] == "timeout"
    action = hurt.world.actions("overdue")["overdue"]
    assert (action["action"], action["reason"][:26]) == ("blocked", "stopped by compute.timeout")


def test_what_git_no_longer_asks_for_is_archived_listed_and_deleted_only_by_name(hurt: Stack) -> None:
    hurt.add(["parted", "kept"], 40_000)
    hurt.converge()
    (run,) = (one["run"] for one in hurt.piste("status", "parted", "--format", "json").json())
    shutil.rmtree(hurt.world.root / "experiments/parted")
    hurt.world.commit("part")
    assert f"{run}: nothing in git asks for it any more" in hurt.piste("plan").out
    assert hurt.piste("apply").code == 0
    (found,) = hurt.piste("status", "parted", "--format", "json").json()
    assert (found["sync"], bool(found["archived"])) == ("not in git", True)
    listed = {one["run"]: one for one in hurt.piste("gc", "--format", "json").json()}
    assert listed[run]["bytes"] > 1000
    needed = hurt.piste("status", "kept", "--format", "json").json()[0]["run"]
    assert hurt.piste("gc", "--delete", needed, "--delete", run).code == 1
    assert hurt.piste("gc", "--delete", run).out == f"deleted {run} (stage)\n"
    assert run not in {one["run"] for one in hurt.piste("gc", "--format", "json").json()}
    assert hurt.piste("apply").out.startswith("nothing to do")


def processes(stack: Stack) -> list[str]:
    """Command lines of all that jobs of this account left running."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"SNOWGLOBE_JOB={stack.directory}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
    return found


def test_every_training_was_asked_for_once(hurt: Stack) -> None:
    """Over all that this module did, but for what a platform's failure repeated."""
    once = {number: count for number, count in hurt.trainings.items() if number < ENDLESS}
    assert len(once) > 50
    assert {*once.values()} == {1}


LOAD = Path(__file__).with_name("load.py")


def test_500_live_runs_are_observed_as_5_are(tmp_path: Path, soak: bool) -> None:
    count = "500" if soak else "50"
    command = [sys.executable, str(LOAD), str(tmp_path), count]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    few, many = (line.split() for line in done.stdout.splitlines()[-2:])
    assert (few[0], many[0]) == ("5", count)
    assert few[1] == many[1] == "3"
    print("\n" + done.stdout)
