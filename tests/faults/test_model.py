"""Random lives of a repository and its account, and what holds after each of them.

PISTE_SOAK=1 runs 2,000 sequences of 30 steps, a test run a share of them.

Bugs that were planted, one at a time, and removed again, with the sequences it took to find them (of the first 450):

| planted | found by | after |
|---|---|---|
| a job does not mind its fence | nothing_trains_twice | 54 |
| the attempt before is not shut | nothing_trains_twice | 54 |
| the fence is not looked at before submitting | come_to_rest: does not come to rest | 8 |
| the training digest covers the title | nothing_is_trained_again: a second success | 19 |
| an upgrade does not make old digests again | nothing_is_trained_again: a second success | 19 |
| failures of the recipe count as the platform's | nothing_is_trained_again: again without --retry | 14 |
| a report holds something random | come_to_rest: does not come to rest | 2 |
| rows that were never written are not mended | finished_runs_stay_finished: unrecorded | 14 |
| stages of what nothing asks for are dropped | nothing_is_deleted | 8 |
| a finished run is lost when its job is not listed | finished_runs_stay_finished | 48 |

Three more need what one reconciler at a time never meets, or cost nothing that is counted here; others hold them: a
claim with IF NOT EXISTS and a grace of zero (test_races_double.py: who loses submits nothing, who comes early waits),
an unlisted job that counts as ended (test_amnesia.py).
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.internal.cache import LRUCache
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from builders import baseline, experiment
from faults.memory import Hook, Killed, MemoryAccount, MemoryJob, quiet
from faults.sequences import (
    ENVIRONMENT,
    TROUBLES,
    Trouble,
    memory,
    quick,
    reports,
    submit,
    until_nothing_is_due,
)
from piste import digest, journeys, observed
from piste.environment import Policy, Runtime, Settings
from piste.errors import SnowflakeRefused
from piste.experiment import Experiment
from piste.journeys import Desired
from piste.plan import Plan, Verb
from piste.policy import ALLOWANCES
from piste.run import FAULTS, Status
from piste.variants import variants

SOAK = bool(os.environ.get("PISTE_SOAK"))
SEQUENCES, STEPS = (2000, 30) if SOAK else (120, 30)
HOUR, DAY = 3600.0, 86400.0
SETTINGS = Settings(
    "dev",
    "cpu-2026.11",
    {"dev": ENVIRONMENT},
    {"cpu-2026.11": Runtime("cpu-2026.11", "runtime.txt")},
    {"CPU_X64_S": 0.11},
    Policy(max_submissions=100, max_vanished=1.0),
)
PROVENANCE = {"actor": "@ana", "commit": "3f2c9d1aa", "branch": "main", "dirty": False}
NAMES = ("red", "green", "blue", "white")


@dataclass(frozen=True)
class Asked:
    """What an experiment asks for. `weights` 0 trains nothing; the others are learning rates."""

    weights: int = 1
    tokens: int = 160
    score: str = "json_valid"
    prose: int = 0
    compare: str = ""


@cache
def made(name: str, asked: Asked, version: int) -> Experiment:
    """`version` is that of the semantics: digests are made with it."""
    changes: dict[str, Any] = {"title": f"Title {asked.prose}", "owner": f"@owner-{asked.prose % 2}"}
    if asked.compare:
        changes["compare"] = asked.compare
    suite = {"suite.generate.max_new_tokens": asked.tokens, "suite.scores": [{"name": asked.score}]}
    if asked.weights == 0:
        found = baseline(name)
        same = experiment(name, **suite)
        return replace(found, document={**found.document, **changes}, suite=same.suite)
    rate = {"recipe.optimizer.learning_rate": asked.weights / 1000}
    return experiment(name, **{"files.train.py": None, "train.files": None}, **changes, **suite, **rate)


@cache
def made_variants(name: str, asked: Asked, version: int) -> tuple[Any, ...]:
    return variants(made(name, asked, version))


CRITICAL = ("CREATE STAGE", "INSERT INTO LEDGER", "CALL SYSTEM$EXECUTE_ML_JOB")
tries = st.builds(Trouble, st.sampled_from(list(TROUBLES)), st.integers(1, 3), st.sampled_from(CRITICAL)) | st.builds(
    Trouble, st.sampled_from(list(TROUBLES)), st.integers(1, 45)
)
maybe = st.none() | tries
index = st.integers(0, 7)
some_asked = st.builds(
    Asked,
    weights=st.sampled_from([1, 1, 2, 3, 0]),
    tokens=st.sampled_from([160, 160, 32]),
    score=st.sampled_from(["json_valid", "exact_match"]),
    prose=st.integers(0, 2),
    compare=st.sampled_from(["", "", "red"]),
)


class Life(RuleBasedStateMachine):
    """A repository, an account, and people who do things to both."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.root = Path(self.directory.name)
        (self.root / "runtime.txt").write_text("torch==2.13.0\n")
        (self.root / "experiments").mkdir()
        self.world = memory(nodes=3)
        self.tree: dict[str, Asked] = {}
        self.branch: dict[str, Asked] = {}
        self.history: list[dict[str, Asked]] = []
        self.committed: dict[str, bytes] = {}
        self.version = 1
        self.stalled: tuple[Desired, Plan] | None = None
        self.weights: dict[str, int] = {}
        self.retried: Counter[int] = Counter()
        self.finished: dict[str, tuple[Status | None, Status | None]] = {}
        set_version(1)

    def teardown(self) -> None:
        try:
            self.come_to_rest()
        finally:
            set_version(1)
            self.directory.cleanup()

    # What is asked for.

    def desired(self, tree: Mapping[str, Asked] | None = None) -> Desired:
        tree = self.tree if tree is None else tree
        known = {name: replace(one, compare=one.compare if one.compare in tree else "") for name, one in tree.items()}
        experiments = tuple(made(name, known[name], self.version) for name in sorted(known))
        found = tuple(v for name in sorted(known) for v in made_variants(name, known[name], self.version))
        self.weights |= {v.digests.training: known[v.experiment].weights for v in found}
        return Desired(self.root, self.root, SETTINGS, experiments, found, self.committed)

    def on(self, hook: Hook = quiet) -> MemoryAccount:
        return MemoryAccount(self.world, ENVIRONMENT, hook)

    def trying(self, what: Callable[[MemoryAccount], object], trouble: Trouble | None) -> None:
        try:
            what(self.on(replace(trouble, seen=[]) if trouble else quiet))
        except (Killed, SnowflakeRefused):
            assert trouble

    # Edits.

    @initialize(asked=some_asked)
    def begin(self, asked: Asked) -> None:
        self.tree = {"red": asked}

    @rule(name=st.sampled_from(NAMES), asked=some_asked)
    def edit(self, name: str, asked: Asked) -> None:
        self.history.append(self.tree)
        self.tree = {**self.tree, name: asked}

    @rule(at=index, name=st.sampled_from(NAMES))
    def rename(self, at: int, name: str) -> None:
        old = sorted(self.tree)[at % len(self.tree)]
        self.history.append(self.tree)
        self.tree = {**{one: asked for one, asked in self.tree.items() if one != old}, name: self.tree[old]}

    @precondition(lambda self: len(self.tree) > 1)
    @rule(at=index)
    def remove(self, at: int) -> None:
        gone = sorted(self.tree)[at % len(self.tree)]
        self.history.append(self.tree)
        self.tree = {name: asked for name, asked in self.tree.items() if name != gone}

    @precondition(lambda self: self.history)
    @rule(at=index)
    def revert(self, at: int) -> None:
        self.tree = self.history[-1 - at % len(self.history)]

    # What people and schedules do.

    @rule(trouble=maybe)
    def apply(self, trouble: Trouble | None) -> None:
        self.trying(lambda on: submit(self.desired(), on), trouble)

    @rule(number=st.integers(1, 2))
    def die_when_it_is_submitted(self, number: int) -> None:
        self.apply(Trouble("killed after", number, "CALL SYSTEM$EXECUTE_ML_JOB"))

    @rule()
    def plan_and_stall(self) -> None:
        desired = self.desired()
        self.stalled = desired, journeys.plan_live(desired, self.on())

    @precondition(lambda self: self.stalled)
    @rule(trouble=maybe)
    def wake(self, trouble: Trouble | None) -> None:
        """Somebody applies a plan that was made before all that happened since,."""
        assert self.stalled is not None
        desired, due = self.stalled
        self.stalled = None
        self.trying(lambda on: list(journeys.apply(desired, on, due, allow=ALLOWANCES)), trouble)

    @rule(at=index, trouble=maybe)
    def retry(self, at: int, trouble: Trouble | None) -> None:
        name = sorted(self.tree)[at % len(self.tree)]
        self.retried[self.tree[name].weights] += 1
        self.trying(lambda on: submit(self.desired(), on, [name], [name]), trouble)

    @rule(trouble=maybe)
    def collect(self, trouble: Trouble | None) -> None:
        self.trying(lambda on: journeys.collect(self.desired(), on), trouble)
        self.committed = reports(self.root)

    @rule(name=st.sampled_from(NAMES), asked=some_asked, trouble=maybe)
    def run_from_a_branch(self, name: str, asked: Asked, trouble: Trouble | None) -> None:
        self.branch = {name: asked}
        tree = {**self.tree, **self.branch}
        self.trying(lambda on: submit(self.desired(tree), on, [name], tried=True), trouble)

    @rule()
    def merge(self) -> None:
        self.history.append(self.tree)
        self.tree = {**self.tree, **self.branch}

    @rule(at=index, trouble=maybe)
    def cancel(self, at: int, trouble: Trouble | None) -> None:
        name = sorted(self.tree)[at % len(self.tree)]
        self.trying(lambda on: journeys.cancel(self.desired(), on, name), trouble)

    @precondition(lambda self: self.version < 3)
    @rule()
    def upgrade(self) -> None:
        """A new piste, whose hooks would train otherwise."""
        self.version += 1
        self.stalled = None
        set_version(self.version)

    # What the platform does.

    @precondition(lambda self: self.world.live)
    @rule(at=index, steps=st.integers(1, 9), mute=st.booleans())
    def work(self, at: int, steps: int, mute: bool) -> None:
        job = self.world.live[at % len(self.world.live)]
        job.mute = mute
        for _ in range(steps):
            self.world.step(job)

    @precondition(lambda self: self.world.live)
    @rule(at=index, kind=st.sampled_from(sorted(FAULTS)), mute=st.booleans())
    def fail(self, at: int, kind: str, mute: bool) -> None:
        job = self.world.live[at % len(self.world.live)]
        job.mute = mute
        self.world.fail(job, kind)
        for _ in range(9):
            self.world.step(job)

    @precondition(lambda self: self.world.live)
    @rule(at=index, how=st.sampled_from(["lose", "kill", "vanish", "restart"]))
    def strike(self, at: int, how: str) -> None:
        getattr(self.world, how)(self.world.live[at % len(self.world.live)])

    @rule(seconds=st.sampled_from([60.0, 600.0, 1000.0, HOUR, DAY / 2, DAY + HOUR, 8 * DAY]), beats=st.booleans())
    def time_passes(self, seconds: float, beats: bool) -> None:
        """A job that works says so at least once a day, unless something is in its way."""
        self.world.advance(seconds, beats)

    @rule(seconds=st.sampled_from([1000.0, DAY + HOUR]))
    def nothing_is_listed_for_a_while(self, seconds: float) -> None:
        self.world.hidden = True
        self.world.advance(seconds, beats=False)

    @rule()
    def history_is_emptied(self) -> None:
        self.world.forget_jobs()

    @rule(hidden=st.booleans())
    def list_comes_back_empty(self, hidden: bool) -> None:
        self.world.hidden = hidden

    # What holds.

    @invariant()
    def nothing_trains_twice(self) -> None:
        training = Counter(self.weights[job.digest] for job in self.world.live if job.training)
        assert self.world.overlaps == []
        assert all(count == 1 for count in training.values()), training

    @invariant()
    def nothing_is_trained_again(self) -> None:
        """A success is final; a failure that is not the platform's waits for somebody's word."""
        for weights, jobs in self.trainings().items():
            assert sum(job.succeeded for job in jobs) <= 1, [job.name for job in jobs]
            told = [place for place, job in enumerate(jobs, 1) if at_fault(job)]
            assert len(jobs) - (told[0] if told else len(jobs)) <= self.retried[weights], [job.name for job in jobs]
            assert len(jobs) <= 2 + self.retried[weights], [job.name for job in jobs]

    @invariant()
    def nothing_is_deleted(self) -> None:
        assert self.world.dropped == []

    def trainings(self) -> dict[int, list[MemoryJob]]:
        """By weights, the jobs that passed their fence to train, in the order of submission."""
        found: dict[int, list[MemoryJob]] = {}
        for job in self.world.jobs:
            if job.passed and job.trains:
                found.setdefault(self.weights[job.digest], []).append(job)
        return found

    @rule()
    def come_to_rest(self) -> None:
        """All is done that is due, and then nothing is: whatever nobody's work depends on may change."""
        if not self.tree:
            return
        self.world.hidden = False
        plan = until_nothing_is_due(self.read, self.on(), 5 * HOUR)
        self.committed = reports(self.root)
        self.nothing_trains_twice()
        self.nothing_is_trained_again()
        self.finished_runs_stay_finished()
        assert submit(self.desired(), self.on()) == []  # what ended without being asked for is archived now
        before = self.world.fingerprint()
        assert submit(self.desired(), self.on()) == []
        assert journeys.collect(self.desired(), self.on()).changed == ()
        assert self.world.fingerprint() == before, "nothing is due, so nothing is written"
        self.same_under_other_names(Counter(action.verb for action in plan.actions))

    def read(self) -> Desired:
        self.committed = reports(self.root)
        return self.desired()

    def finished_runs_stay_finished(self) -> None:
        runs = {run.name: run for run in observed.runs(self.on().observe())}
        for name, (training, evaluation) in self.finished.items():
            assert (runs[name].training, runs[name].evaluation) == (training, evaluation), name
        assert not [(name, run.unrecorded) for name, run in runs.items() if run.unrecorded]
        self.finished |= {name: (run.training, run.evaluation) for name, run in runs.items() if run.collected}

    def same_under_other_names(self, verbs: Counter[Verb]) -> None:
        tree = {f"{name}-2": replace(asked, prose=asked.prose + 1, compare="") for name, asked in self.tree.items()}
        found = journeys.plan_live(self.desired(tree), self.on())
        assert Counter(action.verb for action in found.actions) == verbs


def at_fault(job: MemoryJob) -> bool:
    """It said itself that training failed, and that trying again would not help. One that was told to stop does not
    know by whom: it may have been the platform."""
    failed = job.failure.kind if job.told and job.failure and not job.succeeded else ""
    stopped_by_platform = failed == "cancelled" and job.status == "INTERNAL_ERROR"
    return bool(failed) and FAULTS.get(failed) != "platform" and not stopped_by_platform


def set_version(version: int) -> None:
    digest.TRAINING_SEMANTICS = version
    digest.IDENTITY = {**digest.IDENTITY, "training": version}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch, PROVENANCE)
    monkeypatch.setattr(digest, "TRAINING_SEMANTICS", 1)
    monkeypatch.setattr(digest, "IDENTITY", dict(digest.IDENTITY))


@pytest.fixture(autouse=True)
def _the_same_lives_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis tries numbers that stand in whatever modules are loaded, so that lives would depend on what was tested
    before in the same process. `make test` lives the same ones each time; it is for the soak to find new ones."""
    if not SOAK:
        monkeypatch.setattr(providers, "_get_local_constants", Constants)
        monkeypatch.setattr(providers, "CONSTANTS_CACHE", LRUCache(1024))


def test_whatever_happens() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=not SOAK,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(f"\nlives on the double: {SEQUENCES} of {STEPS} steps")
