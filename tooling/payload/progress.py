"""How far the run is: for people on stdout, for the ledger as heartbeats."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from payload.snowflake_session import Store


@dataclass(frozen=True)
class State:
    """`phase`: fetch, train, generate, score, upload. Steps are optimizer steps, or samples while generating."""

    phase: str
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    seconds_left: float | None = None

    def __str__(self) -> str:
        parts = [self.phase]
        if self.steps:
            parts.append(f"{self.step}/{self.steps}")
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.tokens_per_second is not None:
            parts.append(f"{self.tokens_per_second:,.0f} tokens/s")
        if self.seconds_left is not None:
            parts.append(f"{int(self.seconds_left) // 60}:{int(self.seconds_left) % 60:02d} left")
        return "  ".join(parts)


class Reporter:
    """Says each change of phase and each step once; a heartbeat is written for the first and last of a phase's steps,
    for the last one before a phase ends early, and every `every` seconds."""

    def __init__(self, store: Store, every: float) -> None:
        self._store, self._every = store, every
        self._said: State | None = None
        self._beaten: State | None = None
        self._beat_at = float("-inf")

    def phase(self, name: str) -> None:
        self._beat_at = float("-inf")
        self.show(State(name))

    def show(self, state: State) -> None:
        before, self._said = self._said, state
        changed = before is None or (state.phase, state.step) != (before.phase, before.step)
        if changed:
            print(f"piste | {state}", flush=True)
        first = before is not None and before.step == 0 < state.step
        marked = changed and (first or 0 < state.step == state.steps)
        if marked or time.monotonic() - self._beat_at >= self._every:
            self._beat(state)

    def last(self, state: State) -> None:
        """Whatever comes after, the ledger knows how far it was."""
        self.show(state)
        if self._beaten != state:
            self._beat(state)

    def _beat(self, state: State) -> None:
        self._beat_at, self._beaten = time.monotonic(), state
        self._store.try_event("heartbeat", finite(asdict(state)))


def training_state(steps: Sequence[dict[str, Any]]) -> State:
    """From the lines that the hooks write; the median keeps a slow first step out of the estimate."""
    if not steps:
        return State("train")
    last, recent = steps[-1], steps[-20:]
    seconds = median(step["seconds"] for step in recent)
    spent = sum(step["seconds"] for step in recent)
    return State(
        "train",
        last["step"],
        last["steps"],
        last["loss"],
        sum(step["tokens"] for step in recent) / spent if spent else None,
        max(0, last["steps"] - last["step"]) * seconds,
    )


def generation_state(predictions: Sequence[dict[str, Any]], samples: int) -> State:
    done, seconds = len(predictions), sum(line["seconds"] for line in predictions)
    if not done:
        return State("generate", 0, samples)
    tokens = sum(line["tokens"] for line in predictions)
    speed = tokens / seconds if seconds else None
    return State("generate", done, samples, None, speed, (samples - done) * seconds / done)


class Lines:
    """The JSON lines of a file that another process is writing; a line still without its end waits."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self.all = path, 0, list[dict[str, Any]]()

    def update(self) -> list[dict[str, Any]]:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole, end, _ = file.read().rpartition(b"\n")
            self._read += len(whole) + len(end)
            self.all += [json.loads(line) for line in whole.splitlines() if line.strip()]
        return self.all


def finite(value: Any) -> Any:
    """The same with null for numbers that JSON can't hold (NaN, infinities)."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


def lines(path: Path) -> Iterator[dict[str, Any]]:
    return iter(Lines(path).update())
