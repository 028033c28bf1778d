"""When a training is stopped, by lists of steps and a clock that the test moves."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from payload.failure import RunError
from payload.watch import KILL_SWITCH, PULSE, Deadline, Guard, Watch, lost

NAN, INFINITE = float("nan"), float("inf")
WATCH = Watch()


def steps(*losses: float | None, seconds: float = 1.0, first: int = 1) -> list[dict[str, Any]]:
    return [{"step": i, "steps": 100, "loss": loss, "seconds": seconds} for i, loss in enumerate(losses, first)]


@pytest.mark.parametrize(
    ("losses", "step"),
    [
        ((1.0, 0.5), None),
        ((1.0, NAN), 2),
        ((INFINITE, 1.0), 1),
        ((None, None, -INFINITE), 3),
        ((None,), None),
        ((), None),
    ],
)
def test_a_loss_is_lost_when_it_is_no_finite_number(losses: tuple[float | None, ...], step: int | None) -> None:
    assert lost(steps(*losses)) == step


def falling(count: int, to: float) -> list[float]:
    return [to + 8 * math.exp(-i / 5) for i in range(count)]


@pytest.mark.parametrize(
    ("losses", "diverged"),
    [
        ([*falling(60, 0.5), *[9.0] * 20], True),
        ([*falling(60, 0.5), *[9.0] * 9], False),  # most of the last 20 are still good
        ([*falling(60, 0.5), *[9.0, 0.5] * 10], False),  # every second batch is bad
        ([*falling(60, 0.01), *[0.1] * 40], False),  # ten times of next to nothing
        ([*falling(60, 5.0), *[7.5] * 40], False),  # worse, and not three times worse
        ([*falling(60, 1.5), *[4.4] * 40], False),
        ([*falling(60, 1.5), *[4.6] * 40], True),
        ([11.0] * 20 + [2.0] * 10 + [11.0] * 29, False),  # never before step 60
        ([11.0] * 80, False),  # it never learned, and loses nothing
        ([2.0 + i / 40 for i in range(300)], True),  # slowly up to 9.5
        ([-1000.0] * 60 + [-900.0] * 40, False),
        ([], False),
    ],
)
def test_a_loss_diverges_when_it_stays_far_above_its_best(losses: list[float], diverged: bool) -> None:
    assert WATCH.diverged(losses) is diverged


@pytest.mark.parametrize(
    ("phase", "made", "seconds"),
    [
        ("step", [], 3600),
        ("step", steps(1.0, seconds=70.0), 1400),  # the first one compiles; how long others take is not known
        ("step", [*steps(1.0, seconds=70.0), *steps(1.0, 1.0, first=2)], 100),
        ("step", [*steps(1.0, seconds=70.0), *steps(*[1.0] * 9, seconds=30.0, first=2)], 600),
        ("evaluate", steps(1.0, 1.0), 1800),
        ("checkpoint", steps(1.0, 1.0), 1800),
        ("end", steps(1.0, 1.0), 1800),
    ],
)
def test_silence_is_too_long_by_what_goes_on(phase: str, made: list[dict[str, Any]], seconds: float) -> None:
    assert WATCH.silence(phase, made) == seconds


@dataclass
class Training:
    """A run's folder, as the hooks fill it, and a guard that looks at it every second."""

    folder: Path
    timeout: float = 7200
    begun: int = 0
    now: float = 0.0
    beats: int = 0

    def __post_init__(self) -> None:
        (self.folder / "output").mkdir()
        watch = Watch(clock=lambda: self.now)
        self.guard = Guard(watch, Deadline(self.timeout, watch.clock), self.folder, self.begun)

    def pulse(self, phase: str) -> None:
        self.beats += 1
        (self.folder / "output" / PULSE).write_text(json.dumps({"phase": phase, "beat": self.beats}))

    def stopped(self, made: list[dict[str, Any]], seconds: int) -> str | None:
        """Look each second; the kind of what stopped it, and after which second, if something did."""
        for second in range(1, seconds + 1):
            self.now += 1
            try:
                self.guard.look(made)
            except RunError as error:
                self.failure = error.failure
                return f"{error.failure.kind} after {second}"
        return None

    @property
    def switch(self) -> bool:
        return (self.folder / KILL_SWITCH).exists()


@pytest.fixture
def training(tmp_path: Path) -> Training:
    return Training(tmp_path)


def test_nothing_is_said_before_the_first_step_for_an_hour(training: Training) -> None:
    assert training.stopped([], 3000) is None
    training.pulse("step")
    assert training.stopped([], 3590) is None
    assert training.stopped([], 60) == "stalled after 11"


def test_a_step_that_does_not_come_is_noticed_within_two_minutes(training: Training) -> None:
    training.pulse("step")
    made = steps(2.0, 1.5, 1.2)
    assert training.stopped(made, 99) is None
    training.pulse("step")
    assert training.stopped(made, 120) == "stalled after 101"
    assert training.failure.message == "The step after step 3 did not come within 100 s."


@pytest.mark.parametrize("phase", ["evaluate", "checkpoint"])
def test_evaluations_and_checkpoints_take_their_time(training: Training, phase: str) -> None:
    training.pulse(phase)
    assert training.stopped(steps(2.0, 1.5, 1.2), 1500) is None
    training.pulse("step")
    assert training.stopped(steps(2.0, 1.5, 1.2), 120) == "stalled after 101"


def test_a_pulse_that_is_just_being_written_is_the_last_one(training: Training) -> None:
    training.pulse("evaluate")
    training.stopped([], 1)
    (training.folder / "output" / PULSE).write_text('{"pha')
    assert training.stopped(steps(2.0, 1.5), 1500) is None


def test_a_lost_loss_is_told_at_once(training: Training) -> None:
    assert training.stopped(steps(2.0, NAN, NAN), 3) == "diverged after 1"
    assert training.failure.message == "The loss is not a number since step 2."


def test_a_loss_that_went_up_is_told(training: Training) -> None:
    assert training.stopped(steps(*falling(60, 0.5)), 3) is None
    assert training.stopped(steps(*falling(60, 0.5), *[9.0] * 20), 3) == "diverged after 1"


def test_when_time_is_up_a_training_may_end_its_step_and_save(tmp_path: Path) -> None:
    training = Training(tmp_path, timeout=500)
    made = steps(2.0, 1.5, 1.2)
    for _ in range(9):
        training.pulse("step")
        assert training.stopped(made, 50) is None
    assert not training.switch
    training.pulse("step")
    assert training.stopped(made, 50) is None
    assert (training.switch, training.guard.switched) == (True, True)
    assert training.stopped(made, 30) is None
    training.pulse("checkpoint")
    assert training.stopped(made, 900) is None


def test_a_step_that_does_not_end_after_the_time_is_up_is_ended(tmp_path: Path) -> None:
    training = Training(tmp_path, timeout=20)
    training.pulse("step")
    assert training.stopped(steps(2.0, 1.5, 1.2), 99) == "timeout after 80"


def test_steps_that_are_slow_get_two_of_them(tmp_path: Path) -> None:
    training = Training(tmp_path, timeout=20)
    training.pulse("step")
    assert training.stopped(steps(2.0, 1.5, 1.2, seconds=45.0), 200) == "timeout after 110"


def test_without_a_step_there_is_nothing_to_save(tmp_path: Path) -> None:
    training = Training(tmp_path, timeout=20, begun=2)
    assert training.stopped(steps(2.0, 1.5), 99) == "timeout after 20"


def test_the_time_is_told_as_people_say_it() -> None:
    failure = Deadline(5400).failure("at step 3 of 9", "notes/lr=1")
    assert failure.message == "The time of 90 min was up at step 3 of 9."
    assert failure.hint == "Raise compute.timeout, then piste apply --retry notes/lr=1"
