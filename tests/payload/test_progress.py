from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from payload import progress, tracking
from payload.progress import Lines, Reporter, State
from payload.snowflake_session import Store


def step(number: int, seconds: float = 2.0) -> dict[str, float]:
    return {"step": number, "steps": 10, "loss": 0.5, "tokens": 300, "seconds": seconds}


def test_a_slow_first_step_does_not_spoil_the_estimate() -> None:
    state = progress.training_state([step(1, 60.0), step(2), step(3)])
    assert (state.step, state.steps, state.loss, state.seconds_left) == (3, 10, 0.5, 14.0)
    assert state.tokens_per_second == pytest.approx(900 / 64)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State("fetch"), "fetch"),
        (State("train", 3, 20, 0.12345, 1234.5, 83.0), "train  3/20  loss 0.1235  1,234 tokens/s  1:23 left"),
        (State("generate", 25, 50, None, 190.0, 6.9), "generate  25/50  190 tokens/s  0:06 left"),
    ],
)
def test_a_line_that_people_read(state: State, said: str) -> None:
    assert str(state) == said


class Ledger(Store):
    """Keeps what would be written, in place of a session."""

    def try_event(self, name: str, body: Any) -> None:
        self.session.append((name, body["phase"], body["step"]))  # type: ignore[attr-defined]


def test_the_ledger_sees_the_first_and_the_last_step_of_a_phase() -> None:
    written: Any = []
    reporter = Reporter(Ledger(written, "RUN_A_1"), every=1000)
    reporter.phase("fetch")
    reporter.phase("train")
    for step in (0, 0, 2, 2, 3, 4, 9, 10, 10):
        reporter.show(State("train", step, 10))
    reporter.phase("upload")
    reporter.phase("generate")
    for step in (0, 25, 50):
        reporter.show(State("generate", step, 50))
    assert [beat[1:] for beat in written] == [
        ("fetch", 0),
        ("train", 0),
        ("train", 2),
        ("train", 10),
        ("upload", 0),
        ("generate", 0),
        ("generate", 25),
        ("generate", 50),
    ]


def test_between_them_the_ledger_is_written_as_often_as_asked() -> None:
    written: Any = []
    reporter = Reporter(Ledger(written, "RUN_A_1"), every=0)
    for step in (1, 2, 2, 3):
        reporter.show(State("train", step, 10))
    assert [beat[2] for beat in written] == [1, 2, 2, 3]


def test_the_last_step_before_an_end_is_told_once() -> None:
    written: Any = []
    reporter = Reporter(Ledger(written, "RUN_A_1"), every=1000)
    reporter.phase("train")
    for step in (1, 2, 3):
        reporter.show(State("train", step, 10))
    reporter.last(State("train", 3, 10))
    reporter.last(State("train", 3, 10))
    assert [beat[2] for beat in written] == [0, 1, 3]


def test_generation_counts_samples() -> None:
    lines = [{"seconds": 2.0, "tokens": 30}, {"seconds": 2.0, "tokens": 50}]
    assert progress.generation_state(lines, 6) == State("generate", 2, 6, None, 20.0, 8.0)


def test_a_line_that_is_still_being_written_waits(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    found = Lines(path)
    assert found.update() == []
    path.write_text('{"a": 1}\n{"a"')
    assert found.update() == [{"a": 1}]
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert found.update() == [{"a": 1}, {"a": 2}]


def test_numbers_that_json_lacks_become_null() -> None:
    assert progress.finite({"a": [1.0, float("nan"), float("-inf")]}) == {"a": [1.0, None, None]}


def test_a_curve_is_thinned_evenly_and_keeps_its_ends() -> None:
    curve = [[step, step / 2] for step in range(1, 1001)]
    thin = tracking.thinned(curve)
    assert (len(thin), thin[0], thin[-1]) == (200, curve[0], curve[-1])
    assert tracking.thinned(curve[:200]) == curve[:200]
